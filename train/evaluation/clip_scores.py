"""What is measured of one output: every column of the report that a single clip has."""

from dataclasses import dataclass
from typing import Any

import torch

from stylediff.audio import loudness_gain
from stylediff.mel import MelConfig, waveform_to_mel
from train.data.note_agreement import frame_prf, note_f1, score_roll
from train.data.notes import Note, is_one_voice
from train.data.transcription import NoteTranscriber, PitchTracker, Transcription
from train.data.waveforms import normalized_mel
from train.evaluation.metrics import (
    chroma_similarity,
    correlation,
    f0_accuracy,
    level_contour,
    log_mel_error,
    log_spectral_distance,
    missing_seconds,
    momentary_loudness,
    onset_f1,
    pitch_class_distance,
    pitch_jaccard,
    timbre_distance,
    timely_share,
)
from train.models.instrument_classifier import InstrumentClassifier
from train.models.losses import stft_loss

Result = dict[str, Any]

CLIPPED = 0.999


@dataclass(frozen=True)
class Listeners:
    """Networks that listen: two of others, and our classifier of instruments."""

    notes: NoteTranscriber
    pitch: PitchTracker
    classifier: InstrumentClassifier


def compare_with_target(output: torch.Tensor, target: torch.Tensor, config: MelConfig) -> Result:
    """Distances of a waveform to its aligned target, both (samples,); levels are made equal first, but for two columns.

    Returns:
        ``loudness_difference_db`` and ``clipped`` are of the waveforms as they are, the others of levelled ones.
    """
    gain, target_gain = loudness_gain(output), loudness_gain(target)
    levelled, aim = output * gain, target * target_gain
    mel, target_mel = waveform_to_mel(torch.stack([levelled, aim]), config)[:, 0]
    rate = config.sample_rate
    return {
        "log_mel_error": log_mel_error(mel, target_mel),
        "log_spectral_distance": log_spectral_distance(levelled, aim, config),
        "stft_distance": float(stft_loss(levelled[None], aim[None])),
        "timbre_distance": timbre_distance(mel, target_mel),
        "chroma_similarity": chroma_similarity(levelled, aim, config),
        "loudness_difference_db": 20 * float(torch.tensor(target_gain / gain).log10()),
        "level_correlation": correlation(level_contour(levelled, rate), level_contour(aim, rate)),
        "loudness_correlation": correlation(momentary_loudness(levelled, rate), momentary_loudness(aim, rate)),
        "missing_seconds": missing_seconds(levelled, aim, rate),
        "clipped": int((output.abs() >= CLIPPED).sum()),
    }


def compare_with_score(
    output: torch.Tensor, heard: Transcription, notes: tuple[Note, ...], listeners: Listeners, config: MelConfig
) -> Result:
    """How well the notes of a score can be heard in a waveform (samples,)."""
    precision, recall, frame_f = frame_prf(heard.roll, score_roll(notes, len(heard.roll)))
    return {
        "frame_precision": precision,
        "frame_recall": recall,
        "frame_f": frame_f,
        "note_f1_50": note_f1(notes, heard.intervals, heard.pitches, 0.05),
        "note_f1_100": note_f1(notes, heard.intervals, heard.pitches, 0.1),
        "timely": timely_share(notes, heard.intervals, heard.pitches),
        "onset_f1": onset_f1(output, notes, config.sample_rate),
        "f0_accuracy": f0_accuracy(notes, *listeners.pitch.track(output)) if is_one_voice(notes) else None,
    }


def compare_with_source(heard: Transcription, source: Transcription) -> Result:
    """How far the notes heard in an output are those heard in its source: for clips without a score."""
    return {
        "source_frame_f": frame_prf(heard.roll, source.roll)[2],
        "pitch_jaccard": pitch_jaccard(heard.roll, source.roll),
        "pitch_class_distance": pitch_class_distance(heard.activations, source.activations),
    }


@torch.no_grad()
def name_instrument(waveform: torch.Tensor, classifier: InstrumentClassifier) -> str:
    """The instrument that the classifier hears in a waveform (samples,)."""
    mel = normalized_mel(waveform, classifier.mel)
    return classifier.config.instruments[int(classifier(mel).argmax())]


def score_clip(
    output: torch.Tensor,
    target: torch.Tensor,
    notes: tuple[Note, ...],
    source: Transcription,
    instrument: str,
    listeners: Listeners,
    config: MelConfig,
) -> Result:
    """Every column of an output (samples,) whose target, score and source are known.

    Args:
        source: what is heard in the source.
        instrument: what the output should be heard as.
    """
    heard = listeners.notes.transcribe(output)
    named = name_instrument(output, listeners.classifier)
    result = compare_with_score(output, heard, notes, listeners, config) | compare_with_source(heard, source)
    result |= compare_with_target(output, target, config)
    return result | {"named": named, "named_target": float(named == instrument)}
