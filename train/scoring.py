"""Scores of single trials: what every system makes of one, and what the judges say of that."""

import statistics
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from stylediff.audio import read_audio
from stylediff.checkpoint import load_pipeline
from stylediff.mel import MelConfig, waveform_to_mel
from train.classifier import InstrumentClassifier
from train.equaliser import average_spectrum
from train.judges import NoteJudge
from train.manifest import ClipGroup, read_manifest
from train.metrics import frame_prf, log_mel_error, note_f1, score_roll
from train.report import Result
from train.rows import Output, Row, build_rows
from train.trials import Example, Trial, TrialError

SPECTRUM_CLIPS = 40  # training clips behind a voice's average spectrum


@dataclass(frozen=True)
class Scoring:
    """What trials are scored with, by name: each process loads it for itself.

    Attributes:
        model, classifier: their folders.
        data: folder of the data set.
        voices: of the trials' targets.
        steps: denoising steps of the rows of our model.
        guidance: guidance scale of those rows.
    """

    model: Path
    classifier: Path
    data: Path
    voices: tuple[str, ...]
    steps: tuple[int, ...]
    guidance: float


def load_waveform(path: Path) -> torch.Tensor:
    """Samples (samples,) of a mono file."""
    samples, _ = read_audio(path)
    return torch.from_numpy(samples[0])


def load_example(trial: Trial, folder: Path) -> Example:
    source, target = (load_waveform(folder / clip.file) for clip in (trial.source, trial.target))
    return Example(source, target, trial.target.voice, trial.group.index)


def load_spectra(groups: list[ClipGroup], voices: set[str], folder: Path, mel: MelConfig) -> dict[str, torch.Tensor]:
    """Average spectrum of each voice over clean clips of the training split.

    Raises:
        TrialError: a voice has no such clip.
    """
    spectra = {}
    for voice in sorted(voices):
        clips = [c for g in groups if g.split == "train" for c in g.clips if c.voice == voice and c.role == "target"]
        if not clips:
            raise TrialError(f"the training split has no clip of {voice} to take its average spectrum from")
        chosen = clips[:: -(-len(clips) // SPECTRUM_CLIPS)]
        spectra[voice] = average_spectrum([load_waveform(folder / clip.file) for clip in chosen], mel)
    return spectra


@torch.no_grad()
def measure(
    trial: Trial, example: Example, output: Output, judge: NoteJudge, classifier: InstrumentClassifier
) -> Result:
    """Every column of one clip in one row, but for its time."""
    config = classifier.mel
    mel, target_mel = waveform_to_mel(torch.stack([output.waveform, example.target]), config)[:, 0]
    heard = judge.listen(output.waveform)
    notes = trial.score(len(output.waveform) / config.sample_rate)
    precision, recall, frame_f = frame_prf(heard.roll, score_roll(notes, len(heard.roll)))
    named = classifier.config.instruments[int(classifier(mel[None, None]).argmax())]
    return {
        "log_mel_error": log_mel_error(mel, target_mel),
        "generated_error": None if output.mel is None else log_mel_error(output.mel, target_mel),
        "frame_precision": precision,
        "frame_recall": recall,
        "frame_f": frame_f,
        "note_f1_50": note_f1(notes, heard.intervals, heard.pitches, 0.05),
        "note_f1_100": note_f1(notes, heard.intervals, heard.pitches, 0.1),
        "named": named,
        "named_target": float(named == example.instrument),
    }


@lru_cache(maxsize=1)
def load_systems(scoring: Scoring) -> tuple[dict[str, Row], InstrumentClassifier, NoteJudge]:
    """Rows by name, in the order of the tables, and the judges.

    Raises:
        CheckpointError, ManifestError, TrialError, ValueError: something is missing or does not fit.
    """
    pipeline = load_pipeline(str(scoring.model))
    pipeline.set_progress_bar_config(disable=True)
    classifier = InstrumentClassifier.from_pretrained(scoring.classifier).eval()
    pipeline.mel.require_same(classifier.mel, "the classifier")
    spectra = load_spectra(read_manifest(scoring.data), set(scoring.voices), scoring.data, pipeline.mel)
    return build_rows(pipeline, spectra, list(scoring.steps), scoring.guidance), classifier, NoteJudge()


def score(scoring: Scoring, task: tuple[Trial, tuple[str, ...]]) -> list[Result]:
    """Results of a trial in the rows named with it."""
    trial, names = task
    rows, classifier, judge = load_systems(scoring)
    example = load_example(trial, scoring.data)
    results = []
    for name in names:
        result = {"trial": trial.key, "row": name, "source": trial.pair[0], "target": trial.pair[1]}
        results.append(result | measure(trial, example, rows[name](example), judge, classifier))
    return results


def time_rows(scoring: Scoring, trials: list[Trial]) -> dict[str, float]:
    """Seconds of compute for a second of sound in every row, the median over some trials, after one to warm up."""
    rows, classifier, _ = load_systems(scoring)
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for trial in [trials[0], *trials]:
        example = load_example(trial, scoring.data)
        for name, row in rows.items():
            started = time.perf_counter()
            row(example)
            elapsed = time.perf_counter() - started
            seconds[name].append(elapsed * classifier.mel.sample_rate / len(example.target))
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}
