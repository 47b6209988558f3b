"""Hum and hiss of known level are found, and none in music without any."""

import numpy as np
import pytest

from stylediff.audio import read_audio
from stylediff.denoising import Noise, find_noise, subtract_hum
from tests.helpers.files import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.flac"))


def music():
    samples, rate = read_audio(ROOT / "examples" / "piano_fur_elise.flac")
    return samples.astype(np.float64), rate


def snr_db(made, wanted):
    return 10 * np.log10((wanted**2).mean() / ((made - wanted) ** 2).mean())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_clean_music_has_no_noise(path):
    samples, rate = read_audio(path)
    assert find_noise(samples, rate) == Noise(None, None)


@pytest.mark.parametrize("hz", [50.0, 60.0, 49.8])
@pytest.mark.slow
def test_hum_is_found_and_removed(hz):
    waveform, rate = music()
    time = np.arange(waveform.shape[1]) / rate
    hum = sum(0.02 / n * np.sin(2 * np.pi * hz * n * time + n) for n in (1, 2, 3, 5, 7))
    noise = find_noise(waveform + hum, rate)
    assert noise.hum_hz == pytest.approx(hz, abs=0.11)
    cleaned = waveform + hum - subtract_hum(waveform[0] + hum, rate, noise.hum_hz)
    assert snr_db(cleaned, waveform) > snr_db(waveform + hum, waveform) + 10


@pytest.mark.parametrize("level", [10, 20, 30])
def test_hiss_is_found(level):
    waveform, rate = music()
    hiss = np.random.default_rng(0).standard_normal(waveform.shape)
    hiss *= np.sqrt((waveform**2).mean()) * 10 ** (-level / 20)
    noise = find_noise(waveform + hiss, rate)
    assert noise.hum_hz is None
    assert noise.snr_db == pytest.approx(level, abs=4)


@pytest.mark.parametrize("hz", [3000, 5500, 9000])
def test_an_empty_band_is_found(hz):
    waveform, rate = music()
    noisy = waveform + 1e-4 * np.random.default_rng(0).standard_normal(waveform.shape)
    spectrum = np.fft.rfft(noisy)
    spectrum[:, np.fft.rfftfreq(noisy.shape[1], 1 / rate) > hz] = 0
    noise = find_noise(np.fft.irfft(spectrum, noisy.shape[1]), rate)
    assert noise.cutoff_hz == pytest.approx(hz, abs=200)
    assert f"nothing above {noise.cutoff_hz / 1000:.1f} kHz" in noise.describe()


def test_silence_has_no_noise():
    assert find_noise(np.zeros((1, 44100)), 22050) == Noise(None, None)
