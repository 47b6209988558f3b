import pytest

from train.common.files import FolderError, claim_folder


def test_a_folder_begun_with_other_settings_names_the_one_that_differs(tmp_path):
    claim_folder(tmp_path, {"seed": 1, "samples": 100, "voices": ("a", "b")})
    claim_folder(tmp_path, {"seed": 1, "samples": 100, "voices": ("a", "b")})
    with pytest.raises(FolderError, match="begun with samples=100, not 200: use another folder"):
        claim_folder(tmp_path, {"seed": 1, "samples": 200, "voices": ("a", "b")})
