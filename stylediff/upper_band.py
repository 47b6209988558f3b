"""The upper band of a result, with hints.

A source shows when there is sound above 11 kHz. A reference clip shows how much an instrument has in a recording.
"""

import math

import torch
from torch.nn.functional import interpolate

from stylediff.audio import loudness_gain, resample, to_mono
from stylediff.bandwidth import FACTOR, LEVEL_FLOOR, BandExtender, add_upper_band, upper_levels
from stylediff.mel import waveform_to_mel
from stylediff.waveform import mix_channels

REFERENCE_S = 10.0  # of a reference clip that is measured
AUDIBLE, LOUD_SHARE = 1.5, 0.05  # nepers above the lowest level (noise of 16 bits: 0.7), in that share of the frames
WEIGHT = 0.75  # of what one clip shows
LARGEST = 1.4  # nepers (12 dB)
EMPTY, SILENCING = 0.1, -20.0  # nepers: bands that stay so near the lowest level are empty, and are silenced by this


def own_levels(waveform: torch.Tensor, sample_rate: int, full_rate: int) -> torch.Tensor | None:
    """Levels of a clip's own upper band, (bands, frames) in nepers.

    None if its rate has no room for one, or nothing is there.

    Args:
        waveform: (samples,) or (channels, samples).
        full_rate: of the full band, Hz.
    """
    if sample_rate < full_rate:
        return None
    mono = mix_channels(waveform.float().reshape(-1, waveform.shape[-1]))
    levels = upper_levels(resample(mono, sample_rate, full_rate))
    loud = levels[1:].amax(0).quantile(1 - LOUD_SHARE)  # the first band begins below 11 kHz
    return levels if float(loud) > LEVEL_FLOOR + AUDIBLE else None


def source_hint(
    waveform: torch.Tensor, sample_rate: int, gain: float, frames: int, full_rate: int
) -> torch.Tensor | None:
    """Hint of a source for ``BandExtender``, (1, bands, frames).

    None for a source without an upper band.

    Args:
        waveform: the source, (samples,) or (channels, samples).
        gain: factor that takes it to the model's level.
        frames: of the log-mel. A retuned source has a few more or less than its sound at the full rate.
    """
    levels = own_levels(waveform, sample_rate, full_rate)
    if levels is None:
        return None
    levels = interpolate(levels[None], frames) if levels.shape[-1] != frames else levels[None]
    return (levels + math.log(gain)).clamp_min(LEVEL_FLOOR)


@torch.no_grad()
def measure_brightness(extender: BandExtender, waveform: torch.Tensor, sample_rate: int) -> torch.Tensor | None:
    """Difference of a clip's own upper band from the predicted one.

    Returns (bands, 1) in nepers. Added to predicted levels, it makes a result about as bright as the clip. Bands in
    which the clip has nothing, as above a codec's cutoff, are silenced. None for a clip without an upper band.

    Args:
        waveform: (samples,) or (channels, samples), of the instrument that a result shall sound like.
    """
    rate = extender.mel.sample_rate
    clip = waveform[..., : round(REFERENCE_S * sample_rate)]
    levels = own_levels(clip, sample_rate, FACTOR * rate)
    if levels is None:
        return None
    mono = to_mono(clip, sample_rate, rate)
    gain = loudness_gain(mono)
    predicted = extender(waveform_to_mel(gain * mono[None].to(extender.device), extender.mel))[0].cpu()
    levels = levels + math.log(gain)
    own, expected = (0.5 * (2 * one).exp().mean(1, keepdim=True).log() for one in (levels, predicted))
    is_empty = levels.quantile(1 - LOUD_SHARE, dim=1, keepdim=True) < LEVEL_FLOOR + EMPTY
    return torch.where(is_empty, SILENCING, WEIGHT * (own - expected).clamp(-LARGEST, LARGEST))


def extend_band(
    extender: BandExtender | None,
    waveform: torch.Tensor,
    mel: torch.Tensor,
    hint: torch.Tensor | None = None,
    brightness: torch.Tensor | None = None,
) -> torch.Tensor:
    """Double the rate of a sound, and add the upper band.

    Args:
        extender: None leaves the new band empty.
        waveform: (samples,).
        mel: log-mel (1, 1, mels, frames) of the sound.
        hint: levels of the source's upper band, (1, bands, frames).
        brightness: added to levels that are not silence, (bands, 1) in nepers.
    """
    full = resample(waveform, 1, FACTOR)
    if extender is None:
        return full
    levels = extender(mel, None if hint is None else hint.to(mel))[0]
    if brightness is not None:
        levels = torch.where(levels > LEVEL_FLOOR, levels + brightness.to(levels), levels).clamp_min(LEVEL_FLOOR)
    return add_upper_band(full, levels)
