"""Runs compared systems on test cases: keeps their sound, and scores it from there."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.audio import write_audio
from stylediff.checkpoint import load_pipeline
from stylediff.mel import MelConfig
from stylediff.settings import TransferSettings
from train.common.files import write_atomically
from train.common.parallel import results_of
from train.data.manifest import ClipGroup, read_manifest
from train.data.soundfonts import Synthesizer, open_synthesizer, soundfont_voices
from train.data.transcription import NoteJudge, PitchTracker
from train.data.waveforms import load_waveform
from train.evaluation.cases import MAIN_PAIRS, Example, Pair, Trial, TrialError
from train.evaluation.clip_scores import Judges, Result, assess
from train.evaluation.systems import GRIFFIN_LIM, Players, Row, average_spectrum, build_rows
from train.models.instrument_classifier import InstrumentClassifier

SHIPPED_CLASSIFIER = Path(__file__).parent.parent / "pretrained" / "classifier"
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
        samplings: settings of each row of our model.
    """

    model: Path
    regression: Path | None
    classifier: Path
    data: Path
    audio: Path
    voices: tuple[str, ...]
    soundfonts: tuple[str, ...]
    samplings: tuple[TransferSettings, ...]


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


Task = tuple[Trial, tuple[str, ...]]  # a trial and its rows


def read_results(path: Path) -> list[Result]:
    """Results kept so far, one a line; a line that an interruption cut short is dropped, from the file as well."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]
    write_atomically(path, "".join(whole))
    return [json.loads(line) for line in whole]


def plan_tasks(trials: list[Trial], names: list[str], chosen: set[str], extra: set[str], sweep: int) -> list[Task]:
    """The rows to run on each trial.

    Off the main directions, our model runs at chosen settings only, and Griffin-Lim, slow and no part of what is
    measured, not at all.

    Args:
        chosen: rows of our model that run on every trial.
        extra: rows that run on the first ``sweep`` trials of a main direction only.
    """
    everywhere = tuple(name for name in names if name in chosen or not (name.startswith("ours") or name == GRIFFIN_LIM))
    regular = tuple(name for name in names if name not in extra)
    seen: Counter[Pair] = Counter()
    tasks: list[Task] = []
    for trial in trials:
        seen[trial.pair] += 1
        rows = tuple(names) if seen[trial.pair] <= sweep else regular
        tasks.append((trial, rows if trial.pair in MAIN_PAIRS else everywhere))
    return tasks


def unfinished(tasks: list[Task], is_done: Callable[[Trial, str], bool]) -> list[Task]:
    """What is left of tasks."""
    left = [(trial, tuple(row for row in rows if not is_done(trial, row))) for trial, rows in tasks]
    return [(trial, rows) for trial, rows in left if rows]


def progress(tasks: list[Task], what: str) -> tqdm:
    return tqdm(total=sum(len(rows) for _, rows in tasks), unit="clip", desc=what)


def make_all(
    tasks: list[Task], scoring: Scoring, workers: int, is_needless: Callable[[Trial, str], bool] = lambda *_: False
) -> None:
    """Makes all sound that is not there yet, but for what is needless."""
    waiting = unfinished(tasks, lambda t, row: is_needless(t, row) or audio_path(scoring, t, row).is_file())
    with progress(waiting, "make") as bar:
        for count in results_of(partial(make, scoring), waiting, workers):
            bar.update(count)


def score_all(tasks: list[Task], scoring: Scoring, results: list[Result], path: Path, workers: int) -> list[Result]:
    """The results of tasks: those that ``results`` holds, and the others, scored and added to the file.

    They come in the order of the tasks, whatever the order in which they were made.
    """
    done = {(result["trial"], result["row"]): result for result in results}
    waiting = unfinished(tasks, lambda trial, row: (trial.key, row) in done)
    with path.open("a") as file, progress(waiting, "score") as bar:
        for made in results_of(partial(score, scoring), waiting, workers):
            for result in made:
                done[result["trial"], result["row"]] = result
                file.write(json.dumps(result) + "\n")
            file.flush()
            bar.update(len(made))
    return [done[trial.key, row] for trial, rows in tasks for row in rows]
