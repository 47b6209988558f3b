"""Panning and width of stereo sounds."""

import math

import pytest
import torch

from stylediff.stereo import is_stereo, spread

RATE = 44_100


def noise(seed: int, seconds: float = 3.0) -> torch.Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def balance_db(stereo: torch.Tensor) -> float:
    return float(10 * (stereo[0].square().mean() / stereo[1].square().mean()).log10())


def correlation(stereo: torch.Tensor) -> float:
    return float((stereo[0] * stereo[1]).mean() / stereo.square().mean(1).prod().sqrt())


def pan(waveform: torch.Tensor, db: float) -> torch.Tensor:
    angle = math.atan(10 ** (-db / 20))
    return torch.stack([math.cos(angle) * waveform, math.sin(angle) * waveform])


def part(stereo: torch.Tensor, start_s: float, end_s: float) -> torch.Tensor:
    return stereo[:, round(start_s * RATE) : round(end_s * RATE)]


@pytest.mark.parametrize("db", [-12.0, 0.0, 3.0, 12.0])
@pytest.mark.parametrize("width", [0.0, 0.5, 1.0])
def test_balance_and_correlation_are_those_of_the_source(db, width):
    source = pan(noise(0), db)
    source = source + width * torch.stack([noise(1), noise(2)]) * source.square().mean(1, keepdim=True).sqrt() * 10
    result = spread(noise(3), source, RATE)
    assert balance_db(result) == pytest.approx(balance_db(source), abs=0.5)
    assert correlation(result) == pytest.approx(correlation(source), abs=0.05)


def test_the_mean_of_the_channels_is_the_mono_sound():
    mono = noise(3)
    result = spread(mono, torch.stack([noise(0), noise(1)]), RATE)
    assert torch.allclose(result.mean(0), mono, atol=1e-6)


def test_panning_is_followed_in_time_and_in_bands():
    moving = torch.cat([pan(noise(0, 1.5), 10.0), pan(noise(1, 1.5), -10.0)], dim=1)
    result = spread(noise(3), moving, RATE)
    for start, db in ((0.2, 10.0), (1.8, -10.0)):
        assert balance_db(part(result, start, start + 1.0)) == pytest.approx(db, abs=1)
    time = torch.arange(3 * RATE) / RATE
    low, high = (0.1 * torch.sin(2 * torch.pi * hz * time) for hz in (200, 3000))
    result = spread(low + high, pan(low, 10.0) + pan(high, -10.0), RATE)
    spectra = torch.fft.rfft(result * torch.hann_window(3 * RATE)).abs()
    for hz, db in ((200, 10.0), (3000, -10.0)):
        levels = spectra[:, 3 * hz - 5 : 3 * hz + 6].square().sum(1)
        assert float(10 * (levels[0] / levels[1]).log10()) == pytest.approx(db, abs=1)


def test_silence_on_a_side_and_other_lengths():
    one_sided = torch.stack([noise(0), torch.zeros(3 * RATE)])
    result = spread(noise(3), one_sided, RATE)
    assert result[1].square().mean() < 1e-6 * result[0].square().mean()
    for seconds in (0.01, 1.0, 4.0):
        assert spread(noise(3, seconds), one_sided, RATE).shape == (2, round(seconds * RATE))
    assert not spread(torch.zeros(RATE), one_sided, RATE).any()


def test_channels_that_are_equal_are_mono():
    assert is_stereo(torch.stack([noise(0), noise(1)]))
    assert not is_stereo(noise(0).repeat(2, 1))
    assert not is_stereo(noise(0))
    assert not is_stereo(torch.stack([noise(seed) for seed in range(6)]))


def test_a_long_sound_in_pieces_is_the_same(monkeypatch):
    source = torch.stack([noise(1), 0.5 * noise(1) + 0.2 * noise(2)])
    whole = spread(noise(3), source, RATE)
    monkeypatch.setattr("stylediff.stereo.BLOCK_WINDOWS", 8)
    torch.testing.assert_close(spread(noise(3), source, RATE), whole, rtol=0, atol=1e-5)
