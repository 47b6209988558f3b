"""Hum and hiss of known level, and music without any."""

import numpy as np
import pytest

from stylediff.audio import read_audio
from stylediff.denoising import Noise, denoise, find_noise
from tests.helpers.files import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.flac"))


def music():
    samples, rate = read_audio(ROOT / "examples" / "piano_fur_elise.flac")
    return samples.astype(np.float64), rate


def snr_db(made, wanted):
    return 10 * np.log10((wanted**2).mean() / ((made - wanted) ** 2).mean())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_clean_music_stays_as_it_is(path):
    samples, rate = read_audio(path)
    noise = find_noise(samples, rate)
    assert noise == Noise(None, None)
    assert np.array_equal(denoise(samples, rate, noise, 1.0), samples)


@pytest.mark.parametrize("hz", [50.0, 60.0, 49.8])
@pytest.mark.slow
def test_hum_is_found_and_removed(hz):
    waveform, rate = music()
    time = np.arange(waveform.shape[1]) / rate
    hum = sum(0.02 / n * np.sin(2 * np.pi * hz * n * time + n) for n in (1, 2, 3, 5, 7))
    noise = find_noise(waveform + hum, rate)
    assert noise.hum_hz == pytest.approx(hz, abs=0.11)
    cleaned = denoise(waveform + hum, rate, Noise(noise.hum_hz, None), 1.0)
    assert snr_db(cleaned, waveform) > snr_db(waveform + hum, waveform) + 10


@pytest.mark.parametrize("level", [10, 20, 30])
def test_hiss_is_found_and_lowered(level):
    waveform, rate = music()
    hiss = np.random.default_rng(0).standard_normal(waveform.shape)
    hiss *= np.sqrt((waveform**2).mean()) * 10 ** (-level / 20)
    noise = find_noise(waveform + hiss, rate)
    assert noise.hum_hz is None
    assert noise.snr_db == pytest.approx(level, abs=4)
    gains = [snr_db(denoise(waveform + hiss, rate, noise, amount), waveform) - level for amount in (0, 0.3, 1)]
    assert gains[0] == pytest.approx(0, abs=0.01)
    assert 1 < gains[1] < gains[2] + 0.5


def test_silence_has_no_noise():
    assert find_noise(np.zeros((1, 44100)), 22050) == Noise(None, None)
