"""Metrics of spectrum, level and timbre: an output against its aligned target."""

import math

import librosa
import numpy as np
import pyloudnorm
import scipy.fft
import torch

from stylediff.dynamics import frame_levels
from stylediff.mel import MelConfig, transform
from train.models.losses import stft_loss

CLIPPED = 0.999
DYNAMIC_RANGE = 8.06  # nepers, 70 dB
BLOCK_SECONDS = 0.05
MOMENT_SECONDS = 0.4
RANGE_DB = 40.0
SILENCE_LUFS = -70.0
STRIPE_WINDOW, STRIPE_STEPS = 128, 8  # samples; steps of a window per hop


def chroma_similarity(output: torch.Tensor, target: torch.Tensor, config: MelConfig) -> float:
    """Mean cosine similarity of the chroma vectors of two waveforms.

    Only frames in which the target sounds count.
    """
    filters = librosa.filters.chroma(sr=config.sample_rate, n_fft=config.n_fft)
    chroma = torch.from_numpy(filters) @ transform(torch.stack([output, target]), config).abs().square()
    sounding = chroma[1].sum(0) > 1e-4 * chroma[1].sum(0).max()
    cosines = torch.cosine_similarity(chroma[0], chroma[1], dim=0)
    return float(cosines[sounding].mean()) if sounding.any() else 0.0


def log_mel_error(output: torch.Tensor, target: torch.Tensor) -> float:
    """Mean absolute difference of two log-mels, in nepers.

    Both are floored 70 dB below the target's peak.

    It is the log-spectral distance of Gray and Markel (1976) with the L1 norm, on mel bands. The floor excludes
    inaudible differences.

    Args:
        output, target: (..., mels, frames).
    """
    if output.shape != target.shape:
        raise ValueError(f"log-mels must have the same shape, got {tuple(output.shape)} and {tuple(target.shape)}")
    floor = float(target.max()) - DYNAMIC_RANGE
    return float((output.clamp_min(floor) - target.clamp_min(floor)).abs().mean())


def log_spectral_distance(output: torch.Tensor, target: torch.Tensor, config: MelConfig) -> float:
    """Log-spectral distance in dB.

    Root mean square over bins, mean over frames (Gray and Markel 1976, eq. 2).

    Both spectra are floored 70 dB below the target's peak.

    Args:
        output, target: waveforms, (samples,).
    """
    ours, theirs = transform(torch.stack([output, target]), config).abs()
    floor = theirs.max().clamp_min(1e-5) * math.exp(-DYNAMIC_RANGE)
    difference = 20 * (ours.clamp_min(floor) / theirs.clamp_min(floor)).log10()
    return float(difference.square().mean(0).sqrt().mean())


def stft_distance(output: torch.Tensor, target: torch.Tensor) -> float:
    """Multi-resolution STFT loss of a waveform (samples,) against its target."""
    return float(stft_loss(output[None], target[None]))


def timbre_distance(output: torch.Tensor, target: torch.Tensor) -> float:
    """Distance of the mean cepstral coefficients 1-12 of two log-mels.

    Each mean is over the frames in which the clip sounds.

    The coefficients are those of Cífka et al. (2021, arXiv 2102.05749), who also exclude the level but pass them to a
    network.

    Args:
        output, target: (mels, frames) in nepers.

    Returns:
        Euclidean distance, in nepers.
    """
    means = []
    for mel in (output, target):
        level = mel.logsumexp(0)
        cepstrum = scipy.fft.dct(mel.numpy(), axis=0, norm="ortho")[1:13] / math.sqrt(len(mel))
        means.append(cepstrum[:, (level > level.max() - 5).numpy()].mean(1))
    return float(np.linalg.norm(means[0] - means[1]))


def missing_seconds(output: torch.Tensor, target: torch.Tensor, sample_rate: int) -> float:
    """Seconds in which a waveform is 30 dB below its target.

    Only blocks of the target within 40 dB of its loudest 50 ms count.

    Args:
        output, target: (samples,), of equal loudness.
    """
    block = round(BLOCK_SECONDS * sample_rate)
    ours, theirs = (w[: len(w) // block * block].reshape(-1, block).square().mean(1) for w in (output, target))
    return float(((theirs > 1e-4 * theirs.max()) & (ours < 1e-3 * theirs)).sum() * BLOCK_SECONDS)


def level_contour(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Levels of the 50 ms blocks of a waveform in dB, (blocks,).

    They are limited to 40 dB below the loudest.
    """
    block = round(BLOCK_SECONDS * sample_rate)
    power = waveform[: len(waveform) // block * block].reshape(-1, block).square().mean(1)
    level = 10 * power.clamp_min(1e-12).log10()
    return level.clamp_min(float(level.max()) - RANGE_DB)


def mel_contour(mel: torch.Tensor, seconds: float, config: MelConfig) -> torch.Tensor:
    """Levels of overlapping windows of a log-mel in dB, (windows,).

    Windows start a quarter of their length apart. None is more than 40 dB below the loudest.
    """
    frames = round(seconds * config.sample_rate / config.hop_length)
    power = (2 * frame_levels(mel)).exp()
    level = 10 * torch.nn.functional.avg_pool1d(power[None], frames, max(1, frames // 4))[0].log10()
    return level.clamp_min(float(level.max()) - RANGE_DB)


def momentary_loudness(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Momentary loudness of a waveform, every 100 ms.

    EBU Tech 3341, ITU-R BS.1770.

    Returns:
        (blocks,) LUFS over windows of 400 ms, none below -70 or more than 40 dB below the loudest.
    """
    missing = round(MOMENT_SECONDS * sample_rate) - len(waveform)
    padded = torch.nn.functional.pad(waveform.double(), (0, max(0, missing)))
    meter = pyloudnorm.Meter(sample_rate, block_size=MOMENT_SECONDS)
    meter.integrated_loudness(padded.numpy())
    loudness = torch.tensor(meter.blockwise_loudness)
    return loudness.clamp_min(max(SILENCE_LUFS, float(loudness.max()) - RANGE_DB))


def correlation(contour: torch.Tensor, target: torch.Tensor) -> float | None:
    """Pearson correlation of two contours (blocks,) in dB.

    It is None if one of them is constant.
    """
    contours = torch.stack([contour, target])
    if float(contours.std(dim=1).min()) < 0.1:
        return None
    return float(torch.corrcoef(contours)[0, 1])


def level_correlation(output: torch.Tensor, target: torch.Tensor, sample_rate: int) -> float | None:
    """Correlation of the 50 ms levels of two waveforms."""
    return correlation(level_contour(output, sample_rate), level_contour(target, sample_rate))


def loudness_correlation(output: torch.Tensor, target: torch.Tensor, sample_rate: int) -> float | None:
    """Correlation of the momentary loudness of two waveforms (samples,)."""
    return correlation(momentary_loudness(output, sample_rate), momentary_loudness(target, sample_rate))


def loudness_difference(gain: float, target_gain: float) -> float:
    """Loudness difference of an output to its target, in dB.

    It is computed from the gains that make both equally loud.
    """
    return 20 * float(torch.tensor(target_gain / gain).log10())


def clipped_samples(waveform: torch.Tensor) -> int:
    """Number of samples of a waveform (samples,) at full scale."""
    return int((waveform.abs() >= CLIPPED).sum())


def hop_stripes(waveform: torch.Tensor, config: MelConfig) -> float:
    """Autocorrelation of fast spectral changes at one hop, -1 to 1.

    Frames that do not match leave a pattern that repeats with every hop. Log-magnitudes of short windows, minus their
    mean over two hops, are correlated with themselves one hop later. Patterns of the sound itself count too, so compare
    the value with that of the original.

    Args:
        waveform: (samples,).
    """
    step = config.hop_length // STRIPE_STEPS
    window = torch.hann_window(STRIPE_WINDOW)
    spectrum = torch.stft(waveform, STRIPE_WINDOW, step, window=window, return_complex=True).abs()
    log = spectrum.clamp_min(float(spectrum.max()) * 1e-3 + 1e-9).log()  # 60 dB
    span = 2 * STRIPE_STEPS + 1
    mean = torch.nn.functional.avg_pool1d(log[None], span, stride=1)[0]
    fast = log[:, span // 2 : span // 2 + mean.shape[1]] - mean
    power = fast.square().sum()
    return float((fast[:, STRIPE_STEPS:] * fast[:, :-STRIPE_STEPS]).sum() / power.clamp_min(1e-12))
