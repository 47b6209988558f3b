"""Handlers with values that the page itself does not send, and examples."""

import json
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from stylediff import StyleTransferPipeline
from stylediff.instruments import get_instrument
from stylediff.page.conversions import Converter
from stylediff.page.errors import PageError
from stylediff.page.handlers import OUTPUTS, RUN_OUTPUTS, Handlers, Submission
from stylediff.page.player import build_player
from stylediff.page.settings import Choices
from stylediff.page.takes import read_take, take_as_source
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
    handlers = Handlers(Converter(tiny_pipeline()), build_player(), {})
    submission = Submission(str(clip), Choices(steps=1).to_dict() | wrong)
    with pytest.raises(gr.Error, match=sentence):
        list(handlers.convert(submission, REQUEST))


def test_a_missing_clip_is_reported(clip):
    handlers = Handlers(Converter(tiny_pipeline()), build_player(), {})
    with pytest.raises(gr.Error, match="Add a clip first"):
        list(handlers.convert(Submission("", {}), REQUEST))
    with pytest.raises(gr.Error, match="Add a clip of the instrument to match"):
        list(handlers.convert(Submission(str(clip), {}, is_matching=True), REQUEST))


def test_an_empty_seed_is_zero_and_a_new_one_is_random():
    assert Submission("clip.wav", {"seed": None, "start_s": None}).read() == Choices()
    assert Submission("clip.wav", {"seed": 7}).read() == Choices(seed=7)
    drawn = {Submission("clip.wav", {"seed": 7}, draws_seed=True).read().seed for _ in range(4)}
    assert len(drawn) > 1


def test_further_instruments_share_the_settings_and_the_seed():
    submission = Submission("clip.wav", {"seed": 7, "target": "harp"}, draws_seed=True, more=("flute", "harp", "flute"))
    first, second = submission.read_all()
    assert (first.target, second.target, second.seed) == ("harp", "flute", first.seed)
    assert len(replace(submission, is_matching=True, reference="violin.wav").read_all()) == 1


def test_one_run_makes_a_take_for_each_instrument(clip):
    handlers = Handlers(Converter(tiny_pipeline()), build_player(), {})
    submission = Submission(str(clip), Choices(steps=1).to_dict(), more=("harp",))
    updates = [dict(zip(RUN_OUTPUTS, values, strict=True)) for values in handlers.convert(submission, REQUEST)]
    players = [update["player"] for update in updates if "target" in update["player"]]
    assert list(dict.fromkeys(player["target"] for player in players)) == ["Violin", "Harp"]
    assert any("2/2 Harp: " in str(update["status"]) for update in updates)
    assert "Done" in updates[-1]["status"]


@pytest.mark.slow
def test_a_result_shows_its_settings(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pipeline = tiny_pipeline()
    recommended = {"harp": {"temperature": 0.75, "enhance": False}}
    converter = Converter(StyleTransferPipeline(**pipeline.components, recommended=recommended))
    handlers = Handlers(converter, build_player(), {})
    submission = Submission(str(clip), Choices(target="harp", steps=2).to_dict())
    *_, last = (dict(zip(RUN_OUTPUTS, updates, strict=True)) for updates in handlers.convert(submission, REQUEST))
    voice = get_instrument("harp").default_voice
    files = {label: served(address) for label, address, _ in last["player"]["files"]}
    used = Choices(target="harp", steps=2, temperature=0.75, enhance=False).resolve({})
    assert json.loads(files["Settings"].read_text()) == used.to_dict() | {"source": "clip", "voice": voice}
    part, _, shown_voice, settings = last["player"]["facts"]
    assert part == "Converts 0:00–0:01 of 0:01"
    assert shown_voice == f"Voice: {voice}"
    assert "Variation: 0.75; Dynamics: 0.25; Clean up the sound: Off; Room: Dry" in settings
    assert "Transpose, semitones: 0; Fit to the instrument's range, by octaves: Off; Tuning: As in the clip" in settings
    assert set(files) == {"WAV", "FLAC", "MP3", "MIDI", "Settings", "Picture"}
    assert read_take(last["player"]["id"]) == last["player"]


def served(address: str) -> Path:
    """File behind an address of the page."""
    return Path(address.removeprefix("gradio_api/file="))


@pytest.mark.parametrize("take", [None, "", "../../etc", "abcdefgh", 7])
def test_a_take_that_is_not_there_is_reported(take):
    with pytest.raises(PageError, match="Results are kept for one hour"):
        read_take(take)
    with pytest.raises(gr.Error, match="Results are kept for one hour"):
        take_as_source(gr.EventData(None, {"id": take}), REQUEST)


def test_an_example_of_two_channels_is_shown_with_its_result_and_settings(clip, tmp_path):
    example = clip.rename(tmp_path / "piano_clip.wav")
    result = write_tone(tmp_path / "piano_clip_to_harp_seed3.flac", 60_002, 44100, channels=2)
    handlers = Handlers(Converter(tiny_pipeline()), build_player(), {example: result})
    shown = dict(zip(OUTPUTS, handlers.show_example(example, REQUEST), strict=True))
    assert (shown["target"], shown["seed"], shown["steps"], shown["source"]) == ("harp", 3, "", str(example))
    player = shown["player"]
    assert player["title"] == "Piano → Harp: clip"
    assert np.array_equal(soundfile.read(served(player["sounds"][1]))[0], soundfile.read(result)[0])
    assert {str(served(sound)) for sound in player["sounds"]} <= handlers.player.temp_files  # or kept forever
    assert len(player["pictures"]) == 3
    assert player["gain_db"] == pytest.approx(0, abs=1)
