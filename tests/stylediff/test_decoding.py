"""Files as they come from recorders, phones and broken copies: sound in, or a sentence."""

import random
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

from stylediff.audio import AudioError, read_audio, read_sound
from stylediff.containers import SUFFIXES
from tests.helpers.files import ROOT
from tests.tools.mutate_audio import count_wrong, encode, run

RATE = 22050
ENCODERS = {
    ".m4a": "aac", ".m4b": "aac", ".m4r": "aac", ".mp4": "aac", ".mov": "aac", ".3gp": "aac", ".aac": "aac",
    ".amr": "libopencore_amrnb", ".webm": "libopus", ".mka": "aac", ".mkv": "aac", ".wma": "wmav2", ".mp2": "mp2",
    ".ac3": "ac3", ".wv": "wavpack", ".tta": "tta",
}  # fmt: skip
RATES = {"libopencore_amrnb": 8000, "libopus": 48000, "ac3": 44100, "mp2": 44100, "wmav2": 44100}
FORMATS = {
    ".opus": ("OGG", "OPUS"),
    ".oga": ("OGG", "VORBIS"),
    ".aif": ("AIFF", "PCM_16"),
    ".aifc": ("AIFF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
}


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """Six seconds of the piano, (samples,)."""
    return soundfile.read(ROOT / "examples" / "piano_fur_elise.flac", dtype="float32")[0][: 6 * RATE]


CONTAINERS = {".m4b": "mp4", ".m4r": "mp4"}  # where the ending tells FFmpeg nothing


def write(path: Path, music: np.ndarray, encoder: str | None = None) -> Path:
    """Write music in the format of a path's ending."""
    encoder = encoder or ENCODERS.get(path.suffix)
    rate = RATES.get(encoder or "", 48000 if path.suffix == ".opus" else RATE)
    music = soxr.resample(music, RATE, rate)
    if encoder:
        encode(path, encoder, music, rate, CONTAINERS.get(path.suffix))
    else:
        kind, subtype = FORMATS.get(path.suffix, (None, None))
        soundfile.write(path, music, rate, format=kind, subtype=subtype)
    return path


def lag_and_likeness(samples: np.ndarray, rate: int, music: np.ndarray) -> tuple[int, float]:
    """Lag in samples at 8 kHz at which both correlate best, and that correlation."""
    one, other = soxr.resample(samples.mean(0), rate, 8000), soxr.resample(music, RATE, 8000)
    size = len(one) + len(other)
    products = np.fft.irfft(np.fft.rfft(one, size) * np.fft.rfft(other, size).conj(), size)
    best = int(np.argmax(products))
    return min(best, size - best), float(products[best] / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_ending_that_is_offered_is_read(tmp_path, music, suffix):
    samples, rate = read_audio(write(tmp_path / f"clip{suffix}", music))
    lag, likeness = lag_and_likeness(samples, rate, music)
    assert likeness > (0.45 if suffix == ".amr" else 0.95)
    assert lag <= 0.15 * 8000


def test_a_flac_that_was_streamed_is_read_to_its_end(tmp_path, music):
    path = write(tmp_path / "pipe.flac", music)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples, 36 bits
    content[22:26] = bytes(4)
    path.write_bytes(content)
    sound = read_sound(path)
    np.testing.assert_allclose(sound.samples[0], music, atol=2**-15)
    assert read_sound(path, 0.0, 2.0).file_seconds == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize(
    ("suffix", "encoder", "tag"),
    [
        (".m4a", "aac", b"F\xfcr \xc9lise!!!!!"),
        (".m4a", "aac", "Соната 11 фа".encode("cp1251") + b"!!"),
        (".webm", "libopus", "ピアノの音".encode("shift-jis") + b"!!!!"),
    ],
)
def test_tags_of_any_encoding_are_ignored(tmp_path, music, suffix, encoder, tag):
    path = tmp_path / f"tagged{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "XXXXsonataXXXX"
        stream = container.add_stream(encoder, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(soxr.resample(music, RATE, 48000)[None], format="fltp", layout="mono")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=48000, frame_size=stream.frame_size or 960
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
    content = path.read_bytes()
    assert content.count(b"XXXXsonataXXXX") == 1
    path.write_bytes(content.replace(b"XXXXsonataXXXX", tag[:14].ljust(14, b"!")))
    assert read_sound(path).seconds == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("a.m4a", "aac"), ("a.aac", "aac"), ("a.amr", "libopencore_amrnb"), ("b.m4a", "alac"), ("a.caf", "alac"),
        ("a.mp3", None), ("a.flac", None), ("a.ogg", None), ("a.opus", None), ("a.webm", "libopus"), ("a.wma", "wmav2"),
    ],
)  # fmt: skip
def test_a_damaged_part_costs_that_part(tmp_path, music, name, encoder):
    path = write(tmp_path / name, music, encoder)
    whole = read_sound(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = random.Random(1).randbytes(64)
    path.write_bytes(content)
    sound = read_sound(path)
    assert sound.seconds == pytest.approx(whole.seconds, abs=0.11)
    assert sound.lost_seconds < (1.1 if "o" in name else 0.3)  # a page of Ogg holds a second
    for start_s, end_s in ((0, 2), (4, 5.8)):
        part = sound.samples[:, round(start_s * sound.sample_rate) : round(end_s * sound.sample_rate)]
        lag, likeness = lag_and_likeness(part, sound.sample_rate, music[round(start_s * RATE) : round(end_s * RATE)])
        assert likeness > (0.4 if encoder == "libopencore_amrnb" else 0.85)
        assert lag <= 0.15 * 8000
    assert (sound.note == "") == (sound.lost_seconds == 0)


def test_what_could_not_be_read_is_said_once(tmp_path, music, caplog):
    path = write(tmp_path / "a.m4a", music, "alac")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = random.Random(1).randbytes(64)
    path.write_bytes(content)
    read_audio(path)
    assert [record.getMessage() for record in caplog.records] == ["a.m4a: 0.2 s could not be read"]


@pytest.mark.parametrize("name", ["a.flac", "a.aac", "a.wav", "a.mp3", "a.ogg", "a.opus", "a.webm", "a.au", "a.w64"])
def test_a_file_cut_in_half_is_read_to_the_cut_and_has_that_length(tmp_path, music, name):
    path = write(tmp_path / name, music)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    whole = read_sound(path)
    assert 1.5 < whole.seconds < 4
    assert whole.file_seconds == pytest.approx(whole.seconds, abs=0.01)
    part = read_sound(path, 0.0, 1.0)
    assert part.seconds == 1.0
    assert part.file_seconds == pytest.approx(whole.seconds, abs=0.25)
    if name != "a.ogg":
        np.testing.assert_allclose(part.samples, whole.samples[:, : part.samples.shape[1]], atol=1e-5)


@pytest.mark.parametrize(("name", "encoder"), [("a.m4a", "aac"), ("a.caf", "alac")])
def test_a_file_cut_before_its_index_is_called_incomplete(tmp_path, music, name, encoder):
    path = write(tmp_path / name, music, encoder)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match="it is incomplete, its index is missing"):
        read_sound(path)


@pytest.mark.parametrize("stated", [0, 4000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_wav_whose_recorder_lost_power_is_read_to_its_end(tmp_path, music, stated, subtype):
    path = tmp_path / "crashed.wav"
    soundfile.write(path, np.stack([music, -music], axis=1), RATE, subtype=subtype)
    content = bytearray(path.read_bytes())
    size = content.index(b"data") + 4
    content[4:8] = bytes(4)
    content[size : size + 4] = stated.to_bytes(4, "little")
    path.write_bytes(content)
    sound = read_sound(path)
    np.testing.assert_allclose(sound.samples, np.stack([music, -music]), atol=2**-15)
    assert read_sound(path, 1.0, 1.0).file_seconds == pytest.approx(6.0, abs=0.01)


def test_tags_after_the_samples_of_a_wav_are_no_samples(tmp_path, music):
    path = write(tmp_path / "tagged.wav", music)
    path.write_bytes(path.read_bytes() + b"LIST" + (20_000).to_bytes(4, "little") + bytes(20_000))
    assert read_sound(path).samples.shape == (1, len(music))


def test_a_codec_that_nobody_knows_is_refused(tmp_path, music):
    path = write(tmp_path / "odd.wav", music)
    content = bytearray(path.read_bytes())
    content[20:22] = b"\x55\xaa"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"odd\.wav is not audio that can be read"):
        read_sound(path)


def test_the_track_that_can_be_decoded_is_used(tmp_path, music):
    path = tmp_path / "two.mka"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(name, rate=48000, layout="mono") for name in ("libmp3lame", "aac")]
        samples = soxr.resample(music, RATE, 48000)[None]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate = 48000
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000, frame_size=stream.frame_size)
            for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
                container.mux(stream.encode(piece))
    content = path.read_bytes()
    assert content.count(b"A_MPEG/L3") == 1
    path.write_bytes(content.replace(b"A_MPEG/L3", b"A_VENDOR1"))
    assert read_sound(path).seconds == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_all_links_of_a_chained_ogg_are_read(tmp_path, music, name):
    path = write(tmp_path / name, music)
    path.write_bytes(2 * path.read_bytes())
    sound = read_sound(path)
    assert sound.seconds == pytest.approx(12.0, abs=0.05)
    assert read_sound(path, 0.0, 1.0).file_seconds == pytest.approx(12.0, abs=0.05)
    second = sound.samples[:, round(6 * sound.sample_rate) :]
    assert lag_and_likeness(second, sound.sample_rate, music)[1] > 0.95


def test_concatenated_aac_is_read_to_its_end(tmp_path, music):
    path = write(tmp_path / "cat.aac", music)
    stereo = tmp_path / "stereo.aac"
    with av.open(str(stereo), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.stack([music, music]), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE, frame_size=1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
    path.write_bytes(path.read_bytes() + stereo.read_bytes())
    sound = read_sound(path)
    assert len(sound.samples) == 1
    assert sound.seconds == pytest.approx(12.0, abs=0.2)
    assert lag_and_likeness(sound.samples[:, 6 * RATE :], RATE, music)[1] > 0.9


@pytest.mark.parametrize("start_s", [0.0, 3600.0])
@pytest.mark.slow
def test_a_part_of_hours_costs_little_time(tmp_path, music, start_s):
    path = write(tmp_path / "hours.amr", music)
    content = path.read_bytes()
    path.write_bytes(content[:6] + content[6:] * 2400)  # four hours
    started = time.perf_counter()
    sound = read_sound(path, start_s, 10.0)
    assert time.perf_counter() - started < 2
    assert sound.seconds == 10.0
    assert sound.file_seconds == pytest.approx(2400 * 6.04, rel=0.02)


def test_a_part_after_a_jump_is_that_of_the_whole(tmp_path, music):
    path = write(tmp_path / "long.m4a", np.concatenate([music * level for level in (0.2, 1.0, 0.4, 0.6, 0.8)]))
    whole, part = read_sound(path), read_sound(path, 20.0, 2.0)
    np.testing.assert_allclose(part.samples, whole.samples[:, 20 * RATE : 22 * RATE], atol=1e-4)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"MThd\0\0\0\6\0\0", "MIDI"),
        (b"%PDF-1.7", "PDF"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.mp3", "a playlist"),
        (b"<!doctype html><p>not found", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"", "empty"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path, content, kind):
    path = tmp_path / "clip.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=kind):
        read_sound(path)


def test_a_playlist_opens_no_other_file(tmp_path, music):
    write(tmp_path / "secret.wav", music)
    for text in ("ffconcat version 1.0\nfile secret.wav\n", "#EXTM3U\n#EXTINF:6,\nsecret.wav\n#EXT-X-ENDLIST\n"):
        path = tmp_path / "list.m4a"
        path.write_text(text)
        with pytest.raises(AudioError, match="is not audio that can be read"):
            read_sound(path)


@pytest.mark.parametrize("rate", [1, 900, 4_000_000])
def test_a_rate_that_no_recording_has_is_refused(tmp_path, music, rate):
    path = tmp_path / "clip.wav"
    soundfile.write(path, music, rate)
    with pytest.raises(AudioError, match=r"the sample rate is .* Hz; 1,000 to 1,000,000 Hz can be read"):
        read_sound(path)


def test_a_folder_and_a_file_without_rights_are_sentences(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        read_sound(tmp_path)


@pytest.mark.slow
def test_damaged_files_are_read_or_refused():
    assert count_wrong(run(190, seed=26)) == {}
