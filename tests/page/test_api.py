"""API as programs use it, with a tiny pipeline."""

import json
from pathlib import Path

import httpx
import mido
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stylediff.instruments import get_instrument
from stylediff.page.api import FIRST, build_endpoint, endpoint_parameters
from stylediff.page.conversions import Converter
from stylediff.page.settings import Choices
from stylediff.settings import declarations
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import TONE_RATE as RATE
from tests.helpers.tiny_pipeline import with_detector, write_tone


@pytest.mark.slow
def test_the_endpoint_returns_a_file_as_long_as_its_input(address, clip):
    client = Client(address, verbose=False)
    audio, facts = client.predict(source=handle_file(str(clip)), target="harp", steps=2, seed=5, api_name="/convert")
    assert Path(audio).name == "clip_to_harp_seed5.wav"
    assert soundfile.info(audio).frames == 30001
    assert facts["clip"] == "22.05 kHz mono → 22.05 kHz mono, seconds 0.0–1.4 (whole clip)"
    assert (facts["target"], facts["steps"], facts["guidance"]) == ("harp", 2, 1.0)
    assert facts["voice"] == get_instrument("harp").default_voice


@pytest.mark.slow
def test_recommended_settings_are_used_and_shown(address, clip):
    client = Client(address, verbose=False)
    for given in ({}, {"steps": None, "temperature": "auto", "enhance": None}):
        _, facts = client.predict(source=handle_file(str(clip)), **given, api_name="/convert")
        assert Choices.from_dict(facts) == Choices(length_s=600).resolve({})


@pytest.mark.slow
def test_a_result_sounds_in_a_room(address, clip):
    client, sounds = Client(address, verbose=False), {}
    for room in ("dry", "auto", "hall"):
        audio, facts = client.predict(source=handle_file(str(clip)), steps=1, room=room, api_name="/convert")
        sounds[room] = soundfile.read(audio)[0]
        assert facts["room"] == {"auto": "dry"}.get(room, room)
    assert np.array_equal(sounds["dry"], sounds["auto"])
    assert len(sounds["hall"]) == len(sounds["dry"])
    assert not np.allclose(sounds["hall"], sounds["dry"], atol=0.01)


def test_every_setting_is_a_parameter_and_the_first_keep_their_places(address):
    info = Client(address, verbose=False).view_api(return_format="dict")["named_endpoints"]["/convert"]
    parameters = [parameter["parameter_name"] for parameter in info["parameters"]]
    assert tuple(parameters[: len(FIRST)]) == FIRST
    assert set(parameters) == {"source", "reference", *declarations(Choices)}


@pytest.mark.parametrize(
    ("rate", "channels", "ending"), [(96000, 1, "wav"), (8000, 6, "wav"), (44100, 2, "mp3"), (48000, 1, "ogg")]
)
@pytest.mark.slow
def test_any_rate_and_number_of_channels_comes_back_as_long_as_it_was(address, tmp_path, rate, channels, ending):
    path = write_tone(tmp_path / f"clip.{ending}", rate, rate, channels)
    client = Client(address, verbose=False)
    audio, _ = client.predict(source=handle_file(str(path)), steps=1, api_name="/convert")
    assert soundfile.info(audio).samplerate == rate
    assert soundfile.info(audio).frames == soundfile.info(path).frames


@pytest.mark.parametrize(("chosen", "ending"), [({"format": "mp3"}, "mp3"), ({"subtype": "24"}, "wav")])
def test_a_result_has_the_format_that_was_chosen(address, tmp_path, chosen, ending):
    path = write_tone(tmp_path / "clip.wav", RATE, RATE)
    audio, _ = Client(address, verbose=False).predict(
        source=handle_file(str(path)), steps=1, **chosen, api_name="/convert"
    )
    assert audio.endswith(f".{ending}")
    assert soundfile.info(audio).subtype == {"mp3": "MPEG_LAYER_III", "wav": "PCM_24"}[ending]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"these are not samples", "is not audio that can be read"),
        (b"", "is not audio that can be read"),
        (np.full(RATE, np.nan), "not finite numbers"),
        (np.zeros(2000), "at least 0.5 s is needed"),
    ],
)
def test_unusable_clips_are_refused_with_a_message(address, tmp_path, content, sentence):
    path = tmp_path / "notes.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, RATE, subtype="FLOAT")
    client = Client(address, verbose=False)
    with pytest.raises(Exception, match=sentence) as refused:
        client.predict(source=handle_file(str(path)), steps=2, api_name="/convert")
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source": None}, "Add a clip first"),
        ({"source": "clip.wav"}, "Add a clip first"),
        ({"source": {"path": None}}, "Add a clip first"),
        ({"reference": "clip.wav"}, "Add a clip of the instrument to match"),
        ({"target": None}, "target must be one of .*, got None"),
        ({"steps": "many"}, "steps must be a whole number, got 'many'"),
        ({"guidance": None}, "guidance must be a number, got None"),
        ({"strength": "all"}, "strength must be a number, got 'all'"),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"start_s": None}, "start_s must be a number, got None"),
        ({"length_s": []}, r"length_s must be a number, got \[\]"),
        ({"like": None}, "like must be a number, got None"),
    ],
)
@pytest.mark.slow
def test_arguments_of_another_type_are_refused_with_a_message(address, clip, wrong, sentence):
    arguments = {"source": handle_file(str(clip)), "steps": 1} | wrong
    with pytest.raises(AppError, match=sentence):
        Client(address, verbose=False).predict(**arguments, api_name="/convert")


def answer_to(address: str, *values: str) -> str:
    """Answer of the server to a call of ``/convert`` with unnamed values, as JSON."""
    call = f"{address}gradio_api/call/convert"
    content = f'{{"data": [{", ".join(values)}]}}'
    event = httpx.post(call, content=content, headers={"Content-Type": "application/json"}).json()["event_id"]
    return httpx.get(f"{call}/{event}", timeout=60).text


def test_a_part_that_begins_at_infinity_is_refused(address):
    answer = answer_to(address, "null", '"harp"', "1", "1", "1", "0", "1e999")
    assert "start_s must be 0 to 86400, got inf" in answer


def test_a_local_file_that_was_not_uploaded_is_refused(address, clip):
    plain = answer_to(address, f'{{"path": "{clip}"}}')
    assert plain.startswith("event: error")
    assert "Add a clip first" in plain
    marked = answer_to(address, f'{{"path": "{clip}", "meta": {{"_type": "gradio.FileData"}}}}')
    assert marked.startswith("event: error")


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_missing_trailing_values_are_the_defaults(address, clip, count):
    with clip.open("rb") as file:
        path = httpx.post(f"{address}gradio_api/upload", files={"files": file}).json()[0]
    source = f'{{"path": "{path}", "meta": {{"_type": "gradio.FileData"}}}}'
    values = [source, '"violin"', "4", "1.0", "1.0", "0", "0.0", "600.0", "null", "1.0", "0.25", "true"]
    answer = answer_to(address, *values[:count])
    assert answer.startswith("event: complete"), answer
    facts = json.loads(answer.split("data: ", 1)[1])[1]
    assert Choices.from_dict(facts) == Choices(length_s=600).resolve({})


def test_a_call_without_values_is_refused(address):
    assert "Add a clip first" in answer_to(address)


def test_silence_comes_back_without_an_error(address, tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    audio, _ = Client(address, verbose=False).predict(source=handle_file(str(path)), steps=1, api_name="/convert")
    assert soundfile.info(audio).frames == RATE


@pytest.mark.slow
def test_a_reference_clip_changes_what_comes_back(address, clip, tmp_path):
    reference = write_tone(tmp_path / "my flute.wav", 50_000)
    client = Client(address, verbose=False)
    sounds = {}
    for name, extra in {"named": {}, "half": {"like": 0.5}, "whole": {"like": 1.0}, "none": {"like": 0.0}}.items():
        if extra:
            extra |= {"reference": handle_file(str(reference))}
        audio, facts = client.predict(source=handle_file(str(clip)), steps=1, **extra, api_name="/convert")
        sounds[name] = soundfile.read(audio)[0]
    assert Path(audio).name == "clip_to_like_my_flute_seed0.wav"
    assert facts["like"] == 0.0
    assert np.array_equal(sounds["named"], sounds["none"])
    assert not np.array_equal(sounds["half"], sounds["whole"])


@pytest.mark.slow
def test_the_notes_of_a_clip_come_as_midi(address):
    client = Client(address, verbose=False)
    file, notes = client.predict(handle_file(str(ROOT / "examples" / "flute_mozart_theme.flac")), api_name="/notes")
    assert Path(file).name == "flute_mozart_theme.mid"
    played = [message for message in mido.MidiFile(file) if message.type == "note_on"]
    assert [message.note for message in played] == [note["pitch"] for note in notes]
    assert len(notes) == 11
    on_grid, _ = client.predict(
        handle_file(str(ROOT / "examples" / "flute_mozart_theme.flac")), quantize=True, api_name="/notes"
    )
    assert Path(on_grid).read_bytes() != Path(file).read_bytes()


@pytest.mark.slow
def test_notes_can_be_fitted_to_the_range(address):
    client, source = Client(address, verbose=False), handle_file(str(ROOT / "examples" / "cello_bach_prelude.flac"))
    _, facts = client.predict(source, target="flute", steps=1, fit=True, length_s=3, api_name="/convert")
    assert facts["transpose"] == 24


def test_several_instruments_are_named_in_the_facts(clip):
    values = {parameter.name: parameter.default for parameter in endpoint_parameters()}
    values |= {"source": {"path": str(clip), "meta": {"_type": "gradio.FileData"}}, "target": "violin"}
    for score, warns in ((1.0, True), (-1.0, False)):
        _, facts = build_endpoint(Converter(with_detector(score)))(*values.values())
        assert ("warning" in facts) == warns
