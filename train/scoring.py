"""Trials made and scored: what every system makes of one is kept as audio, and judged from there."""

import statistics
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from stylediff import StyleTransferPipeline
from stylediff.audio import write_audio
from stylediff.checkpoint import load_pipeline
from stylediff.mel import MelConfig
from train.assessment import Judges, Result, assess
from train.classifier import InstrumentClassifier
from train.equaliser import average_spectrum
from train.judges import NoteJudge, PitchTracker
from train.manifest import ClipGroup, read_manifest
from train.rows import Players, Row, Sampling, build_rows
from train.synthesis import Synthesizer, open_synthesizer, soundfont_voices
from train.trials import Example, Trial, TrialError
from train.waveforms import load_waveform

SHIPPED_CLASSIFIER = Path(__file__).parent / "pretrained" / "classifier"
SPECTRUM_CLIPS = 40  # training clips behind a voice's average spectrum


@dataclass(frozen=True)
class Scoring:
    """What trials are scored with, by name: each process loads it for itself.

    Attributes:
        model, regression, classifier: their folders.
        data: folder of the data set.
        audio: folder of what the systems made.
        voices: of the trials' targets.
        soundfonts: of those voices, as ``render_dataset`` takes them, or none.
        samplings: of each row of our model.
    """

    model: Path
    regression: Path | None
    classifier: Path
    data: Path
    audio: Path
    voices: tuple[str, ...]
    soundfonts: tuple[str, ...]
    samplings: tuple[Sampling, ...]


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


def load_players(soundfonts: tuple[str, ...], voices: tuple[str, ...]) -> Players:
    """Synthesizers for voices; none without soundfonts.

    Raises:
        TrialError: a voice is in none of the soundfonts.
    """
    offered = {voice: preset for argument in soundfonts for voice, preset in soundfont_voices(argument).items()}
    players: Players = {}
    opened: dict[Path, Synthesizer] = {}
    for voice in voices if soundfonts else ():
        if voice not in offered:
            raise TrialError(f"none of the soundfonts has the voice {voice}; name them all, or none")
        preset = offered[voice]
        path = preset.soundfont
        opened[path] = opened.get(path) or open_synthesizer(path, MelConfig().sample_rate)
        players[voice] = opened[path], preset
    return players


def row_folder(row: str) -> str:
    """Name of the folder that a row's sound is kept in."""
    return row.replace(",", "").replace(" ", "_")


def audio_path(scoring: Scoring, trial: Trial, row: str) -> Path:
    """Where the sound of a trial in a row is kept: under the same name in every row's folder."""
    source, target = trial.pair
    return scoring.audio / row_folder(row) / f"{trial.group.index:06d}_{source}_to_{target}.flac"


@lru_cache(maxsize=2)
def load_model(model: Path) -> StyleTransferPipeline:
    """A pipeline that shows no progress, once a process."""
    pipeline = load_pipeline(str(model))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@lru_cache(maxsize=1)
def load_rows(scoring: Scoring) -> dict[str, Row]:
    """Rows by name, in the order of the tables.

    Raises:
        CheckpointError, ManifestError, SynthesisError, TrialError: something is missing.
    """
    pipeline = load_model(scoring.model)
    regression = load_model(scoring.regression) if scoring.regression else None
    spectra = load_spectra(read_manifest(scoring.data), set(scoring.voices), scoring.data, pipeline.mel)
    players = load_players(scoring.soundfonts, scoring.voices)
    return build_rows(pipeline, spectra, players, regression, scoring.samplings)


@lru_cache(maxsize=1)
def load_judges(classifier: Path) -> Judges:
    """The judges; the instrument classifier is in that folder.

    Raises:
        ValueError: it was trained on other mels.
    """
    judge = InstrumentClassifier.from_pretrained(classifier).eval()
    MelConfig().require_same(judge.mel, "the classifier")
    return Judges(NoteJudge(), PitchTracker(), judge)


def make(scoring: Scoring, task: tuple[Trial, tuple[str, ...]]) -> int:
    """Makes the sound of a trial in the rows named with it, and returns their number."""
    trial, names = task
    rows, example = load_rows(scoring), load_example(trial, scoring.data)
    for name in names:
        path = audio_path(scoring, trial, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.stem}.part.flac")
        write_audio(scratch, rows[name](example), MelConfig().sample_rate)
        scratch.replace(path)
    return len(names)


def score(scoring: Scoring, task: tuple[Trial, tuple[str, ...]]) -> list[Result]:
    """Results of a trial in the rows named with it, whose sound has been made."""
    trial, names = task
    config, judges, example = MelConfig(), load_judges(scoring.classifier), load_example(trial, scoring.data)
    notes = trial.score(len(example.target) / config.sample_rate)
    source = judges.notes.listen(example.source)
    results = []
    for name in names:
        output = load_waveform(audio_path(scoring, trial, name))
        result = {"trial": trial.key, "row": name, "source": trial.pair[0], "target": trial.pair[1]}
        results.append(result | assess(output, example.target, notes, source, example.instrument, judges, config))
    return results


def time_rows(scoring: Scoring, trials: list[Trial]) -> dict[str, float]:
    """Seconds of compute for a second of sound in every row, the median over some trials, after one to warm up."""
    rows, sample_rate = load_rows(scoring), MelConfig().sample_rate
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for trial in [trials[0], *trials]:
        example = load_example(trial, scoring.data)
        for name, row in rows.items():
            started = time.perf_counter()
            row(example)
            elapsed = time.perf_counter() - started
            seconds[name].append(elapsed * sample_rate / len(example.target))
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}
