"""Dynamics: the loudness of a generated log-mel follows its source."""

import pytest
import torch

from stylediff.dynamics import follow_dynamics, frame_levels
from stylediff.mel import MelConfig

CONFIG = MelConfig()


def noise_mel(level: torch.Tensor, seed: int) -> torch.Tensor:
    """A log-mel of noise with the given frame levels (frames,), in nepers."""
    noise = torch.randn(1, 1, CONFIG.n_mels, len(level), generator=torch.Generator().manual_seed(seed))
    return 0.3 * noise + level


def contours(*mels: torch.Tensor) -> torch.Tensor:
    return torch.stack([frame_levels(mel)[0, 0] for mel in mels])


def swell(frames: int = 1200) -> torch.Tensor:
    return torch.linspace(0, 4 * torch.pi, frames).cos() - 3


def test_without_dynamics_nothing_changes():
    mel = noise_mel(torch.full((1200,), -3.0), 0)
    torch.testing.assert_close(follow_dynamics(mel, noise_mel(swell(), 1), 0.0, CONFIG), mel)


@pytest.mark.parametrize("frames", [40, 300, 1200])
def test_a_flat_output_swells_with_its_source(frames):
    source, flat = noise_mel(swell(frames), 1), noise_mel(torch.full((frames,), -3.0), 0)
    outputs = [follow_dynamics(flat, source, amount, CONFIG) for amount in (0.0, 0.5, 1.0)]
    spans = contours(*outputs).std(dim=1)
    if frames >= 300:  # changes shorter than the window are not followed
        assert torch.corrcoef(contours(outputs[1], source))[0, 1] > 0.9
        assert spans[0] < 0.6 * spans[1]
        assert spans[1] < 0.6 * spans[2]
    assert all(torch.isfinite(output).all() for output in outputs)


def test_fast_changes_are_the_outputs_own():
    decays = torch.arange(1200).remainder(40) * -0.05 - 2  # notes of half a second
    plucked, steady = noise_mel(decays, 0), noise_mel(torch.full((1200,), -3.0), 1)
    change = (follow_dynamics(plucked, steady, 1.0, CONFIG) - plucked).abs()
    assert change[..., 70:-70].max() < 0.06  # where the window is inside the clip
    assert change.max() < 0.25


def test_the_total_energy_stays_the_same():
    mel = noise_mel(torch.full((1200,), -3.0), 0)
    output = follow_dynamics(mel, noise_mel(swell() + 2, 1), 1.0, CONFIG)
    torch.testing.assert_close((2 * output).exp().mean(), (2 * mel).exp().mean(), rtol=0.02, atol=0)


def test_silence_stays_silent():
    silent = torch.full((1, 1, CONFIG.n_mels, 600), CONFIG.log_floor)
    loud = noise_mel(swell(600), 1)
    assert torch.equal(follow_dynamics(silent, loud, 1.0, CONFIG), silent)
    assert torch.isfinite(follow_dynamics(loud, silent, 1.0, CONFIG)).all()


def test_clips_of_a_batch_are_independent():
    mels = torch.cat([noise_mel(torch.full((600,), -3.0), seed) for seed in (0, 1)])
    sources = torch.cat([noise_mel(swell(600) * scale, 2) for scale in (1, 2)])
    together = follow_dynamics(mels, sources, 0.7, CONFIG)
    torch.testing.assert_close(together[1:], follow_dynamics(mels[1:], sources[1:], 0.7, CONFIG))
