"""Columns of single outputs: a perfect copy, a quieter one, and silence."""

import pytest
import torch

from stylediff.mel import MelConfig
from train.data.notes import Note
from train.data.transcription import NoteTranscriber, PitchTracker
from train.evaluation.clip_scores import (
    Listeners,
    compare_with_score,
    compare_with_source,
    compare_with_target,
    name_instrument,
)
from train.models.instrument_classifier import InstrumentClassifier

MEL = MelConfig()
NOTES = (Note(0.1, 0.9, 69, 80), Note(1.0, 1.8, 73, 80))


@pytest.fixture(scope="module")
def listeners() -> Listeners:
    torch.manual_seed(0)
    return Listeners(NoteTranscriber(), PitchTracker(), InstrumentClassifier().eval())


def melody() -> torch.Tensor:
    """The notes above with four harmonics that decay, (2 seconds,)."""
    time = torch.arange(2 * MEL.sample_rate) / MEL.sample_rate
    waveform = torch.zeros(len(time))
    for note in NOTES:
        sounding = (time >= note.start) & (time < note.end)
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        decay = (-2 * (time - note.start)).exp() * ((note.end - time) / 0.3).clamp(0, 1) * sounding
        waveform += sum(decay * torch.sin(2 * torch.pi * hz * n * time) / n for n in range(1, 5))
    return 0.2 * waveform


def test_a_copy_is_no_distance_away_and_a_quieter_one_only_in_loudness() -> None:
    waveform = melody()
    copy = compare_with_target(waveform, waveform, MEL)
    for column in ("chroma_similarity", "level_correlation", "loudness_correlation"):
        assert copy.pop(column) == pytest.approx(1.0, abs=1e-5)
    assert set(copy.values()) == {0.0}
    quieter = compare_with_target(waveform / 2, waveform, MEL)
    assert quieter["loudness_difference_db"] == pytest.approx(-6.02, abs=0.01)
    assert quieter["log_mel_error"] < 1e-4
    assert compare_with_target(10 * waveform.clamp(-0.1, 0.1), waveform, MEL)["clipped"] > 1000


def test_silence_is_measured_without_an_error(listeners: Listeners) -> None:
    silence = torch.zeros(2 * MEL.sample_rate)
    result = compare_with_target(silence, melody(), MEL)
    assert result["log_mel_error"] > 0.3
    assert result["missing_seconds"] > 1
    scored = compare_with_score(silence, listeners.notes.transcribe(silence), NOTES, listeners, MEL)
    assert scored["note_f1_50"] == scored["frame_f"] == scored["onset_f1"] == 0.0


@pytest.mark.slow
def test_a_melody_is_heard_as_its_score_and_as_itself(listeners: Listeners) -> None:
    heard = listeners.notes.transcribe(melody())
    scored = compare_with_score(melody(), heard, NOTES, listeners, MEL)
    assert scored["note_f1_50"] == 1.0
    assert scored["onset_f1"] == 1.0
    assert scored["frame_f"] > 0.7
    assert scored["f0_accuracy"] > 0.9
    chord = (*NOTES, Note(0.1, 0.9, 60, 80))
    assert compare_with_score(melody(), heard, chord, listeners, MEL)["f0_accuracy"] is None
    assert compare_with_source(heard, heard) == {
        "source_frame_f": 1.0,
        "pitch_jaccard": 0.0,
        "pitch_class_distance": 0.0,
    }


def test_the_named_instrument_does_not_depend_on_level(listeners: Listeners) -> None:
    named = {name_instrument(melody() * gain, listeners.classifier) for gain in (0.05, 1.0, 3.0)}
    assert len(named) == 1
    assert named <= set(listeners.classifier.config.instruments)
