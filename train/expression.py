"""Whether timing and dynamics survive a transfer, as pure functions."""

import mir_eval
import numpy as np
import pyloudnorm
import torch

from stylediff.dynamics import frame_levels
from stylediff.mel import MelConfig
from train.scores import Note

BLOCK_SECONDS = 0.05
MOMENT_SECONDS = 0.4
RANGE_DB = 40.0
SILENCE_LUFS = -70.0
MATCHED_SECONDS, TIMELY_SECONDS = 0.1, 0.03


def timely_share(notes: tuple[Note, ...], intervals: np.ndarray, pitches: np.ndarray) -> float | None:
    """Share of onsets that lie within 30 ms of the score's, of the notes heard within 0.1 s; None without any.

    Args:
        notes: the score.
        intervals, pitches: the notes heard, (notes, 2) seconds and (notes,) MIDI numbers.
    """
    if not notes or len(pitches) == 0:
        return None
    score = np.array([[note.start, note.end] for note in notes])
    score_hz = mir_eval.util.midi_to_hz(np.array([note.pitch for note in notes], dtype=float))
    heard_hz = mir_eval.util.midi_to_hz(pitches)
    pairs = mir_eval.transcription.match_notes(
        score, score_hz, intervals, heard_hz, onset_tolerance=MATCHED_SECONDS, offset_ratio=None
    )
    late = [abs(score[ours, 0] - intervals[theirs, 0]) for ours, theirs in pairs]
    return float(np.mean(np.array(late) <= TIMELY_SECONDS)) if late else None


def level_contour(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Level of each 50 ms of a waveform (samples,) in dB, none more than 40 dB below the loudest: (blocks,)."""
    block = round(BLOCK_SECONDS * sample_rate)
    power = waveform[: len(waveform) // block * block].reshape(-1, block).square().mean(1)
    level = 10 * power.clamp_min(1e-12).log10()
    return level.clamp_min(float(level.max()) - RANGE_DB)


def mel_contour(mel: torch.Tensor, seconds: float, config: MelConfig) -> torch.Tensor:
    """Level of a log-mel (mels, frames) in dB, in windows of so many seconds, a quarter of one apart: (windows,).

    None is more than 40 dB below the loudest.
    """
    frames = round(seconds * config.sample_rate / config.hop_length)
    power = (2 * frame_levels(mel)).exp()
    level = 10 * torch.nn.functional.avg_pool1d(power[None], frames, max(1, frames // 4))[0].log10()
    return level.clamp_min(float(level.max()) - RANGE_DB)


def momentary_loudness(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Momentary loudness (EBU Tech 3341, ITU-R BS.1770) of a waveform (samples,), every 100 ms.

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
    """Pearson correlation of two contours (blocks,) in dB; None if one of them never changes."""
    contours = torch.stack([contour, target])
    if float(contours.std(dim=1).min()) < 0.1:
        return None
    return float(torch.corrcoef(contours)[0, 1])
