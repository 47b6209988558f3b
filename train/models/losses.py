"""Training losses on waveforms, spectrograms and discriminator outputs."""

import math

import torch

from stylediff.dynamics import frame_levels
from stylediff.mel import MelConfig, transform, waveform_to_mel

RESOLUTIONS = (512, 1024, 2048)

# About the floor of log-mels, which hides anything weaker.
MAGNITUDE_FLOOR = 1e-2
LEVEL_RANGE_DB = 40.0


def magnitudes(waveform: torch.Tensor, n_fft: int) -> torch.Tensor:
    """Magnitudes of the short-time Fourier transform in float32.

    The hop is a quarter of the window.

    Args:
        waveform: (batch, samples).

    Returns:
        (batch, n_fft // 2 + 1, frames).
    """
    with torch.autocast(waveform.device.type, enabled=False):
        window = torch.hann_window(n_fft, device=waveform.device)
        return torch.stft(waveform.float(), n_fft, n_fft // 4, window=window, return_complex=True).abs()


def stft_loss(waveform: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Multi-resolution STFT loss (Yamamoto et al. 2020, arXiv 1910.11480, eqs. 4-6).

    It is the mean over resolutions of spectral convergence plus the L1 distance of log-magnitudes.

    Args:
        waveform, target: (batch, samples).
    """
    losses = []
    for n_fft in RESOLUTIONS:
        ours, theirs = magnitudes(waveform, n_fft), magnitudes(target, n_fft)
        # Over the batch, not per clip: a silent clip would divide by zero.
        convergence = torch.linalg.norm(theirs - ours) / torch.linalg.norm(theirs).clamp_min(1.0)
        logs = ours.clamp_min(MAGNITUDE_FLOOR).log() - theirs.clamp_min(MAGNITUDE_FLOOR).log()
        losses.append(convergence + logs.abs().mean())
    return torch.stack(losses).mean()


def level_loss(mel: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of frame levels, in nepers.

    The log-mels have the shape (..., mels, frames).

    Levels are limited to 40 dB below the target's loudest frame.
    """
    ours, theirs = frame_levels(mel), frame_levels(target)
    softest = theirs.amax(-1, keepdim=True) - LEVEL_RANGE_DB * math.log(10) / 20
    return (ours.maximum(softest) - theirs.maximum(softest)).abs().mean()


def mel_loss(waveform: torch.Tensor, target: torch.Tensor, mel: MelConfig) -> torch.Tensor:
    """Mean absolute difference of log-mels in nepers; both waveforms are (batch, samples)."""
    return (waveform_to_mel(waveform, mel) - waveform_to_mel(target, mel)).abs().mean()


def magnitude_loss(magnitude: torch.Tensor, target: torch.Tensor, mel: MelConfig) -> torch.Tensor:
    """Mean absolute difference of log-magnitudes, in nepers.

    Predicted magnitudes are compared with those of waveforms.

    Args:
        magnitude: (batch, n_fft // 2 + 1, frames).
        target: (batch, samples).
    """
    with torch.autocast(target.device.type, enabled=False):
        theirs = transform(target.float(), mel).abs()
    return (magnitude.clamp_min(MAGNITUDE_FLOOR).log() - theirs.clamp_min(MAGNITUDE_FLOOR).log()).abs().mean()


def edge_loss(mel: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 distance of differences between neighbouring bands and frames, in nepers.

    Args:
        mel, target: log-mels (..., mels, frames).
    """
    bands = (mel.diff(dim=-2) - target.diff(dim=-2)).abs().mean()
    return bands + (mel.diff(dim=-1) - target.diff(dim=-1)).abs().mean()


def discriminator_loss(real: list[torch.Tensor], fake: list[torch.Tensor]) -> torch.Tensor:
    """Hinge loss of discriminators, averaged over their logits.

    Source: Lim and Ye 2017, arXiv 1705.02894.

    Args:
        real, fake: logits of each discriminator, of any shape.
    """
    losses = [(1 - r).relu().mean() + (1 + f).relu().mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def adversarial_loss(fake: list[torch.Tensor]) -> torch.Tensor:
    """Hinge loss of the generator, as in Vocos."""
    return torch.stack([(1 - logits).relu().mean() for logits in fake]).mean()


def feature_loss(real: list[list[torch.Tensor]], fake: list[list[torch.Tensor]]) -> torch.Tensor:
    """Feature-matching loss: mean L1 distance of all feature maps.

    Source: Kong et al. 2020, arXiv 2010.05646, eq. 5.

    Args:
        real, fake: feature maps of each discriminator.
    """
    distances = [
        (ours - theirs).abs().mean()
        for fakes, reals in zip(fake, real, strict=True)
        for ours, theirs in zip(fakes, reals, strict=True)
    ]
    return torch.stack(distances).mean()
