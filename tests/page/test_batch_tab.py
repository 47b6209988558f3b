"""Several files at once, around a tiny pipeline."""

import zipfile
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stylediff.page.batch_tab import Batches, unused_path
from stylediff.page.conversions import build_converter
from tests.helpers.tiny_pipeline import tiny_pipeline, write_tone


def test_one_bad_file_of_several_stops_no_other(address, tmp_path):
    good = [write_tone(tmp_path / name) for name in ("piano_a.wav", "piano_b.wav")]
    bad = tmp_path / "bad.wav"
    bad.write_text("these are not samples")
    files = [handle_file(str(path)) for path in (good[0], bad, good[1])]
    _, outcomes, archive = Client(address, verbose=False).predict(files, "flute", "fast", 0, api_name="/batch")
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["piano_a_to_flute_seed0.wav", "piano_b_to_flute_seed0.wav"]
    assert "| bad.wav | bad.wav is not audio that can be read" in outcomes


def test_what_is_done_is_there_before_the_rest_and_whatever_happens_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    convert = build_converter(tiny_pipeline())

    def fail_at_b(clip, *rest):
        if clip.name == "b":
            raise MemoryError
        yield from convert(clip, *rest)

    paths = [str(write_tone(tmp_path / name)) for name in ("a.wav", "b.wav", "a_.wav")]
    updates = list(Batches(fail_at_b).convert_all(paths, "flute", "fast", 0, gr.Request(headers={})))
    lists = [results for _, _, results in updates if isinstance(results, list)]
    assert [[Path(path).name for path in one] for one in lists] == [
        ["a_to_flute_seed0.wav"],
        ["a_to_flute_seed0.wav"],
        ["a__to_flute_seed0.wav", "a_to_flute_seed0.wav"],
    ]
    _, outcomes, archive = updates[-1]
    assert "| b.wav | Something broke on this side" in outcomes
    assert archive.endswith("stylediff.zip")


def test_files_of_one_name_are_numbered(tmp_path):
    for name in ("a.wav", "a_2.wav", "a_3.wav"):
        path = unused_path(tmp_path, "a")
        assert path.name == name
        path.touch()


@pytest.mark.parametrize(
    ("target", "preset", "sentence"),
    [
        ("flute", None, "preset must be one of fast, balanced, best, got None"),
        (None, "fast", "unknown instrument 'None'"),
    ],
)
def test_settings_that_are_null_give_a_sentence(address, clip, target, preset, sentence):
    with pytest.raises(AppError, match=sentence):
        Client(address, verbose=False).predict([handle_file(str(clip))], target, preset, 0, api_name="/batch")


def test_a_seed_that_is_null_is_zero(address, clip):
    files = [handle_file(str(clip))]
    _, outcomes, _ = Client(address, verbose=False).predict(files, "flute", "fast", None, api_name="/batch")
    assert "clip_to_flute_seed0.wav" in outcomes
