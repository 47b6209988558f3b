"""The endpoint as programs use it, around a tiny pipeline."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file

from tests.tiny import TONE_RATE as RATE
from tests.tiny import write_tone


def test_the_endpoint_gives_a_file_as_long_as_its_input(address, clip):
    client = Client(address, verbose=False)
    audio, facts = client.predict(source=handle_file(str(clip)), target="harp", steps=2, seed=5, api_name="/convert")
    assert Path(audio).name == "clip_to_harp_seed5.wav"
    assert soundfile.info(audio).frames == 30001
    assert facts["clip"] == "22.05 kHz mono → 22.05 kHz mono, seconds 0.0–1.4 (whole clip)"
    assert (facts["target"], facts["steps"], facts["guidance"]) == ("harp", 2, 1.0)


@pytest.mark.parametrize(
    ("rate", "channels", "ending"), [(96000, 1, "wav"), (8000, 6, "wav"), (44100, 2, "mp3"), (48000, 1, "ogg")]
)
def test_any_rate_and_number_of_channels_comes_back_as_long_as_it_was(address, tmp_path, rate, channels, ending):
    path = write_tone(tmp_path / f"clip.{ending}", rate, rate, channels)
    client = Client(address, verbose=False)
    audio, _ = client.predict(source=handle_file(str(path)), steps=1, api_name="/convert")
    assert soundfile.info(audio).samplerate == rate
    assert soundfile.info(audio).frames == soundfile.info(path).frames


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"these are not samples", "is not audio that can be read"),
        (b"", "is not audio that can be read"),
        (np.full(RATE, np.nan), "not finite numbers"),
        (np.zeros(2000), "at least 0.5 s is needed"),
    ],
)
def test_what_cannot_be_used_gives_a_sentence(address, tmp_path, content, sentence):
    path = tmp_path / "notes.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, RATE, subtype="FLOAT")
    client = Client(address, verbose=False)
    with pytest.raises(Exception, match=sentence) as refused:
        client.predict(source=handle_file(str(path)), steps=2, api_name="/convert")
    assert str(tmp_path) not in str(refused.value)


def test_silence_comes_back_without_an_error(address, tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    audio, _ = Client(address, verbose=False).predict(source=handle_file(str(path)), steps=1, api_name="/convert")
    assert soundfile.info(audio).frames == RATE


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
