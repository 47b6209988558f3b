import os
import time

import gradio as gr
import pytest
from gradio.route_utils import delete_files_created_by_app

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


@pytest.mark.slow
def test_old_files_are_deleted_while_visitors_add_new_ones(tmp_path):
    with gr.Blocks() as page:
        audio = gr.Audio()
    temp_folders.keep_deleting(page)
    assert any(names is audio.temp_files for names in page.temp_file_sets)
    assert any(names is page.upload_file_set for names in page.temp_file_sets)
    for names in page.temp_file_sets:
        names.update({"first", "second"})
        for _ in names:
            names.add("third")  # an upload in another thread
    file = tmp_path / "old.wav"
    file.write_bytes(b"x")
    audio.temp_files.add(str(file))
    delete_files_created_by_app(page, None)
    assert not file.exists()
    assert str(file) not in audio.temp_files
