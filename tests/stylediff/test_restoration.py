"""Noise of known level, removed by the restorer that ships and by one whose prediction is known."""

import numpy as np
import pytest
import torch

from stylediff import MelEnhancer
from stylediff.audio import read_audio
from stylediff.denoising import Noise, find_noise
from stylediff.mel import MelConfig
from stylediff.restoration import HissReducer, fill_lost, remove_noise, spread, wiener_gains
from tests.helpers.files import ROOT

RATE = 44_100
MEL = MelConfig()
EXAMPLES = sorted((ROOT / "examples").glob("*.flac"))


def music() -> tuple[torch.Tensor, int]:
    samples, rate = read_audio(ROOT / "examples" / "piano_fur_elise.flac")
    return torch.from_numpy(samples), rate


def hiss(waveform: torch.Tensor, level: float) -> torch.Tensor:
    noise = torch.randn(waveform.shape, generator=torch.Generator().manual_seed(0))
    return waveform.square().mean().sqrt() * 10 ** (-level / 20) * noise


def snr_db(made: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(10 * (wanted.square().mean() / (made - wanted).square().mean()).log10())


def above(waveform: torch.Tensor, rate: int, hz: float) -> torch.Tensor:
    spectrum = torch.fft.rfft(waveform)
    spectrum[..., torch.fft.rfftfreq(waveform.shape[-1], 1 / rate) < hz] = 0
    return torch.fft.irfft(spectrum, waveform.shape[-1])


class Shifts(MelEnhancer):
    """Predicts that the clean sound is louder by a number of nepers."""

    def __init__(self, nepers: float) -> None:
        super().__init__(widths=(16, 16))
        self.nepers = nepers

    def forward(self, generated: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return generated + self.nepers


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_clean_music_stays_as_it_is(path):
    samples, rate = read_audio(path)
    waveform = torch.from_numpy(samples)
    assert remove_noise(waveform, rate, find_noise(samples, rate), 1.0) is waveform


@pytest.mark.parametrize("level", [10, 20, 30])
def test_hiss_is_lowered_by_the_amount(level):
    waveform, rate = music()
    noisy = waveform + hiss(waveform, level)
    noise = find_noise(noisy.numpy(), rate)
    gains = [snr_db(remove_noise(noisy, rate, noise, amount), waveform) - level for amount in (0, 0.3, 1)]
    assert gains[0] == pytest.approx(0, abs=0.01)
    assert 1 < gains[1] < gains[2] + 0.5


def test_hum_is_removed_from_every_channel():
    waveform, rate = music()
    time_s = torch.arange(waveform.shape[1]) / rate
    hum = sum(0.02 / n * torch.sin(2 * torch.pi * 50 * n * time_s + n) for n in (1, 2, 3, 5, 7))
    stereo = torch.stack([waveform[0] + hum, 0.5 * waveform[0]])
    cleaned = remove_noise(stereo, rate, Noise(50.0, None), 1.0)
    assert snr_db(cleaned[0], waveform[0]) > snr_db(stereo[0], waveform[0]) + 10
    assert snr_db(cleaned[1], stereo[1]) > 30


def test_a_restorer_that_hears_no_noise_changes_nothing():
    waveform, rate = music()
    stereo = torch.stack([waveform[0], -0.5 * waveform[0]])
    assert torch.allclose(HissReducer(Shifts(0.0), stereo, rate, 1.0).reduce(), stereo, atol=1e-5)


def test_a_restorer_that_hears_noise_alone_lowers_all_by_24_db():
    noise = 0.1 * torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(0))
    lowered = HissReducer(Shifts(-9.0), noise, RATE, 1.0).reduce()
    assert 20 * np.log10(float(lowered.std() / noise.std())) == pytest.approx(-24, abs=0.5)
    half = HissReducer(Shifts(-9.0), noise, RATE, 0.5).reduce()
    assert 20 * np.log10(float(half.std() / noise.std())) == pytest.approx(-12, abs=0.5)


def test_a_restorer_that_misses_nothing_adds_nothing():
    waveform, rate = music()
    filled = fill_lost(Shifts(0.2), lambda mel: torch.ones(1, mel.shape[-1] * MEL.hop_length), waveform, rate, 1.0)
    assert torch.equal(filled, waveform)


def test_what_is_missing_comes_from_the_vocoder_by_the_amount():
    waveform, rate = music()
    noise = torch.randn(1, waveform.shape[1], generator=torch.Generator().manual_seed(0))

    def add(amount: float) -> torch.Tensor:
        stereo = torch.cat([waveform, 0.5 * waveform])
        return fill_lost(Shifts(9.0), lambda mel: noise, stereo, rate, amount) - stereo

    whole, half = add(1.0), add(0.5)
    assert torch.allclose(half, 0.5 * whole, atol=1e-5)
    assert torch.allclose(whole[1], 0.5 * whole[0], atol=1e-4)
    assert above(whole, rate, 11_100).square().mean() < 1e-3 * whole.square().mean()


def test_nothing_is_filled_in_without_a_cutoff_or_a_vocoder():
    waveform, rate = music()
    assert remove_noise(waveform, rate, Noise(None, None, 5000.0), 1.0) is waveform
    assert remove_noise(waveform, rate, Noise(None, None), 1.0, lambda mel: mel) is waveform


def test_long_sounds_have_no_joints():
    noise = 0.1 * torch.randn(1, 30 * RATE, generator=torch.Generator().manual_seed(0))
    lowered = HissReducer(Shifts(-9.0), noise, RATE, 1.0).reduce()
    assert torch.allclose(lowered[:, RATE:-RATE], noise[:, RATE:-RATE] * 10 ** (-24 / 20), atol=2e-3)


def test_what_stands_above_the_noise_keeps_its_gain():
    power = np.ones((1, 3, 200))
    power[0, 1] = 1e4
    gains = wiener_gains(power, np.ones((1, 3)), 0.1)
    assert np.allclose(gains[0, 0, -1], 0.1)
    assert gains[0, 1, -1] > 0.99


def test_values_are_interpolated_over_bands_and_frames():
    values = np.outer(np.linspace(0, 1, MEL.n_mels), np.ones(10)) + np.arange(10)
    seconds = (np.arange(9) + 1) * MEL.hop_length / MEL.sample_rate  # between two frames
    found = spread(values, MEL, np.array([0.0, 20_000.0]), seconds)
    assert np.allclose(found[0], np.arange(9) + 0.5)
    assert np.allclose(found[1], np.arange(9) + 1.5)
