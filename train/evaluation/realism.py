"""Realism of a sound: musicnn's tags and descriptors of notes."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from stylediff.audio import AudioError
from stylediff.instruments import get_instrument
from stylediff.transcription import LOWEST_PITCH, PITCHES
from train.data.notes import frame_prf, note_f1, notes_in_range
from train.data.transcription import NoteTranscriber, Transcription
from train.evaluation.descriptors import attack_time, energy_between_partials, measure_vibrato
from train.evaluation.musicnn import TAG_OF, Musicnn
from train.evaluation.recorded import RecordedReference

ONSET_TOLERANCE_S = 0.05


@dataclass(frozen=True)
class Impression:
    """Measurements of a clip that need no target.

    Attributes:
        tags: musicnn's probability of each instrument with a tag; empty if musicnn does not accept the clip.
        features: musicnn's features, (patches, 200) as lists.
        vibrato_cents, vibrato_hz: depth and rate of held notes.
        between_partials_db: energy between partials.
        attack_ms: rise time of notes.

    A value is None if no note of the clip allows its measurement.
    """

    tags: dict[str, float]
    features: list[list[float]]
    vibrato_cents: float | None
    vibrato_hz: float | None
    between_partials_db: float | None
    attack_ms: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Listeners:
    """Published networks: basic-pitch for notes, and musicnn."""

    musicnn: Musicnn
    notes: NoteTranscriber


def measure_clip(
    waveform: torch.Tensor, sample_rate: int, transcription: Transcription, musicnn: Musicnn
) -> Impression:
    """Measure a clip (samples,) with a known transcription."""
    try:
        tagging = musicnn(waveform, sample_rate)
        tags = {name: round(float(tagging.probabilities[:, index].mean()), 5) for name, index in TAG_OF.items()}
        features = tagging.features.round(4).tolist()
    except AudioError:
        tags, features = {}, []
    notes = transcription.notes
    vibrato, attack_s = measure_vibrato(waveform, sample_rate, notes), attack_time(waveform, sample_rate, notes)
    return Impression(
        tags=tags,
        features=features,
        vibrato_cents=None if vibrato is None else vibrato.depth_cents,
        vibrato_hz=None if vibrato is None else vibrato.rate_hz,
        between_partials_db=energy_between_partials(waveform, sample_rate, notes),
        attack_ms=None if attack_s is None else 1000 * attack_s,
    )


def playable_keys(instrument: str) -> np.ndarray:
    """Piano keys within an instrument's range, (88,) bool."""
    keys, found = LOWEST_PITCH + np.arange(PITCHES), get_instrument(instrument)
    return (keys >= found.lowest) & (keys <= found.highest)


def agreement(transcription: Transcription, source: Transcription, instrument: str) -> dict[str, float | None]:
    """Agreement of the notes detected in an output and in its source.

    Only keys within the target instrument's range count.

    Returns:
        ``frame_f`` and ``note_f1``; None if the source has no notes on these keys.
    """
    keys, notes = playable_keys(instrument), notes_in_range(source.notes, get_instrument(instrument))
    kept = keys[transcription.pitches.astype(int) - LOWEST_PITCH]
    intervals, pitches = transcription.intervals[kept], transcription.pitches[kept]
    frames = min(len(transcription.roll), len(source.roll))
    ours, theirs = transcription.roll[:frames] & keys, source.roll[:frames] & keys
    return {
        "frame_f": frame_prf(ours, theirs)[2] if theirs.any() else None,
        "note_f1": note_f1(notes, intervals, pitches, ONSET_TOLERANCE_S) if notes else None,
    }


def middle(values: list[float | None]) -> float | None:
    """Median of the values that are not None."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def mean(values: list[float | None]) -> float | None:
    """Mean of the values that are not None."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def summarize(
    results: list[dict[str, Any]], target: str, reference: RecordedReference | None
) -> dict[str, float | None]:
    """Summarize the clips of a system for one target.

    Values are medians over clips, except for the mean agreement with the source.

    Args:
        results: impressions of the clips, with their agreement if known.
        reference: recordings of the target, or None.
    """
    features = [np.array(result["features"]) for result in results if result["features"]]
    patches = sum(len(clip) for clip in features)
    return {
        "clips": len(results),
        "tag": middle([result["tags"].get(target) for result in results]),
        "frechet": reference.distance(features) if reference is not None and patches > 1 else None,
        "frame_f": mean([result.get("frame_f") for result in results]),
        "note_f1": mean([result.get("note_f1") for result in results]),
        **{
            name: middle([result[name] for result in results])
            for name in ("vibrato_cents", "vibrato_hz", "between_partials_db", "attack_ms")
        },
    }
