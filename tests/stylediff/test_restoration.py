"""Restoration of sounds by networks whose prediction is known."""

import numpy as np
import pytest
import torch

from stylediff import MelEnhancer
from stylediff.mel import MelConfig
from stylediff.restoration import LOWEST_GAIN, restore, spread

RATE = 44_100
MEL = MelConfig()
TONE = 0.1 * torch.sin(2 * torch.pi * 440 * torch.arange(2 * RATE) / RATE)


class Shifts(MelEnhancer):
    """Predicts that the clean sound is louder by a number of nepers."""

    def __init__(self, nepers: float) -> None:
        super().__init__(widths=(16, 16))
        self.nepers = nepers

    def forward(self, generated: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return generated + self.nepers


def rms(waveform) -> float:
    return float(waveform.square().mean().sqrt())


def test_what_is_clean_stays():
    stereo = torch.stack([TONE, -0.5 * TONE])
    assert torch.allclose(restore(stereo, RATE, Shifts(0.0), 1.0), stereo, atol=1e-5)


@pytest.mark.parametrize(("amount", "nepers"), [(1.0, -1.0), (0.5, -0.5), (0.0, 0.0)])
def test_the_amount_scales_the_gain(amount, nepers):
    made = restore(TONE[None], RATE, Shifts(-1.0), amount)[0]
    assert np.log(rms(made) / rms(TONE)) == pytest.approx(nepers, abs=0.01)


def test_gains_are_limited():
    assert np.log(rms(restore(TONE[None], RATE, Shifts(-9.0), 1.0)) / rms(TONE)) == pytest.approx(LOWEST_GAIN, abs=0.01)


def test_what_a_gain_cannot_raise_comes_from_the_vocoder():
    noise = 0.05 * torch.randn(1, 2 * MEL.sample_rate + 512, generator=torch.Generator().manual_seed(0))
    alone = restore(TONE[None], RATE, Shifts(3.0), 1.0)
    filled = restore(TONE[None], RATE, Shifts(3.0), 1.0, lambda mel: noise)
    added = (filled - alone)[0].double().numpy()
    assert added.std() > 0.02
    spectrum = np.abs(np.fft.rfft(added)) ** 2
    assert spectrum[: len(spectrum) // 2].sum() > 0.99 * spectrum.sum()  # nothing above the bands


def test_values_are_interpolated_over_bands_and_frames():
    values = np.outer(np.linspace(0, 1, MEL.n_mels), np.ones(10)) + np.arange(10)
    seconds = (np.arange(9) + 1) * MEL.hop_length / MEL.sample_rate  # between two frames
    found = spread(values, MEL, np.array([0.0, 20_000.0]), seconds)
    assert np.allclose(found[0], np.arange(9) + 0.5)
    assert np.allclose(found[1], np.arange(9) + 1.5)


def test_long_sounds_have_no_joints():
    long = TONE.repeat(15)[None]
    made = restore(long, RATE, Shifts(-1.0), 1.0)
    assert torch.allclose(made[:, RATE:-RATE], long[:, RATE:-RATE] * float(np.exp(-1)), atol=1e-4)
