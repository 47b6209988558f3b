"""Phases for magnitudes: partials are followed from frame to frame, then all frames are made to agree."""

import math

import torch
from torch import nn

from stylediff.mel import MelConfig, transform

MOMENTUM = 0.9
SMALLEST = 1e-7


def inverse_transform(spectrum: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Waveform whose short-time Fourier transform is closest to a spectrum, the inverse of ``mel.transform``.

    Windowed frames are overlapped, added and divided by the summed squared window (Griffin and Lim 1984, eq. 6).

    Args:
        spectrum: (batch, n_fft // 2 + 1, frames), complex.

    Returns:
        (batch, frames * hop_length).
    """
    n_fft, hop_length, frames = config.n_fft, config.hop_length, spectrum.shape[-1]
    window = torch.hann_window(n_fft, device=spectrum.device)[:, None]
    pieces = torch.fft.irfft(spectrum, n_fft, dim=1) * window
    weights = window.square().expand(1, n_fft, frames)
    padded = (1, (frames - 1) * hop_length + n_fft)
    kept = slice(config.pad, padded[1] - config.pad)
    summed, weight = (
        nn.functional.fold(values, padded, (1, n_fft), stride=(1, hop_length))[:, 0, 0, kept]
        for values in (pieces, weights)
    )
    return summed / weight


def nearest_peaks(magnitude: torch.Tensor) -> torch.Tensor:
    """Bin of the spectral peak closest to each bin, (batch, bins, frames) int64; ties go to the higher one."""
    bins = magnitude.shape[1]
    last = bins - 1
    inner = magnitude[:, 1:-1]
    is_peak = nn.functional.pad((inner >= magnitude[:, :-2]) & (inner > magnitude[:, 2:]), (0, 0, 1, 1))
    index = torch.arange(bins, device=magnitude.device)[:, None]
    # Where there is no peak on one side, the sentinel lies so far off that the other side wins.
    below = torch.where(is_peak, index, -2 * bins).cummax(1).values
    above = torch.where(is_peak, index, 3 * bins).flip(1).cummin(1).values.flip(1)
    return torch.where(index - below < above - index, below, above).clamp(0, last)


def track_phases(magnitude: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Phases of partials that go on from frame to frame, as if each peak were a tone of slowly changing pitch.

    Single pass spectrogram inversion (Beauregard, Harish and Wyse 2015): a peak's frequency comes from a parabola
    through its log-magnitudes, its phase from that of the frame before, and the bins around it are locked to it.
    Frequencies of both frames are averaged, and phases are those at the middle of a frame, so that glides stay whole.

    Args:
        magnitude: (batch, n_fft // 2 + 1, frames), of Hann windows.

    Returns:
        Radians, like ``magnitude``, for frames counted from their first sample.
    """
    log = magnitude.clamp_min(SMALLEST).log()
    left, middle, right = log[:, :-2], log[:, 1:-1], log[:, 2:]
    offset = 0.5 * (left - right) / (left - 2 * middle + right).clamp_max(-SMALLEST)
    index = torch.arange(magnitude.shape[1], device=magnitude.device)[:, None]
    frequency = index + nn.functional.pad(offset.clamp(-0.5, 0.5), (0, 0, 1, 1))
    peaks = nearest_peaks(magnitude)
    frequency = frequency.gather(1, peaks)  # bins
    before = torch.cat([frequency[..., :1], frequency[..., :-1]], dim=-1).gather(1, peaks)
    same_partial = (frequency - before).abs() < 1
    mean = torch.where(same_partial, (frequency + before) / 2, frequency)
    advance = torch.remainder(mean * (2 * math.pi * config.hop_length / config.n_fft), 2 * math.pi)
    phase = torch.zeros_like(magnitude[..., 0])
    phases = []
    for peak, step in zip(peaks.unbind(-1), advance.unbind(-1), strict=True):
        phase = phase.gather(1, peak) + step
        phases.append(phase)
    return torch.stack(phases, dim=-1) - math.pi * index


def refine_phases(magnitude: torch.Tensor, phase: torch.Tensor, config: MelConfig, iterations: int) -> torch.Tensor:
    """Phases under which overlapping frames agree better, by fast Griffin-Lim (Perraudin et al. 2013, algorithm 2).

    Args:
        magnitude, phase: (batch, n_fft // 2 + 1, frames); phases in radians.

    Returns:
        Unit phasors, complex, like ``magnitude``.
    """
    phasor = torch.polar(torch.ones_like(phase), phase)
    before: torch.Tensor | None = None
    for _ in range(iterations):
        consistent = transform(inverse_transform(magnitude * phasor, config), config)
        ahead = consistent if before is None else consistent + MOMENTUM * (consistent - before)
        before = consistent
        phasor = ahead / ahead.abs().clamp_min(SMALLEST)
    return phasor
