"""Scores of single outputs: a perfect copy, a quieter copy, and silence."""

from dataclasses import replace

import pytest
import torch

from stylediff.mel import MelConfig
from train.data.notes import Note
from train.data.transcription import NoteTranscriber, PitchTracker
from train.evaluation.clip_scores import Result, score_clip
from train.evaluation.metrics.clip import Listeners, ScoredClip, name_instrument
from train.models.instrument_classifier import InstrumentClassifier

MEL = MelConfig()
NOTES = (Note(0.1, 0.9, 69, 80), Note(1.0, 1.8, 73, 80))


@pytest.fixture(scope="module")
def listeners() -> Listeners:
    torch.manual_seed(0)
    return Listeners(NoteTranscriber(), PitchTracker(), InstrumentClassifier().eval())


def melody() -> torch.Tensor:
    """The notes above with four decaying harmonics, (2 seconds,)."""
    time = torch.arange(2 * MEL.sample_rate) / MEL.sample_rate
    waveform = torch.zeros(len(time))
    for note in NOTES:
        sounding = (time >= note.start) & (time < note.end)
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        decay = (-2 * (time - note.start)).exp() * ((note.end - time) / 0.3).clamp(0, 1) * sounding
        waveform += sum(decay * torch.sin(2 * torch.pi * hz * n * time) / n for n in range(1, 5))
    return 0.2 * waveform


def compare(output: torch.Tensor, target: torch.Tensor) -> Result:
    return score_clip(ScoredClip(output=output, target=target, config=MEL))


def test_a_copy_has_no_error_and_a_quieter_one_only_in_loudness() -> None:
    waveform = melody()
    copy = compare(waveform, waveform)
    del copy["stripes"]  # metrics of the output alone
    for column in ("chroma_similarity", "level_correlation", "loudness_correlation"):
        assert copy.pop(column) == pytest.approx(1.0, abs=1e-5)
    assert set(copy.values()) == {0.0}
    quieter = compare(waveform / 2, waveform)
    assert quieter["loudness_difference_db"] == pytest.approx(-6.02, abs=0.01)
    assert quieter["log_mel_error"] < 1e-4
    assert compare(10 * waveform.clamp(-0.1, 0.1), waveform)["clipped"] > 1000


def test_metrics_of_unknown_attributes_are_missing() -> None:
    alone = score_clip(ScoredClip(output=melody(), config=MEL))
    assert set(alone) == {"stripes", "clipped"}
    scored = score_clip(ScoredClip(output=melody(), config=MEL, score=NOTES, instrument="violin"))
    assert set(scored) == {"stripes", "clipped", "onset_f1"}, "there are no listeners"


def test_silence_is_measured_without_an_error(listeners: Listeners) -> None:
    silence = torch.zeros(2 * MEL.sample_rate)
    clip = ScoredClip(output=silence, target=melody(), config=MEL, score=NOTES, listeners=listeners)
    scores = score_clip(clip)
    assert scores["log_mel_error"] > 0.3
    assert scores["missing_seconds"] > 1
    assert scores["note_f1_50"] == scores["frame_f"] == scores["onset_f1"] == 0.0
    assert scores["timely"] is None, "no note is detected"


@pytest.mark.slow
def test_a_melody_agrees_with_its_score_and_with_itself(listeners: Listeners) -> None:
    transcription = listeners.notes.transcribe(melody())
    named = name_instrument(melody(), listeners.classifier)
    clip = ScoredClip(
        output=melody(), config=MEL, score=NOTES, source=transcription, instrument=named, listeners=listeners
    )
    scores = score_clip(clip)
    assert scores["note_f1_50"] == 1.0
    assert scores["onset_f1"] == 1.0
    assert scores["frame_f"] > 0.7
    assert scores["f0_accuracy"] > 0.9
    assert scores["wobble"] < 20
    assert scores["named_target"] == 1.0
    assert (scores["source_frame_f"], scores["pitch_jaccard"], scores["pitch_class_distance"]) == (1.0, 0.0, 0.0)
    copy = score_clip(replace(clip, original_hz=listeners.pitch.track(melody())[1]))
    assert copy["deviation"] == 0.0
    chord = score_clip(replace(clip, score=(*NOTES, Note(0.1, 0.9, 60, 80))))
    assert not {"f0_accuracy", "wobble"} & set(chord), "a chord has no pitch to track"


def test_classification_does_not_depend_on_level(listeners: Listeners) -> None:
    named = {name_instrument(melody() * gain, listeners.classifier) for gain in (0.05, 1.0, 3.0)}
    assert len(named) == 1
    assert named <= set(listeners.classifier.config.instruments)
