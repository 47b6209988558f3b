"""Waveforms of clips on disk, whole or cropped to mel frames."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch

from stylediff.audio import fit_length, read_audio, resample
from stylediff.mel import MelConfig
from stylediff.mel import normalized_mel as mel_and_gain
from train.data.mel_cache import CachedClip, CacheError, MelCache


def load_waveform(path: Path) -> torch.Tensor:
    """Read a mono file, (samples,)."""
    samples, _ = read_audio(path)
    return torch.from_numpy(samples[0])


def normalized_mel(waveform: torch.Tensor, mel: MelConfig) -> torch.Tensor:
    """Log-mel of a waveform at the loudness of the data set.

    The waveform has the shape (samples,), the log-mel (1, 1, mels, frames).
    """
    return mel_and_gain(waveform, mel)[0]


def read_waveform(
    data: Path, row: CachedClip, mel: MelConfig, start: int, frames: int, cents: float = 0.0
) -> torch.Tensor:
    """Read the samples of some frames of a clip.

    Returns (frames * hop_length,), padded with silence beyond the clip.

    Args:
        data: folder that ``row.file`` is relative to.
        start: first frame; negative values are before the clip.
        cents: detuning, by playing faster from ``start`` on.

    Raises:
        CacheError: the clip is missing or cannot be read.
    """
    speed = 2 ** (cents / 1200)
    first, wanted = start * mel.hop_length, math.ceil(frames * mel.hop_length * speed)
    length = max(0, wanted + min(first, 0))
    try:
        samples, _ = soundfile.read(data / row.file, frames=length, start=max(first, 0), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise CacheError(f"{data} is not the data set of the mel cache: {error}") from error
    silence = torch.zeros(wanted - length)
    played = torch.cat([silence, fit_length(torch.from_numpy(samples), length)])
    played = resample(played, round(mel.sample_rate * speed), mel.sample_rate)
    return fit_length(played, frames * mel.hop_length)


def read_clips(cache: MelCache, rows: np.ndarray, data: Path) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Read whole clips as log-mels and waveforms.

    Their shapes are (1, 1, mels, frames) and (1, frames * hop_length).
    """
    for row in rows:
        mel = cache.tensor(int(row))[None]
        yield mel, read_waveform(data, cache.clips[row], cache.mel, 0, mel.shape[-1])[None]
