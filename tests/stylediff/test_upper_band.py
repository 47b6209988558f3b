"""Hints of the upper band: from a source and from a reference clip."""

import math

import pytest
import torch

from stylediff.audio import resample
from stylediff.bandwidth import BANDS, LEVEL_FLOOR, BandExtender, upper_levels
from stylediff.mel import waveform_to_mel
from stylediff.upper_band import LARGEST, WEIGHT, extend_band, measure_brightness, own_levels, source_hint
from tests.helpers.tiny_pipeline import tiny_pipeline

RATE, LOWER = 44_100, 22_050


def noise(seconds: float = 2.0, channels: int = 1) -> torch.Tensor:
    made = 0.1 * torch.randn(channels, round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    return made[0] if channels == 1 else made


@pytest.fixture
def extender() -> BandExtender:
    torch.manual_seed(0)
    made = BandExtender(width=16, layers=1).eval()
    made.leave.bias.data += 1.0  # above the floor
    return made


def without_upper_band(waveform: torch.Tensor) -> torch.Tensor:
    return resample(resample(waveform, RATE, LOWER), LOWER, RATE)


def test_a_source_without_an_upper_band_gives_no_hint(extender):
    assert source_hint(noise(), LOWER, 1.0, 10, RATE) is None
    assert source_hint(without_upper_band(noise()), RATE, 1.0, 10, RATE) is None
    assert measure_brightness(extender, without_upper_band(noise()), RATE) is None


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_hint_has_the_levels_of_the_source(rate):
    sound = noise()
    hint = source_hint(resample(sound, RATE, rate), rate, 2.0, 173, RATE)
    assert hint.shape == (1, BANDS, 173)
    expected = upper_levels(sound) + math.log(2)
    assert float((hint[0] - expected)[:-2, 4:-4].abs().mean()) < 0.05  # the last bands are above 20 kHz


def test_a_long_source_is_measured_in_pieces(monkeypatch):
    whole = upper_levels(noise())
    monkeypatch.setattr("stylediff.bandwidth.BLOCK_FRAMES", 50)
    assert torch.allclose(upper_levels(noise()), whole, atol=1e-5)


def test_stereo_counts_as_its_mix():
    stereo = noise(channels=2)
    assert torch.allclose(own_levels(stereo, RATE, RATE), upper_levels(stereo.mean(0)), atol=1e-5)


def test_brightness_takes_predicted_levels_towards_those_of_the_clip(extender):
    sound = noise(3.0)
    brightness = measure_brightness(extender, sound, RATE)
    assert brightness.shape == (BANDS, 1)
    assert float(brightness.abs().max()) <= WEIGHT * LARGEST + 1e-6
    lower = resample(sound, RATE, LOWER)
    mel = waveform_to_mel(lower[None], extender.mel)
    with torch.no_grad():
        plain, shifted = extend_band(extender, lower, mel), extend_band(extender, lower, mel, None, brightness)
    change = (upper_levels(shifted) - upper_levels(plain))[:-1, 8:-8].mean(1)
    assert torch.allclose(change, brightness[:-1, 0], atol=0.1)


def test_silent_levels_stay_silent_whatever_the_brightness(extender):
    lower, mel = torch.zeros(LOWER), torch.full((1, 1, 256, 87), extender.mel.log_floor)
    extender.leave.weight.data.zero_()
    extender.leave.bias.data.fill_(-5.0)  # below the floor
    with torch.no_grad():
        assert float(extender(mel).max()) == LEVEL_FLOOR
        made = extend_band(extender, lower, mel, None, torch.ones(BANDS, 1))
    assert not made.any()


def test_the_pipeline_passes_both_on():
    pipeline = tiny_pipeline()
    torch.manual_seed(0)
    parts = pipeline.components | {"band_extender": BandExtender(width=16, layers=1)}
    pipeline = type(pipeline)(**parts)
    sound = noise()
    assert pipeline.measure_brightness(sound, RATE).shape == (BANDS, 1)

    def convert(source: torch.Tensor, **more) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return pipeline(source, RATE, "violin", generator=generator, num_inference_steps=1, **more).audio

    plain = convert(without_upper_band(sound))
    assert not torch.allclose(upper_levels(convert(sound)), upper_levels(plain), atol=0.05)
    brighter = convert(without_upper_band(sound), brightness=torch.full((BANDS, 1), 0.5))
    change = (upper_levels(brighter) - upper_levels(plain))[:-1, 8:-8]
    assert float(change.mean()) > 0.1  # less than 0.5, since peaks are limited
