import pytest

from train.common.files import FolderError, lock_settings


def test_a_folder_with_other_settings_names_the_one_that_differs(tmp_path):
    lock_settings(tmp_path, {"seed": 1, "samples": 100, "voices": ("a", "b")})
    lock_settings(tmp_path, {"seed": 1, "samples": 100, "voices": ("a", "b")})
    with pytest.raises(FolderError, match="started with samples=100, not 200: use another folder"):
        lock_settings(tmp_path, {"seed": 1, "samples": 200, "voices": ("a", "b")})
