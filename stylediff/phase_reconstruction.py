"""Phase reconstruction: track partials, then make all frames agree."""

import math
from functools import lru_cache

import torch
from torch import nn

from stylediff.mel import MelConfig, transform

MOMENTUM = 0.9
HANN_SPREAD = 0.25645  # of the Gaussian nearest to a Hann window, over its squared length (Průša et al. 2017)
SMALLEST = 1e-7
GAP_ITERATIONS = 48
GAP_FRAMES = 20  # on each side of a gap, which see some of its samples


def overlap_add(pieces: torch.Tensor, hop_length: int) -> torch.Tensor:
    """Sum of frames that start ``hop_length`` samples apart.

    Args:
        pieces: (batch, frames, n_fft), n_fft a multiple of ``hop_length``.

    Returns:
        (batch, (frames - 1) * hop_length + n_fft).
    """
    batch, frames, n_fft = pieces.shape
    blocks = pieces.reshape(batch, frames, n_fft // hop_length, hop_length)
    total = pieces.new_zeros(batch, frames + blocks.shape[2] - 1, hop_length)
    for number in range(blocks.shape[2]):
        total[:, number : number + frames] += blocks[:, :, number]
    return total.flatten(1)


@lru_cache(maxsize=4)
def window_weight(config: MelConfig, frames: int) -> torch.Tensor:
    """Sum of the squared windows of some frames.

    Returns ((frames - 1) * hop_length + n_fft,).
    """
    squared = torch.hann_window(config.n_fft).square()
    return overlap_add(squared.expand(1, frames, -1), config.hop_length)[0]


def join_frames(spectra: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Return the waveform whose frames are closest to spectra.

    The padding of ``mel.transform`` on both sides is set to 0.

    Windowed frames are overlapped, added and divided by the summed squared window (Griffin and Lim 1984, eq. 6).

    Args:
        spectra: (batch, frames, n_fft // 2 + 1), complex; frames before bins, since transforms run along the last axis.

    Returns:
        (batch, frames * hop_length + 2 * pad).
    """
    window = torch.hann_window(config.n_fft, device=spectra.device)
    pieces = torch.fft.irfft(spectra, config.n_fft).mul_(window)  # a new array costs more than the transform
    summed = overlap_add(pieces, config.hop_length)
    weight = window_weight(config, spectra.shape[1]).to(window.device)
    kept = slice(config.pad, summed.shape[-1] - config.pad)
    return nn.functional.pad(summed[:, kept] / weight[kept], (config.pad, config.pad))


def inverse_transform(spectrum: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Invert ``mel.transform``, in the least-squares sense.

    Args:
        spectrum: (batch, n_fft // 2 + 1, frames), complex.

    Returns:
        (batch, frames * hop_length).
    """
    return join_frames(spectrum.transpose(1, 2), config)[:, config.pad : -config.pad]


def nearest_peaks(magnitude: torch.Tensor) -> torch.Tensor:
    """Return the spectral peak nearest to each bin.

    Returns (..., bins) int64. Of two equally near peaks, the higher one is taken.

    Args:
        magnitude: (..., bins); the scans below are many times faster along the last axis than along another.
    """
    bins = magnitude.shape[-1]
    inner = magnitude[..., 1:-1]
    is_peak = nn.functional.pad((inner >= magnitude[..., :-2]) & (inner > magnitude[..., 2:]), (1, 1))
    index = torch.arange(bins, device=magnitude.device)
    # Where one side has no peak, its sentinel is so far away that the other side wins.
    below = torch.where(is_peak, index, -2 * bins).cummax(-1).values
    above = torch.where(is_peak, index, 3 * bins).flip(-1).cummin(-1).values.flip(-1)
    return torch.where(index - below < above - index, below, above).clamp(0, bins - 1)


def onset_phases(log: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Phase differences along frequency for sounds that grow or decay.

    Each value is relative to the lowest bin.

    When sound begins late in a frame, magnitudes grow from frame to frame and phases fall along frequency. With a
    Gaussian window one slope determines the other (Průša, Balazs and Søndergaard 2017, "A noniterative method for
    reconstruction of phase from STFT magnitude"). For a steady tone both are 0.

    Args:
        log: log-magnitudes in nepers, (batch, frames, bins).

    Returns:
        Radians in the shape of ``log``, with each frame's middle as the origin of time.
    """
    around = torch.cat([log[:, :1], log, log[:, -1:]], dim=1)
    growth = (around[:, 2:] - around[:, :-2]) / 2  # nepers a hop
    # No sound begins further away than half a window.
    slope = (-HANN_SPREAD * config.n_fft / config.hop_length * growth).clamp(-math.pi, math.pi)
    return slope.cumsum(-1) - slope / 2


def track_phases(magnitude: torch.Tensor, config: MelConfig, before_first: torch.Tensor | None = None) -> torch.Tensor:
    """Phases of partials that continue from frame to frame.

    Each peak is treated as a tone of slowly changing pitch.

    Single pass spectrogram inversion (Beauregard, Harish and Wyse 2015): a peak's frequency comes from a parabola
    through its log-magnitudes, and its phase continues that of the previous frame. The bins around a peak are locked to
    it, with a slope along frequency where the sound begins or ends. The frequencies of both frames are averaged and
    phases refer to the middle of a frame, so that glides stay intact.

    Args:
        magnitude: (batch, n_fft // 2 + 1, frames), of Hann windows.
        before_first: phases of the frame before the first, to continue from, (batch, n_fft // 2 + 1), in radians.

    Returns:
        Radians in the shape of ``magnitude``, with each frame's first sample as the origin of time.
    """
    magnitude = magnitude.transpose(1, 2).contiguous()
    log = magnitude.clamp_min(SMALLEST).log()
    left, middle, right = log[..., :-2], log[..., 1:-1], log[..., 2:]
    offset = 0.5 * (left - right) / (left - 2 * middle + right).clamp_max(-SMALLEST)
    index = torch.arange(magnitude.shape[-1], device=magnitude.device)
    frequency = index + nn.functional.pad(offset.clamp(-0.5, 0.5), (1, 1))
    peaks = nearest_peaks(magnitude)
    frequency = frequency.gather(-1, peaks)  # bins
    before = torch.cat([frequency[:, :1], frequency[:, :-1]], dim=1).gather(-1, peaks)
    same_partial = (frequency - before).abs() < 1
    mean = torch.where(same_partial, (frequency + before) / 2, frequency)
    slope = onset_phases(log, config)
    advance = mean * (2 * math.pi * config.hop_length / config.n_fft) + slope - slope.gather(-1, peaks)
    phase = torch.zeros_like(magnitude[:, 0])
    if before_first is not None:
        phase = before_first + math.pi * index
    phases = []
    for peak, step in zip(peaks.unbind(1), torch.remainder(advance, 2 * math.pi).unbind(1), strict=True):
        phase = phase.gather(-1, peak) + step
        phases.append(phase)
    return torch.stack(phases, dim=-1) - math.pi * index[:, None]


def rescale(spectra: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Give spectra new magnitudes and keep their phases.

    Spectra are pairs of real and imaginary parts.
    """
    power = spectra[..., 0].square().addcmul_(spectra[..., 1], spectra[..., 1])
    return torch.view_as_complex(spectra) * power.clamp_min_(SMALLEST**2).rsqrt_().mul_(magnitude)


def refine_phases(
    magnitude: torch.Tensor,
    phase: torch.Tensor,
    config: MelConfig,
    iterations: int,
    known: torch.Tensor | None = None,
) -> torch.Tensor:
    """Refine phases by fast Griffin-Lim, so that overlapping frames agree.

    Source: Perraudin et al. 2013, algorithm 2.

    Args:
        magnitude, phase: (batch, n_fft // 2 + 1, frames); phases in radians.
        known: unit phasors of the first frames, which are not changed.

    Returns:
        Complex unit phasors in the shape of ``magnitude``.
    """
    magnitude, phase = (values.transpose(1, 2).contiguous() for values in (magnitude, phase))
    # As pairs of real numbers: interpolating complex ones is three times slower.
    ahead = torch.view_as_real(torch.polar(torch.ones_like(phase), phase))
    window = torch.hann_window(config.n_fft, device=phase.device)
    before: torch.Tensor | None = None
    for _ in range(iterations):
        padded = join_frames(rescale(ahead, magnitude), config)
        frames = padded.unfold(-1, config.n_fft, config.hop_length) * window
        consistent = torch.view_as_real(torch.fft.rfft(frames))
        ahead = consistent if before is None else torch.lerp(before, consistent, 1 + MOMENTUM)
        before = consistent
        if known is not None:
            ahead[:, : known.shape[-1]] = torch.view_as_real(known.transpose(1, 2))
    return rescale(ahead, torch.ones_like(magnitude)).transpose(1, 2)


def make_consistent(
    waveform: torch.Tensor,
    gap: tuple[int, int],
    place: slice,
    magnitude: torch.Tensor,
    config: MelConfig,
    iterations: int = GAP_ITERATIONS,
) -> torch.Tensor:
    """Return the samples of a gap that have given magnitudes.

    Fast Griffin-Lim with the known samples put back in every iteration, so that phases continue on both sides.

    Args:
        waveform: (samples,), whose gap holds a first guess, for its phases.
        gap: its first sample, and the one after its last.
        place: frames whose magnitudes are given.
        magnitude: (1, n_fft // 2 + 1, frames given).
    """
    begin = max(0, place.start - GAP_FRAMES)
    known = waveform[begin * config.hop_length : (place.stop + GAP_FRAMES) * config.hop_length]
    frames, samples = (
        slice(place.start - begin, place.stop - begin),
        slice(*(e - begin * config.hop_length for e in gap)),
    )
    part = known.clone()
    ahead = before = torch.view_as_real(transform(part[None], config)[..., frames])
    for _ in range(iterations):
        spectrum = transform(part[None], config)
        spectrum[..., frames] = rescale(ahead.contiguous(), magnitude)
        part[samples] = inverse_transform(spectrum, config)[0, samples]
        consistent = torch.view_as_real(transform(part[None], config)[..., frames])
        ahead, before = torch.lerp(before, consistent, 1 + MOMENTUM), consistent
    return part[samples]
