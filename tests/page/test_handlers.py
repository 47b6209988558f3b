"""Handlers with values that the page itself does not send, and examples."""

import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from stylediff import StyleTransferPipeline
from stylediff.instruments import get_instrument
from stylediff.mel import MelConfig
from stylediff.page.conversions import Converter
from stylediff.page.handlers import OUTPUTS, Handlers, Submission
from stylediff.page.layout import take_result
from stylediff.page.player import build_player
from stylediff.page.settings import Choices
from tests.helpers.tiny_pipeline import tiny_pipeline, write_tone

REQUEST = gr.Request(headers={"accept-language": "en"})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"target": None}, "target must be one of .*, got None"),
        ({"steps": "many"}, "steps must be a whole number, got 'many'"),
        ({"guidance": None}, "guidance must be a number, got None"),
        ({"strength": "all"}, "strength must be a number, got 'all'"),
        ({"start_s": float("inf")}, "start_s must be 0 to 86400, got inf"),
        ({"length_s": None}, "length_s must be a number, got None"),
        ({"like": None}, "like must be a number, got None"),
    ],
)
def test_settings_of_another_type_are_refused_with_a_message(clip, wrong, sentence):
    handlers = Handlers(Converter(tiny_pipeline()), MelConfig(), build_player(), {})
    submission = Submission(str(clip), Choices(steps=1).to_dict() | wrong)
    with pytest.raises(gr.Error, match=sentence):
        next(handlers.convert(submission, REQUEST))


def test_a_missing_clip_is_reported(clip):
    handlers = Handlers(Converter(tiny_pipeline()), MelConfig(), build_player(), {})
    with pytest.raises(gr.Error, match="Add a clip first"):
        next(handlers.convert(Submission("", {}), REQUEST))
    with pytest.raises(gr.Error, match="Add a clip of the instrument to match"):
        next(handlers.convert(Submission(str(clip), {}, is_matching=True), REQUEST))


def test_an_empty_seed_is_zero_and_a_new_one_is_random():
    assert Submission("clip.wav", {"seed": None, "start_s": None}).read() == Choices()
    assert Submission("clip.wav", {"seed": 7}).read() == Choices(seed=7)
    drawn = {Submission("clip.wav", {"seed": 7}, draws_seed=True).read().seed for _ in range(4)}
    assert len(drawn) > 1


def test_a_result_shows_its_settings(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pipeline = tiny_pipeline()
    recommended = {"harp": {"temperature": 0.75, "enhance": False}}
    converter = Converter(StyleTransferPipeline(**pipeline.components, recommended=recommended))
    handlers = Handlers(converter, MelConfig(), build_player(), {})
    submission = Submission(str(clip), Choices(target="harp", steps=2).to_dict())
    *_, before, last = (dict(zip(OUTPUTS, updates, strict=True)) for updates in handlers.convert(submission, REQUEST))
    voice = get_instrument("harp").default_voice
    settings = json.loads(Path(before["files"][1]).read_text())
    used = Choices(target="harp", steps=2, temperature=0.75, enhance=False).resolve({})
    assert settings == used.to_dict() | {"source": "clip", "voice": voice}
    assert last["facts"].splitlines()[-1] == f"{voice}, {used.describe()}"
    assert "temperature 0.75" in last["facts"]


def test_a_deleted_result_is_reported(clip):
    assert take_result(str(clip)) == str(clip)
    with pytest.raises(gr.Error, match="Results are kept for one hour"):
        take_result(f"{clip}.gone")


def test_an_example_of_two_channels_is_shown_with_its_result(clip, tmp_path):
    result = write_tone(tmp_path / "clip_to_harp_seed3.flac", 60_002, 44100, channels=2)
    handlers = Handlers(Converter(tiny_pipeline()), MelConfig(), build_player(), {"clip": result})
    shown = dict(zip(OUTPUTS, handlers.show_example(str(clip), REQUEST), strict=True))
    assert np.array_equal(soundfile.read(shown["output"])[0], soundfile.read(result)[0])
    assert shown["seed"] == 3
    served = {shown["player"][side].removeprefix("gradio_api/file=") for side in ("a", "b")}
    assert served <= handlers.player.temp_files  # otherwise gradio would keep them forever
    assert shown["side"].width > shown["side"].height
