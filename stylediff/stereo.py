"""Panning and width of a stereo clip, given to a mono result."""

import math

import torch
from torch.nn.functional import avg_pool1d, pad

from stylediff.audio import limit_peak
from stylediff.windows import map_blocks

WINDOW_S, SMOOTHING_S = 0.046, 0.25
BANDS = 24  # equal on the mel scale
LOWEST_POWER = 1e-12
RIPPLE = 2.405  # first zero of the Bessel function J0: the mean of exp(i RIPPLE sin x) is 0
RIPPLE_HZ = 250.0
BLOCK_WINDOWS = 512  # spectra's windows in a piece of a long sound, 24 s
MARGIN_S = 0.5  # seen on each side of a piece
COPIES = 6  # on each side; those beyond are below -50 dB


def is_stereo(waveform: torch.Tensor) -> bool:
    """Return True for (2, samples) whose channels differ."""
    return waveform.ndim == 2 and len(waveform) == 2 and not torch.equal(waveform[0], waveform[1])


def spread(waveform: torch.Tensor, source: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Give a mono sound the panning and width of a source.

    In each band and moment the side signal is a panned and a decorrelated share of the mono signal. Both shares follow
    from the source's balance b and correlation k, relative to its power: b / (1 + k) and sqrt(1 - k^2 - b^2) / (1 + k).
    The result then has the same balance and correlation. Where the source's channels oppose each other, k counts as 0.

    Args:
        waveform: (samples,); the mean of the result's channels, unless that would clip.
        source: (2, samples) at the same rate, in any length.

    Returns:
        (2, samples).
    """
    size = 2 ** round(math.log2(WINDOW_S * sample_rate))
    missing = len(waveform) - source.shape[-1]
    heard = pad(source, (0, missing)) if missing > 0 else source

    def make(part: slice) -> torch.Tensor:
        return spread_block(waveform[part], heard[:, part].to(waveform), sample_rate, size)

    margin = math.ceil(MARGIN_S * sample_rate / size) * size
    return limit_peak(map_blocks(make, len(waveform), BLOCK_WINDOWS * size, margin))


def spread_block(waveform: torch.Tensor, source: torch.Tensor, sample_rate: int, size: int) -> torch.Tensor:
    """Give a piece of a mono sound panning and width, (2, samples).

    Args:
        waveform: (samples,).
        source: (2, samples).
        size: samples of a spectrum's window.
    """
    mono = spectrum(waveform, size)
    left, right = (spectrum(channel, size) for channel in source)
    frames = max(1, round(SMOOTHING_S * sample_rate / (size // 4)) // 2 * 2 + 1)
    bands = band_filters(size // 2 + 1, sample_rate).to(waveform)
    power = smooth(bands, left.abs().square() + right.abs().square(), frames) + LOWEST_POWER
    balance = smooth(bands, left.abs().square() - right.abs().square(), frames) / power
    common = (2 * smooth(bands, (left * right.conj()).real, frames) / power).clamp_min(0)
    panned = balance / (1 + common)
    decorrelated = (1 - common.square() - balance.square()).clamp_min(0).sqrt() / (1 + common)
    to_bins = (bands / bands.sum(0, keepdim=True)).T
    side = mono * (to_bins @ panned)
    side = side + spectrum(decorrelate(waveform, sample_rate), size) * (to_bins @ decorrelated)
    window = torch.hann_window(size, device=waveform.device)
    wide = torch.istft(side, size, size // 4, window=window, length=len(waveform))
    return torch.stack([waveform + wide, waveform - wide])


def spectrum(waveform: torch.Tensor, size: int) -> torch.Tensor:
    """Complex spectra (bins, frames) of (samples,)."""
    window = torch.hann_window(size, device=waveform.device)
    return torch.stft(pad(waveform, (0, max(0, size - len(waveform)))), size, size // 4, window=window,
                      pad_mode="constant", return_complex=True)  # fmt: skip


def smooth(bands: torch.Tensor, power: torch.Tensor, frames: int) -> torch.Tensor:
    """Sum (bins, frames) over bands, and average over frames; (bands, frames)."""
    return avg_pool1d(bands @ power, frames, stride=1, padding=frames // 2, count_include_pad=False)


def band_filters(bins: int, sample_rate: int) -> torch.Tensor:
    """Triangles of equal width in mels that sum to 1; (bands, bins)."""
    mels = 2595 * torch.log10(1 + torch.linspace(0, sample_rate / 2, bins) / 700)
    places = mels / mels[-1] * (BANDS - 1)
    return (1 - (places - torch.arange(BANDS)[:, None]).abs()).clamp_min(0)


def decorrelate(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Return an uncorrelated sound, (samples,), of the same spectrum as another.

    The phases turn by ``RIPPLE * sin(2 pi f / RIPPLE_HZ)``. By the Jacobi-Anger expansion this is a sum of shifted
    copies, weighted by Bessel functions.
    """
    from scipy.special import jv

    result = torch.zeros_like(waveform)
    for number in range(-COPIES, COPIES + 1):
        moved = min(round(abs(number) / RIPPLE_HZ * sample_rate), len(waveform))
        weight, end = float(jv(number, RIPPLE)), len(waveform) - moved
        if number < 0:
            result[moved:] += weight * waveform[:end]
        else:
            result[:end] += weight * waveform[moved:]
    return result
