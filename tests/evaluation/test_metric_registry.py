"""Registry of metrics, and the scores it gives."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stylediff.mel import MelConfig
from stylediff.notes import Note
from tests.helpers.files import ROOT
from train.data.transcription import NoteTranscriber, PitchTracker
from train.evaluation.metrics import CODEC, METRICS, NOTES, SOUND, Result, columns_of, score_clip
from train.evaluation.metrics.clip import Listeners, ScoredClip, name_instrument
from train.models.instrument_classifier import InstrumentClassifier

PEAK = """\
    Metric(
        name="peak",
        heading="peak",
        higher_is_better=False,
        needs=("output",),
        compute=lambda output: float(output.abs().max()),
        tables=(SOUND, CODEC),
    ),
"""


def test_metrics_need_attributes_of_a_clip_and_have_unique_names() -> None:
    known = set(dir(ScoredClip)) | set(ScoredClip.__dataclass_fields__)
    for metric in METRICS:
        assert set(metric.needs) <= known, metric.name
        assert set(metric.tables) <= {NOTES, SOUND, CODEC}, metric.name
        assert "↓" not in metric.heading
    for values in ([metric.name for metric in METRICS], [metric.heading for metric in METRICS]):
        assert len(set(values)) == len(values)


def test_columns_have_an_arrow_if_smaller_is_better() -> None:
    columns = columns_of(NOTES, SOUND)
    assert columns["frame_f"] == "frame F"
    assert columns["log_mel_error"] == "log-mel error, neper ↓"
    assert columns["loudness_difference_db"] == "loudness difference, dB"
    assert list(columns)[:2] == ["frame_f", "note_f1_50"]
    assert "wobble" not in columns
    assert columns_of(CODEC)["wobble"] == "pitch wobble, cents ↓"


@pytest.mark.slow
def test_one_entry_is_scored_and_shown_everywhere(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("pretrained", "results", "__pycache__")
    shutil.copytree(ROOT / "train", tmp_path / "train", ignore=ignored)
    (tmp_path / "stylediff").symlink_to(ROOT / "stylediff")
    registry = tmp_path / "train" / "evaluation" / "metrics" / "__init__.py"
    registry.write_text(registry.read_text().replace("METRICS = (\n", f"METRICS = (\n{PEAK}"))
    program = """
import torch
from stylediff.mel import MelConfig
from train.evaluation.metrics import score_clip
from train.evaluation.metrics.clip import ScoredClip
from train.evaluation.report import table_lines, tabulate
from train.experiments import codec, metric_sensitivity

scores = score_clip(ScoredClip(output=0.5 * torch.ones(22050), config=MelConfig()))
print(scores["peak"])
print(table_lines(tabulate([scores | {"row": "system"}], ["system"]))[5])
print(metric_sensitivity.verdict("peak", [0.1, 0.2, 0.4]), "peak" in metric_sensitivity.CHECKED)
print(codec.COLUMNS["peak"])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    score, heads, verdict, column = done.stdout.splitlines()
    assert score == "0.5"
    assert "| peak ↓ |" in heads
    assert (verdict, column) == ("sees True", "peak ↓")


MEL = MelConfig()
TWO_NOTES = (Note(0.1, 0.9, 69, 80), Note(1.0, 1.8, 73, 80))


@pytest.fixture(scope="module")
def listeners() -> Listeners:
    torch.manual_seed(0)
    return Listeners(NoteTranscriber(), PitchTracker(), InstrumentClassifier().eval())


def melody() -> torch.Tensor:
    """The notes above with four decaying harmonics, (2 seconds,)."""
    time = torch.arange(2 * MEL.sample_rate) / MEL.sample_rate
    waveform = torch.zeros(len(time))
    for note in TWO_NOTES:
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
    scored = score_clip(ScoredClip(output=melody(), config=MEL, score=TWO_NOTES, instrument="violin"))
    assert set(scored) == {"stripes", "clipped", "onset_f1"}, "there are no listeners"


def test_silence_is_measured_without_an_error(listeners: Listeners) -> None:
    silence = torch.zeros(2 * MEL.sample_rate)
    clip = ScoredClip(output=silence, target=melody(), config=MEL, score=TWO_NOTES, listeners=listeners)
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
        output=melody(), config=MEL, score=TWO_NOTES, source=transcription, instrument=named, listeners=listeners
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
    chord = score_clip(replace(clip, score=(*TWO_NOTES, Note(0.1, 0.9, 60, 80))))
    assert not {"f0_accuracy", "wobble"} & set(chord), "a chord has no pitch to track"


def test_classification_does_not_depend_on_level(listeners: Listeners) -> None:
    named = {name_instrument(melody() * gain, listeners.classifier) for gain in (0.05, 1.0, 3.0)}
    assert len(named) == 1
    assert named <= set(listeners.classifier.config.instruments)
