import json

import gradio as gr
import numpy as np
import pytest
import soundfile

from stylediff.containers import SUFFIXES, page_checksum
from stylediff.page.layout import build_page
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.import_recordings import find_recordings
from train.data.recordings import list_recordings


@pytest.fixture(scope="module")
def page():
    return build_page(tiny_pipeline(), [])


def test_the_choosers_of_the_page_offer_every_ending(page):
    blocks, options = page
    [files] = [block for block in blocks.blocks.values() if isinstance(block, gr.File) and block.elem_id == "files"]
    assert files.file_types is None  # several files at once: the table says which could not be read
    assert json.dumps(SUFFIXES) in options["js"]


def test_the_training_takes_every_ending(tmp_path):
    for suffix in SUFFIXES:
        (tmp_path / f"clip{suffix.upper()}").touch()
    assert len(find_recordings(tmp_path)) == len(list_recordings(tmp_path)) == len(SUFFIXES)


def test_the_checksum_of_a_page_is_that_of_libogg(tmp_path):
    soundfile.write(tmp_path / "a.ogg", 0.1 * np.sin(np.arange(9000) / 7), 22050)
    content = (tmp_path / "a.ogg").read_bytes()
    page = content[: content.index(b"OggS", 4)]
    assert page_checksum(page) == page[22:26]
