import os
import time

from stylediff.page import temp_folders


def test_old_folders_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, recent = temp_folders.new_folder(), temp_folders.new_folder()
    (old / "sound.wav").touch()
    foreign = tmp_path / "somebody_elses"
    foreign.mkdir()
    past = time.time() - temp_folders.KEPT_SECONDS - 1
    for folder in (old, foreign):
        os.utime(folder, (past, past))
    new = temp_folders.new_folder()
    assert new.parent == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {recent.name, foreign.name, new.name}
