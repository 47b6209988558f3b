"""The upper band of sounds with known spectra."""

import math

import pytest
import torch

from stylediff.audio import resample
from stylediff.bandwidth import (
    BANDS,
    HOP_LENGTH,
    LEVEL_FLOOR,
    BandExtender,
    add_upper_band,
    from_spectrum,
    full_spectrum,
    upper_levels,
)
from stylediff.mel import MelConfig

RATE, FRAMES = 44_100, 100


def noise(seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(FRAMES * HOP_LENGTH, generator=torch.Generator().manual_seed(seed))


def lower_band(waveform: torch.Tensor) -> torch.Tensor:
    return resample(resample(waveform, RATE, RATE // 2), RATE // 2, RATE)


def test_a_spectrum_has_a_frame_for_each_of_the_mel_and_can_be_inverted():
    for extra in (0, 1, 300):
        waveform = noise()[: len(noise()) - extra]
        spectra = full_spectrum(waveform)
        assert spectra.shape[1] == MelConfig().frames(math.ceil(len(waveform) / 2))
        restored = from_spectrum(spectra, len(waveform))
        assert torch.allclose(restored[2048:-2048], waveform[2048:-2048], atol=1e-5)


def test_an_added_band_has_the_levels_that_were_wanted():
    wanted = upper_levels(noise(1))
    result = add_upper_band(lower_band(noise()), wanted)
    inside = slice(5, -5)
    assert (upper_levels(result) - wanted)[2:-1, inside].abs().mean() < 0.15
    lower = lower_band(result)
    assert torch.allclose(lower[4096:-4096], lower_band(lower_band(noise()))[4096:-4096], atol=0.02)


def test_levels_at_the_floor_add_nothing_and_silence_stays_silent():
    lower = lower_band(noise())
    floor = torch.full((BANDS, FRAMES), LEVEL_FLOOR)
    assert torch.allclose(add_upper_band(lower, floor), lower, atol=1e-6)
    assert add_upper_band(torch.zeros(FRAMES * HOP_LENGTH), floor).abs().max() < 1e-6


def test_a_click_keeps_its_place():
    click = torch.zeros(FRAMES * HOP_LENGTH)
    click[20_000] = 0.9
    lower = lower_band(click)
    added = add_upper_band(lower, upper_levels(click)) - lower
    near = added[20_000 - 1100 : 20_000 + 1100].square().sum()
    assert near > 0.95 * added.square().sum()


def test_the_same_sound_gives_the_same_samples():
    lower, levels = lower_band(noise()), upper_levels(noise())
    assert torch.equal(add_upper_band(lower, levels), add_upper_band(lower, levels))


@pytest.mark.parametrize("has_hint", [True, False])
def test_predicted_levels_follow_the_hint_only_where_there_is_one(has_hint):
    torch.manual_seed(0)
    extender = BandExtender(width=16, layers=2)
    mel = torch.rand(2, 1, 256, 50)
    hint = torch.full((2, BANDS, 50), torch.nan)
    changed = hint.clone()
    if has_hint:
        hint[:], changed[:] = -3.0, 0.0
    first, second = extender(mel, hint), extender(mel, changed)
    assert first.shape == (2, BANDS, 50)
    assert torch.isfinite(first).all()
    assert torch.equal(first, second) != has_hint
    if not has_hint:
        assert torch.equal(first, extender(mel))


def test_a_long_sound_in_blocks_is_the_same(monkeypatch):
    sound, levels = lower_band(noise()), torch.full((BANDS, 400), -4.0)
    whole = add_upper_band(sound, levels)
    monkeypatch.setattr("stylediff.bandwidth.BLOCK_FRAMES", 16)
    torch.testing.assert_close(add_upper_band(sound, levels), whole, rtol=0, atol=1e-6)
