"""Files of ringtones, read back by PyAV and ffprobe."""

import json
import shutil
import subprocess

import av
import numpy as np
import pytest

from stylediff.audio import AudioError, read_audio
from stylediff.tone_files import FORMATS, check_tone_path, read_title, title_from, tone_name, write_tone

RATE = 44100
CODECS = {".m4r": "aac", ".ogg": "vorbis", ".mp3": "mp3", ".wav": "pcm_s16le"}


def tone(channels=1, samples=3 * RATE + 77):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(samples) / RATE)
    return np.stack([wave] * channels).astype(np.float32)


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_comes_back_with_length_title_and_sound(ending, channels, tmp_path):
    path = tmp_path / f"tone{ending}"
    write_tone(path, tone(channels), RATE, "Für Elise")
    with av.open(str(path)) as file:
        assert file.streams.audio[0].codec_context.name.startswith(CODECS[ending].removesuffix("float"))
        assert file.duration / 1e6 == pytest.approx(3 + 77 / RATE, abs=0.06)
    assert read_title(path) == "Für Elise"
    samples, rate = read_audio(path)
    assert (rate, len(samples)) == (RATE, channels)
    assert samples.shape[1] == pytest.approx(3 * RATE + 77, abs=2200)
    middle = samples[0, RATE : 2 * RATE]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)  # LAME lowers by 5 %
    assert np.argmax(np.abs(np.fft.rfft(middle))) == 440


@pytest.mark.parametrize("ending", [".ogg", ".wav"])
def test_a_loop_is_exact_to_the_sample(ending, tmp_path):
    write_tone(tmp_path / f"a{ending}", tone(), RATE, "a", is_loop=True)
    samples, _ = read_audio(tmp_path / f"a{ending}")
    assert samples.shape == (1, 3 * RATE + 77)


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_sound_gives_the_same_bytes(ending, tmp_path):
    contents = []
    for name in ("a", "b"):
        write_tone(tmp_path / f"{name}{ending}", tone(), RATE, "Title", is_loop=True)
        contents.append((tmp_path / f"{name}{ending}").read_bytes())
    assert contents[0] == contents[1]


def test_android_repeats_a_loop_and_nothing_else(tmp_path):
    marks = []
    for name, is_loop in (("loop", True), ("once", False)):
        write_tone(tmp_path / f"{name}.ogg", tone(), RATE, name, is_loop)
        with av.open(str(tmp_path / f"{name}.ogg")) as file:
            marks.append(file.streams.audio[0].metadata.get("ANDROID_LOOP"))
    assert marks == ["true", None]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe is installed")
@pytest.mark.parametrize("ending", FORMATS)
def test_ffprobe_reads_codec_duration_and_title(ending, tmp_path):
    path = tmp_path / f"tone{ending}"
    write_tone(path, tone(), RATE, "Title")
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    [stream] = shown["streams"]
    assert stream["codec_name"] == CODECS[ending]
    assert float(shown["format"]["duration"]) == pytest.approx(3, abs=0.06)
    tags = shown["format"].get("tags", {}) | stream.get("tags", {})
    assert tags["title"] == "Title"


@pytest.mark.parametrize(
    ("stem", "title"),
    [
        ("piano_fur_elise", "Piano fur elise"),
        ("03 - für_elise", "Für elise"),
        ("12. Gavotte", "Gavotte"),
        ("4'33", "4'33"),
        ("___", "Ringtone"),
        ("x" * 200, "X" + "x" * 59),
    ],
)
def test_a_title_is_made_of_a_file_name(stem, title):
    assert title_from(stem) == title


def test_names_are_those_of_people_and_of_every_file_system():
    assert tone_name("Für Elise", "violin") == "Für Elise (violin)"
    assert tone_name('AC/DC: "Live?"', None) == "AC DC Live"
    assert tone_name("???", None) == "Ringtone"


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "a.ogg").touch()
    for path, sentence in (
        (tmp_path / "a.ogg", "a.ogg is there already: choose another name, or replace it with --force"),
        (tmp_path / "a.txt", "cannot write a.txt: name it .m4r, .ogg, .mp3, .wav"),
        (tmp_path / "no" / "a.ogg", "cannot write a.ogg: no such folder"),
    ):
        with pytest.raises(AudioError, match=sentence):
            check_tone_path(path, is_forced=False)
    check_tone_path(tmp_path / "a.ogg", is_forced=True)
