"""A loop is a ring: turning it turns the result, and nothing is heard at its joint."""

import numpy as np
import pytest
import torch

from stylediff.mel import MelConfig
from stylediff.ring import close_ring, join_ring, resample_ring, ring_frames, ring_mel, transfer_ring
from stylediff.settings import TransferSettings
from tests.helpers.tiny_pipeline import tiny_pipeline

pytestmark = pytest.mark.slow

MEL = MelConfig()
FRAMES = 160
SAMPLES = FRAMES * MEL.hop_length


def periodic_tone(samples=SAMPLES, periods=800):
    return 0.3 * torch.sin(2 * torch.pi * periods * torch.arange(samples, dtype=torch.float64) / samples).float()


def test_resampling_a_ring_keeps_it_a_ring():
    back = resample_ring(resample_ring(periodic_tone(), SAMPLES + 1000), SAMPLES)
    assert torch.allclose(back, periodic_tone(), atol=1e-5)
    other = resample_ring(periodic_tone(), 2 * SAMPLES)
    assert torch.allclose(other, periodic_tone(2 * SAMPLES), atol=1e-4)


def test_frames_of_a_ring_give_the_ring_back():
    loop = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(join_ring(ring_frames(loop, MEL), MEL), loop, atol=1e-4)


def test_the_mel_of_a_turned_ring_is_the_turned_mel():
    loop = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))
    turned = ring_mel(loop.roll(40 * MEL.hop_length), MEL)
    assert torch.allclose(turned, ring_mel(loop, MEL).roll(40, -1), atol=1e-3)


def test_a_tone_that_does_not_fit_the_loop_is_closed_without_a_step():
    time = torch.arange((FRAMES + 128) * MEL.hop_length) / MEL.sample_rate
    sound = 0.3 * torch.sin(2 * torch.pi * 440.7 * time)
    loop = close_ring(sound, FRAMES, MEL)
    assert loop.shape == (SAMPLES,)
    twice = torch.cat([loop, loop])
    blocks = twice[: 2 * SAMPLES // 256 * 256].reshape(-1, 256).square().mean(1).sqrt()
    assert float(blocks.min()) > 0.15  # a plain crossfade of opposite phases falls to 0
    steps = twice.diff().abs()
    assert float(steps[SAMPLES - 2 : SAMPLES + 1].max()) <= float(sound.diff().abs().max()) * 1.1


@pytest.mark.parametrize(("samples", "rate"), [(44100 * 3 + 17, 44100), (22050, 22050)])
def test_a_transferred_loop_is_exact_and_repeatable(samples, rate):
    pipeline, settings = tiny_pipeline(), TransferSettings(steps=2).resolve({})
    loop = torch.from_numpy(0.2 * np.sin(np.arange(samples) / 9)).float()
    first, again, other = (
        transfer_ring(pipeline, loop, rate, "harp", settings, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (samples,)
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
