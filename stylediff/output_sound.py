"""The sound of a result: level, rate, panning, mix, room."""

import torch

from stylediff.audio import at_level, limit_peak, resample
from stylediff.room import add_room
from stylediff.settings import CLIP_RATE, TransferSettings
from stylediff.stereo import is_stereo, spread
from stylediff.waveform import fade_edges_, mix_channels


def output_rate(settings: TransferSettings, sample_rate: int) -> int:
    """Sample rate of a result, for a clip at ``sample_rate``."""
    return sample_rate if settings.rate == CLIP_RATE else int(settings.rate)


def finish_sound(
    made: torch.Tensor,
    made_rate: float,
    gain: float,
    source: torch.Tensor,
    sample_rate: int,
    settings: TransferSettings,
) -> torch.Tensor:
    """Turn what the vocoder made into the sound of a result.

    Args:
        made: (samples,) at the model's level.
        made_rate: its sample rate, Hz.
        gain: factor that took the clip to that level.
        source: the clip, (samples,) or (channels, samples) in [-1, 1].
        sample_rate: of the clip, Hz.
        settings: those of the transfer, with a value for each.

    Returns:
        (samples,), or (2, samples) of a stereo clip, in [-1, 1] at ``output_rate``. It is as long as the clip, or
        longer by the tail of a room.
    """
    rate = output_rate(settings, sample_rate)
    audio = at_level(made, gain, made_rate, rate, round(source.shape[-1] * rate / sample_rate))
    audio = fade_edges_(audio, rate, gain)
    heard = resample_channels(source, sample_rate, rate)
    if settings.stereo and is_stereo(source):
        audio = spread(audio, heard, rate)
    audio = blend(audio, heard, settings.mix)
    return fade_edges_(add_room(audio, rate, settings.room, settings.keep_tail), rate)


def resample_channels(waveform: torch.Tensor, sample_rate: int, rate: int) -> torch.Tensor:
    """Resample (samples,) or (channels, samples)."""
    if rate == sample_rate:
        return waveform
    channels = waveform.float().reshape(-1, waveform.shape[-1])
    return torch.stack([resample(channel, sample_rate, rate) for channel in channels]).reshape(*waveform.shape[:-1], -1)


def blend(audio: torch.Tensor, source: torch.Tensor, share: float) -> torch.Tensor:
    """Let the clip sound along with the result.

    Args:
        audio: (samples,) or (2, samples).
        source: the clip at the same rate; its channels are mixed for a mono result.
        share: of the result, 0 to 1; 1 is the result alone.
    """
    if share == 1:
        return audio
    clip = source.to(audio).reshape(-1, source.shape[-1])
    clip = clip if audio.ndim == 2 and len(clip) == len(audio) else mix_channels(clip)
    return limit_peak(share * audio + (1 - share) * clip[..., : audio.shape[-1]])
