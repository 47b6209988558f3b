"""Result files, read back by PyAV."""

import av
import numpy as np
import pytest
import soundfile
import torch

from stylediff.audio import read_audio
from stylediff.containers import LOSSLESS, LOSSY, AudioError, check_format
from stylediff.output_files import describe_result, dither, write_lossless, write_result

RATE = 44_100
TAGS = describe_result("für_elise.wav", "violin/Pure-40", "steps 4, room dry")


def tone(channels: int = 1) -> torch.Tensor:
    time = torch.arange(2 * RATE + 77) / RATE
    return 0.5 * torch.sin(2 * torch.pi * 440 * time).repeat(channels, 1)


def read_tags(path) -> dict[str, str]:
    with av.open(str(path)) as file:
        return {name.lower(): text for name, text in (file.metadata | file.streams.audio[0].metadata).items()}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("ending", [*LOSSLESS, *LOSSY])
def test_a_result_comes_back_with_its_sound_and_tags(ending, channels, tmp_path):
    path = tmp_path / f"tone{ending}"
    write_result(path, tone(channels), RATE, tags=TAGS)
    samples, rate = read_audio(path)
    assert rate == (48_000 if ending == ".opus" else RATE)
    assert len(samples) == channels
    assert samples.shape[1] / rate == pytest.approx(2 + 77 / RATE, abs=0.05)
    middle = samples[0, rate // 2 : rate // 2 + rate]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == 440
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)
    tags = read_tags(path)
    assert tags["title"] == "für_elise (violin/Pure-40)"
    assert tags["comment"] == "StyleDiff: für_elise.wav to violin/Pure-40, steps 4, room dry"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("ending", "subtype"), [(end, bits) for end in LOSSLESS for bits in LOSSLESS[end]])
def test_a_precision_keeps_its_digits(ending, subtype, tmp_path):
    path = tmp_path / f"tone{ending}"
    write_result(path, tone(), RATE, subtype)
    read = soundfile.SoundFile(path)
    assert read.subtype == {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}[subtype]
    error = np.abs(read.read() - tone()[0].numpy()).max()
    assert error < {"16": 2, "24": 2**-8, "float": 1e-9}[subtype] / 2**15


@pytest.mark.parametrize(("ending", "rate"), [(".mp3", 48_000), (".mp3", 96_000), (".m4a", 96_000), (".ogg", 96_000)])
def test_any_rate_becomes_one_that_the_codec_knows(ending, rate, tmp_path):
    path = tmp_path / f"tone{ending}"
    write_result(path, tone(2), rate)
    samples, found = read_audio(path)
    assert found == (44_100 if (ending, rate) == (".mp3", 96_000) else rate)
    assert samples.shape[1] / found == pytest.approx(tone().shape[1] / rate, abs=0.06)


def test_the_same_samples_give_the_same_bytes(tmp_path):
    for ending in (*LOSSLESS, *LOSSY):
        files = [tmp_path / f"{name}{ending}" for name in "ab"]
        for file in files:
            write_result(file, tone(), RATE, tags=TAGS)
        assert files[0].read_bytes() == files[1].read_bytes(), ending


def test_dither_removes_the_distortion_of_rounding():
    quiet = tone()[:, :RATE].numpy() * 1.6 / 2**15  # less than one step
    harmonics = [
        np.abs(np.fft.rfft(np.round(samples[0] * 2**15)))[[3 * 440, 5 * 440]].max()
        for samples in (quiet, dither(quiet, np.random.default_rng(0)))
    ]
    assert harmonics[1] < 0.3 * harmonics[0]
    assert not dither(np.zeros((1, 100), np.float32), np.random.default_rng(0)).any()


def test_only_floats_go_beyond_full_scale(tmp_path):
    for ending, subtype, peak in ((".wav", "float", 1.5), (".wav", "24", 1.0), (".flac", "16", 1.0)):
        write_lossless(tmp_path / f"loud{ending}", 3 * tone().numpy(), RATE, subtype)
        assert np.abs(soundfile.read(tmp_path / f"loud{ending}")[0]).max() == pytest.approx(peak, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "subtype", "sentence"),
    [
        ("a.txt", None, "cannot write a.txt: name it .wav, .flac, .mp3, .m4a, .ogg or .opus"),
        ("a.flac", "float", "the subtype must be one of 16, 24, got 'float'"),
        ("a.mp3", "24", "the subtype must be left out for .mp3, which is compressed, got '24'"),
    ],
)
def test_formats_that_cannot_be_written_are_a_sentence(name, subtype, sentence):
    with pytest.raises(AudioError, match=sentence):
        check_format(name, subtype)


@pytest.mark.parametrize("ending", [".wav", ".mp3"])
def test_a_file_that_cannot_be_finished_leaves_nothing(ending, tmp_path):
    place = tmp_path / f"folder{ending}"
    place.mkdir()
    with pytest.raises(OSError, match="the disk may be full"):
        write_result(place, tone(), RATE)
    assert [file.name for file in tmp_path.iterdir()] == [place.name]
