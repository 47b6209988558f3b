"""Batch conversion with a tiny pipeline."""

import zipfile
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stylediff.page.batch_tab import Batches, unused_path
from stylediff.page.conversions import Converter
from stylediff.settings import TransferSettings, declarations
from tests.helpers.tiny_pipeline import tiny_pipeline, with_detector, write_tone


@pytest.mark.slow
def test_a_bad_file_does_not_stop_the_others(address, tmp_path):
    good = [write_tone(tmp_path / name) for name in ("piano_a.wav", "piano_b.wav")]
    bad = tmp_path / "bad.wav"
    bad.write_text("these are not samples")
    files = [handle_file(str(path)) for path in (good[0], bad, good[1])]
    _, outcomes, archive = Client(address, verbose=False).predict(files, "flute", "fast", 0, api_name="/batch")
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["piano_a_to_flute_seed0.wav", "piano_b_to_flute_seed0.wav"]
    assert "| bad.wav | bad.wav is not audio that can be read" in outcomes


def test_finished_results_appear_early_and_survive_later_errors(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    class FailsAtB(Converter):
        def __call__(self, clip, *rest, **options):
            if clip.name == "b":
                raise MemoryError
            yield from super().__call__(clip, *rest, **options)

    paths = [str(write_tone(tmp_path / name)) for name in ("a.wav", "b.wav", "a_.wav")]
    updates = list(Batches(FailsAtB(tiny_pipeline())).convert_all(paths, "flute", "fast", 0, gr.Request(headers={})))
    lists = [results for _, _, results in updates if isinstance(results, list)]
    assert [[Path(path).name for path in one] for one in lists] == [
        ["a_to_flute_seed0.wav"],
        ["a_to_flute_seed0.wav"],
        ["a__to_flute_seed0.wav", "a_to_flute_seed0.wav"],
    ]
    _, outcomes, archive = updates[-1]
    assert "| b.wav | Something went wrong on the server" in outcomes
    assert archive.endswith("stylediff.zip")


def test_several_instruments_are_named_beside_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    request = gr.Request(headers={"accept-language": "de"})
    for score, warns in ((1.0, True), (-1.0, False)):
        batches = Batches(Converter(with_detector(score)))
        *_, (_, outcomes, _) = batches.convert_all([str(write_tone(tmp_path / "a.wav"))], "flute", "fast", 0, request)
        assert ("Das klingt nach mehreren Instrumenten" in outcomes) == warns


def test_files_of_one_name_are_numbered(tmp_path):
    for name in ("a.wav", "a_2.wav", "a_3.wav"):
        path = unused_path(tmp_path, "a")
        assert path.name == name
        path.touch()


@pytest.mark.parametrize(
    ("target", "preset", "sentence"),
    [
        ("flute", None, "preset must be one of fast, balanced, best, got None"),
        (None, "fast", "target must be one of .*, got None"),
    ],
)
def test_settings_that_are_null_are_refused(address, clip, target, preset, sentence):
    with pytest.raises(AppError, match=sentence):
        Client(address, verbose=False).predict([handle_file(str(clip))], target, preset, 0, api_name="/batch")


def test_the_preset_applies_to_open_settings(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    used = []

    class Recording(Converter):
        def __call__(self, clip, choices, *rest, **options):
            used.append((choices.steps, choices.temperature))
            yield from super().__call__(clip, choices, *rest, **options)

    batch = Batches(Recording(tiny_pipeline())).endpoint(["steps", "temperature"])
    for values in ((None, None), ("3", 1.0), ("auto", "")):
        *_, (_, outcomes, _) = batch([str(clip)], "flute", "fast", 0, *values, gr.Request(headers={}))
        assert "clip_to_flute_seed0.wav" in outcomes
    assert used == [(2, None), (3, 1.0), (2, None)]


def test_settings_of_a_batch_are_parameters_with_defaults(address, clip):
    client = Client(address, verbose=False)
    info = client.view_api(return_format="dict")["named_endpoints"]["/batch"]
    names = [parameter["parameter_name"] for parameter in info["parameters"]]
    shown = [name for name, setting in declarations(TransferSettings).items() if setting.is_shown]
    assert names == ["paths", "target", "preset", "seed", *shown]
    with pytest.raises(AppError, match="Value 2 is greater than maximum value 1"):
        client.predict([handle_file(str(clip))], "flute", "fast", 0, strength=2, api_name="/batch")


@pytest.mark.slow
def test_a_seed_that_is_null_is_zero(address, clip):
    files = [handle_file(str(clip))]
    _, outcomes, _ = Client(address, verbose=False).predict(files, "flute", "fast", None, api_name="/batch")
    assert "clip_to_flute_seed0.wav" in outcomes
