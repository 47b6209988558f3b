"""Clean-up of waveforms before they are measured, and of their ends."""

import math
from functools import lru_cache

import numpy as np
import torch

BLOCK = 1102  # samples, 50 ms at the model's rate
TARGET_RMS = 10 ** (-23 / 20)
PEAK_LIMIT = 0.97
SILENCE_RMS = 1e-5
SOUNDING = 1e-4  # of the loudest block's power: 40 dB below it
LOUD_SHARE = 0.75
OUTLIER_POWER = 10**1.2  # above the power that three quarters of the blocks stay below
QUIETEST_MUSIC = 10**-5.8  # power; what is below is hiss, beside which a short note is no bump
LONGEST_BUMP = 10  # blocks
MOST_BLOCKS = 2**24  # that torch.quantile takes
OUTLIER_CREST = 9.5  # peak over RMS in a block; onsets have less
LOWEST_HZ = 24.5  # the lowest note of the piano has 27.5 Hz
FILTERED_S, RINGING_S = 39, 3  # of a long waveform in one piece, and on each side: 2**20 samples at the model's rate
NEGLIGIBLE_RUMBLE = 0.01  # of the RMS
CANCELLED = 0.35  # power of the mean of channels over the mean of their powers; unrelated channels have 0.5
BALANCED = 10.0  # power of one stereo channel over the other that averaging is right for
LFE_CHANNEL = {6: 3, 8: 3}  # of 5.1 and 7.1
STEP_LIMIT = 10 ** (-50 / 20)
WORKING_STEP_LIMIT = 10 ** (-66 / 20)
FADE_S = 0.005
SEARCHED_BLOCKS = 200  # of 50 ms at a time, for the first sound


def high_pass(samples: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Filter (samples,) by a zero-phase Butterworth high-pass at the lowest note.

    Its spectrum is that of a filter of tenth order that is run forwards and backwards; an FFT needs no SciPy, whose
    import takes a second. A long waveform is filtered in pieces, beyond which the filter does not ring.
    """
    block, margin = FILTERED_S * sample_rate, RINGING_S * sample_rate
    if len(samples) <= 2 * block:
        return filter_piece(samples, sample_rate)
    filtered = torch.empty_like(samples)
    for first in range(0, len(samples), block):
        begin = max(0, first - margin)
        piece = filter_piece(samples[begin : first + block + margin], sample_rate)
        filtered[first : first + block] = piece[first - begin : first - begin + block]
    return filtered


def filter_piece(samples: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Filter samples in one piece, as ``high_pass`` does."""
    padding = min(sample_rate, len(samples) - 1)
    padded = torch.nn.functional.pad(samples[None], (padding, padding), mode="reflect")[0]
    length = 1 << (len(padded) - 1).bit_length()
    spectrum = torch.fft.rfft(padded, length)
    spectrum *= filter_gains(length, sample_rate).to(spectrum.device)
    return torch.fft.irfft(spectrum, length)[padding : padding + len(samples)]


@lru_cache(maxsize=1)
def filter_gains(length: int, sample_rate: int) -> torch.Tensor:
    """Gains of the high-pass in each bin."""
    gains = np.fft.rfftfreq(length, 1 / sample_rate)
    gains[1:] = 1 / (1 + (LOWEST_HZ / gains[1:]) ** 20)  # the first is 0 already
    return torch.from_numpy(gains.astype(np.float32))


def remove_rumble(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Remove a constant offset and what lies below the lowest notes.

    A waveform (samples,) that has neither stays as it is, to the bit.
    """
    filtered = high_pass(waveform, sample_rate)
    rumble, rest = (torch.linalg.vector_norm(part) for part in (waveform - filtered, filtered))
    return waveform if rumble <= NEGLIGIBLE_RUMBLE * rest else filtered


def mix_channels(waveform: torch.Tensor) -> torch.Tensor:
    """Mix (channels, samples) to (samples,) without losing a channel.

    Stereo is averaged. If one side is much louder, or there are more channels, each counts by its power, the
    low-frequency channel of 5.1 and 7.1 not at all. If the mix cancels, because a side is inverted or delayed, the
    loudest channel stands for all.
    """
    if len(waveform) == 1:
        return waveform[0]
    power = mean_power(waveform)
    low = LFE_CHANNEL.get(len(waveform))
    if low is not None and float(power.sum() - power[low]) > 0:
        power[low] = 0
    if float(power.max()) == 0:
        return waveform.mean(0)
    if len(waveform) == 2 and float(power.max()) <= BALANCED * float(power.min()):
        mixed, expected = waveform.mean(0), float(power.mean())
    else:
        weights = power / power.sum()
        mixed, expected = weights @ waveform, float((weights * power).sum())
    return waveform[int(power.argmax())] if float(mean_power(mixed)) < CANCELLED * expected else mixed


def mean_power(waveform: torch.Tensor) -> torch.Tensor:
    """Mean of the squares of (..., samples), without memory for them."""
    return torch.linalg.vector_norm(waveform, dim=-1).square() / waveform.shape[-1]


def robust_level(waveform: torch.Tensor) -> tuple[float, float]:
    """Return RMS and peak of the sounding part, without clicks and bumps.

    The sounding part is every 50 ms block within 40 dB of the loudest, so rests do not count. Nor do a few blocks that
    are far louder than the others, or that hold a click.

    Returns:
        (0, 0) for silence.
    """
    samples = waveform.detach().flatten()
    blocks = torch.nn.functional.pad(samples, (0, -len(samples) % BLOCK)).reshape(-1, BLOCK)
    power, peaks = blocks.square().mean(1), blocks.abs().amax(1)
    loudest = float(power.max())
    if loudest < SILENCE_RMS**2:
        return 0.0, 0.0
    unusual = peaks > OUTLIER_CREST * power.sqrt()
    unusual[-1] = False  # it may be padded with silence
    steady = power[~unusual & (power > QUIETEST_MUSIC)]
    if len(steady):
        bumps = power > OUTLIER_POWER * float(torch.quantile(steady[:MOST_BLOCKS], LOUD_SHARE))
        unusual = unusual | bumps if int(bumps.sum()) <= LONGEST_BUMP else unusual
    if bool(unusual.all()):
        unusual = torch.zeros_like(unusual)
    power, peaks = power[~unusual], peaks[~unusual]
    return float(power[power > float(power.max()) * SOUNDING].mean().sqrt()), float(peaks.max())


def fade_edges_(waveform: torch.Tensor, sample_rate: int, gain: float = 1.0) -> torch.Tensor:
    """Fade the ends of a waveform that would click, in place.

    An end of (..., samples) stays as it is if it is below -50 dBFS, and below -66 dBFS at the model's level.

    Args:
        gain: factor that takes the waveform to that level.
    """
    samples = min(round(FADE_S * sample_rate), waveform.shape[-1] // 2)
    if samples == 0:
        return waveform
    limit = min(STEP_LIMIT, WORKING_STEP_LIMIT / gain)
    ramp = (0.5 - 0.5 * torch.cos(math.pi * torch.arange(samples) / samples)).to(waveform)
    starts, ends = (float(waveform[..., place].abs().max()) > limit for place in (0, -1))
    if starts:
        waveform[..., :samples] *= ramp
    if ends:
        waveform[..., -samples:] *= ramp.flip(0)
    return waveform


def first_sound(samples: np.ndarray, sample_rate: int, threshold: float) -> float | None:
    """Return the second in which the first sound begins, or None.

    Args:
        samples: (channels, samples).
        threshold: RMS of 50 ms that counts as sound.
    """
    block = max(1, round(0.05 * sample_rate))
    whole = samples.shape[1] // block * block
    for first in range(0, whole, SEARCHED_BLOCKS * block):
        piece = samples[:, first : min(whole, first + SEARCHED_BLOCKS * block)]
        power = np.square(piece, dtype=np.float32).reshape(len(samples), -1, block).mean(2).max(0, initial=0)
        if (sounding := np.flatnonzero(power > threshold**2)).size:
            return float((first + sounding[0] * block) / sample_rate)
    return None
