"""Level sound for a phone: low cut, loudness, peak limit.

A loop is filtered and limited as a loop, so that its joint stays inaudible.
"""

import math

import numpy as np

LOW_CUT_HZ = 150.0  # speakers of phones radiate little below 300 Hz, and distort
LOW_CUT_ORDER = 2
LOUDNESS_LUFS = -12.0
CEILING_DB = -1.0  # of the peaks between samples
MOST_LIMITING_DB = 6.0  # more is audible
OVERSAMPLING = 4
LOOKAHEAD_S = 0.004
PASSES = 3


def cut_lows(samples: np.ndarray, sample_rate: int, is_loop: bool) -> np.ndarray:
    """Remove what a phone's speaker cannot play, (channels, samples)."""
    import scipy.signal

    sections = scipy.signal.butter(LOW_CUT_ORDER, LOW_CUT_HZ, "highpass", fs=sample_rate, output="sos")
    if not is_loop:
        return scipy.signal.sosfilt(sections, samples, axis=-1)
    twice = np.concatenate([samples, samples], axis=-1)
    return scipy.signal.sosfilt(sections, twice, axis=-1)[..., samples.shape[-1] :]


def measure_loudness(samples: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4) of (channels, samples); -inf for silence."""
    import pyloudnorm

    return float(pyloudnorm.Meter(sample_rate).integrated_loudness(samples.T))


def true_peaks(samples: np.ndarray) -> np.ndarray:
    """Peak around each sample, between samples and over channels, (samples,)."""
    import scipy.signal

    finer = np.abs(scipy.signal.resample_poly(samples, OVERSAMPLING, 1, axis=-1)).max(0)
    return np.maximum(finer.reshape(-1, OVERSAMPLING).max(1), np.abs(samples).max(0))


def limit_peaks(samples: np.ndarray, sample_rate: int, is_loop: bool) -> np.ndarray:
    """Lower moments whose peaks exceed the ceiling.

    The gain falls before a peak and rises after it, over a few milliseconds.
    """
    import scipy.ndimage

    mode = "wrap" if is_loop else "nearest"
    need = np.minimum(1.0, 10 ** (CEILING_DB / 20) / np.maximum(true_peaks(samples), 1e-9))
    reach = 2 * round(LOOKAHEAD_S * sample_rate) + 1
    lowest = scipy.ndimage.minimum_filter1d(need, reach, mode=mode)
    window = np.hanning(reach + 2)[1:-1]
    return samples * scipy.ndimage.convolve1d(lowest, window / window.sum(), mode=mode)


def level_for_phone(samples: np.ndarray, sample_rate: int, is_loop: bool) -> tuple[np.ndarray, float]:
    """Level sound for a phone.

    Args:
        samples: (channels, samples), at least 0.4 s.
        is_loop: True if the end leads into the beginning.

    Returns:
        The levelled samples, and their loudness in LUFS. Music whose peaks would need more than ``MOST_LIMITING_DB`` of
        limiting stays quieter than ``LOUDNESS_LUFS``.
    """
    lean = cut_lows(samples.astype(np.float64), sample_rate, is_loop)
    peak_db = 20 * math.log10(max(float(true_peaks(lean).max()), 1e-9))
    most_db = CEILING_DB + MOST_LIMITING_DB - peak_db
    gain_db, level, loudness = most_db, lean, -math.inf
    for _ in range(PASSES):
        level = limit_peaks(lean * 10 ** (gain_db / 20), sample_rate, is_loop)
        loudness = measure_loudness(level, sample_rate)
        if not math.isfinite(loudness):
            return lean, loudness
        gain_db = min(most_db, gain_db + LOUDNESS_LUFS - loudness)
    level = limit_peaks(lean * 10 ** (gain_db / 20), sample_rate, is_loop)
    return np.clip(level, -1, 1), measure_loudness(level, sample_rate)
