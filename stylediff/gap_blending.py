"""Blend generated sound with linear prediction where a gap can be predicted.

Steady tones are continued best by linear prediction, everything else by the diffusion. How well prediction does is
measured on known sound right before and after the gap. Log-magnitudes are averaged: errors of two independent
estimates cancel in part.
"""

from bisect import bisect_left
from dataclasses import replace

import numpy as np
import torch

from stylediff.linear_prediction import CONTEXT_S, extrapolate, interpolate
from stylediff.mel import MelConfig, transform
from stylediff.phase_reconstruction import make_consistent

Edges = tuple[int, int]  # first sample of a gap, and the one after its last

N_FFT, HOP_LENGTH = 512, 128  # short, so that the frames inside a gap see little of its surroundings
ITERATIONS = 8
SHORT_S, MIDDLE_S = 0.12, 0.4  # longest gaps; in short ones, Janssen's method and both sides' prediction are averaged
TRUSTED_DB, DOUBTED_DB = 2.5, 8.0  # errors of linear prediction: as good as it gets, and poor
DOUBTED_WEIGHTS = (0.6, 0.3, 0.7)  # of doubted prediction in short, middle and long gaps; it hides notes in middle ones
QUIETER_NEPER = 0.92  # prediction fades out; where it is quieter by more than this, it counts little
RANGE_NEPER = 9.2  # below the loudest bin, differences do not count
SMALLEST = 1e-6


def short_frames(config: MelConfig) -> MelConfig:
    return replace(config, n_fft=N_FFT, hop_length=HOP_LENGTH)


def level_error(true: torch.Tensor, made: torch.Tensor, config: MelConfig) -> float:
    """Log-spectral distance of two sounds (samples,), decibels."""
    logs = [log_magnitudes(one, slice(None), config) for one in (true, made)]
    floor = logs[0].max() - RANGE_NEPER
    difference = logs[0].clamp_min(floor) - logs[1].clamp_min(floor)
    return float(20 / np.log(10) * difference.square().mean(1).sqrt().mean())


def prediction_error(waveform: torch.Tensor, gap: Edges, config: MelConfig) -> float:
    """Error of linear prediction next to a gap, decibels.

    On each side, as much known sound as the gap is long is predicted from what lies before it, seen from the gap's
    other side. Without enough sound on either side, the error is infinite.

    Args:
        waveform: (samples,).
    """
    length, reach = gap[1] - gap[0], round(CONTEXT_S * config.sample_rate)
    known = waveform.double().numpy()
    errors = []
    for side in (known[: gap[0]], known[gap[1] :][::-1]):
        if len(side) >= length + reach:
            true = side[-length - reach :].copy()
            made = np.concatenate([true[:reach], extrapolate(true[:reach], length, config.sample_rate)])
            heard, guess = (torch.from_numpy(one[reach - N_FFT :]).float() for one in (true, made))
            errors.append(level_error(heard, guess, config))
    return float(np.mean(errors)) if errors else float("inf")


def blend_gap(predicted: torch.Tensor, made: torch.Tensor, gap: Edges, config: MelConfig) -> torch.Tensor:
    """Blend the generated samples of a gap with predicted ones.

    Args:
        predicted: (samples,), its gap filled by linear prediction from both sides.
        made: the same with generated sound in the gap.

    Returns:
        Like ``made``.
    """
    frames = short_frames(config)
    kind = bisect_left((SHORT_S, MIDDLE_S), (gap[1] - gap[0]) / config.sample_rate)
    doubted = DOUBTED_WEIGHTS[kind]
    error = prediction_error(predicted, gap, frames)
    trust = float(np.interp(error, [TRUSTED_DB, DOUBTED_DB], [1, 0]))
    place = slice((gap[0] - N_FFT // 2) // HOP_LENGTH, (gap[1] + N_FFT // 2) // HOP_LENGTH)
    place = slice(max(0, place.start), min(place.stop, len(made) // HOP_LENGTH))
    estimates = [predicted]
    if kind == 0:
        filled = predicted.clone()
        samples = interpolate(predicted.double().numpy(), *gap, config.sample_rate)
        filled[slice(*gap)] = torch.from_numpy(samples).float()
        estimates.append(filled)
    logs = [log_magnitudes(one, place, frames) for one in (made, *estimates)]
    difference = torch.stack(logs[1:]).mean(0) - logs[0]
    fading = torch.exp(-(1 - trust) * (difference / QUIETER_NEPER).square())
    weight = torch.where(difference > 0, doubted + trust * (1 - doubted), trust * fading)
    blended = made.clone()
    start = estimates[-1] if trust > 0.5 else made
    magnitude = (logs[0] + weight * difference).exp()
    blended[slice(*gap)] = make_consistent(start, gap, place, magnitude, frames, ITERATIONS)
    return blended


def log_magnitudes(waveform: torch.Tensor, place: slice, config: MelConfig) -> torch.Tensor:
    """Log-magnitudes (1, bins, frames) of some frames of (samples,)."""
    return transform(waveform[None], config)[..., place].abs().clamp_min(SMALLEST).log()
