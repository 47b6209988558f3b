"""Dynamics: let the loudness of an output follow its source.

The denoiser learns how loud instruments are on average. How loud this player was at each moment is easier to measure in
the clip.
"""

import math

import torch

from stylediff.mel import MelConfig

SMOOTH_SECONDS = 1.6  # longer than most notes, so that their decay stays that of the target
RANGE_DB = 20.0  # softer frames are mostly rests and endings


def frame_levels(mel: torch.Tensor) -> torch.Tensor:
    """Levels of the frames of log-mels, in nepers.

    (..., mels, frames) becomes (..., frames).
    """
    return (2 * mel).logsumexp(-2) / 2


def smooth_levels(levels: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Smooth levels (..., frames) over a Hann window.

    Before smoothing they are limited to 20 dB below the loudest.
    """
    levels = levels.clamp_min(levels.amax(-1, keepdim=True) - RANGE_DB * math.log(10) / 20)
    half = round(SMOOTH_SECONDS / 2 * config.sample_rate / config.hop_length)
    window = torch.hann_window(2 * half + 1, periodic=False).to(levels)[None, None]
    sums, weights = (
        torch.nn.functional.conv1d(values.reshape(-1, 1, values.shape[-1]), window, padding=half)
        for values in (levels, torch.ones_like(levels))
    )
    return (sums / weights).reshape(levels.shape)


def follow_dynamics(mel: torch.Tensor, source_mel: torch.Tensor, amount: float, config: MelConfig) -> torch.Tensor:
    """Move the smoothed level of a log-mel towards its source's.

    The energy of the whole log-mel stays the same.

    Args:
        mel, source_mel: (batch, 1, mels, frames) in nepers.
        amount: 0 leaves the log-mel as it is, 1 gives it the source's contour.
    """
    before = frame_levels(mel)
    gain = amount * (smooth_levels(frame_levels(source_mel), config) - smooth_levels(before, config))
    gain = gain + ((2 * before).logsumexp(-1, keepdim=True) - (2 * (before + gain)).logsumexp(-1, keepdim=True)) / 2
    return torch.where(mel > config.log_floor, (mel + gain[..., None, :]).clamp_min(config.log_floor), mel)
