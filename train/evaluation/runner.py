"""Run the compared systems on test cases and score their outputs."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from train.common.parallel import parallel_map
from train.data.manifest import ClipGroup, read_manifest
from train.data.soundfonts import Synthesizer, open_synthesizer, soundfont_voices
from train.data.transcription import NoteTranscriber, PitchTracker
from train.data.waveforms import load_waveform
from train.evaluation.cases import MAIN_PAIRS, CaseAudio, CaseError, Direction, EvalCase
from train.evaluation.metrics import Result, score_clip
from train.evaluation.metrics.clip import Listeners, ScoredClip
from train.evaluation.systems import GRIFFIN_LIM, Players, Run, System, average_spectrum, build_systems
from train.models.instrument_classifier import InstrumentClassifier

SPECTRUM_CLIPS = 40  # training clips for a voice's average spectrum


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Configuration of an evaluation, passed to each process.

    Attributes:
        model, regression, classifier: folders of the networks.
        data: folder of the data set.
        audio: folder of the systems' outputs.
        voices: voices of the targets.
        soundfonts: soundfonts of those voices, in the format of ``render_dataset``, or none.
        variants: settings of the model; each is one system.
    """

    model: Path
    regression: Path | None
    classifier: Path
    data: Path
    audio: Path
    voices: tuple[str, ...]
    soundfonts: tuple[str, ...]
    variants: tuple[TransferSettings, ...]


def load_case_audio(case: EvalCase, folder: Path) -> CaseAudio:
    source, target = (load_waveform(folder / clip.file) for clip in (case.source, case.target))
    return CaseAudio(source, target, case.target.voice, case.group.index)


def load_spectra(groups: list[ClipGroup], voices: set[str], folder: Path, mel: MelConfig) -> dict[str, torch.Tensor]:
    """Average spectrum of each voice over clean training clips.

    Raises:
        CaseError: a voice has no such clip.
    """
    spectra = {}
    for voice in sorted(voices):
        clips = [c for g in groups if g.split == "train" for c in g.clips if c.voice == voice and c.role == "target"]
        if not clips:
            raise CaseError(f"the training split has no clip of {voice}; its average spectrum is needed")
        chosen = clips[:: -(-len(clips) // SPECTRUM_CLIPS)]
        spectra[voice] = average_spectrum([load_waveform(folder / clip.file) for clip in chosen], mel)
    return spectra


def load_players(soundfonts: tuple[str, ...], voices: tuple[str, ...]) -> Players:
    """Load synthesizers for voices; none without soundfonts.

    Raises:
        CaseError: no soundfont has the voice.
    """
    offered = {voice: preset for argument in soundfonts for voice, preset in soundfont_voices(argument).items()}
    players: Players = {}
    opened: dict[Path, Synthesizer] = {}
    for voice in voices if soundfonts else ():
        if voice not in offered:
            raise CaseError(f"no soundfont has the voice {voice}; name the soundfonts of all voices, or none")
        preset = offered[voice]
        path = preset.soundfont
        opened[path] = opened.get(path) or open_synthesizer(path, MelConfig().sample_rate)
        players[voice] = opened[path], preset
    return players


def system_folder(system: str) -> str:
    """Name of the folder of a system's outputs."""
    return system.replace(",", "").replace(" ", "_")


def audio_path(eval_config: EvalConfig, case: EvalCase, system: str) -> Path:
    """Path of a system's output for a case.

    The file has the same name in every system's folder.
    """
    source, target = case.pair
    return eval_config.audio / system_folder(system) / f"{case.group.index:06d}_{source}_to_{target}.flac"


@lru_cache(maxsize=2)
def load_model(model: Path) -> StyleTransferPipeline:
    """Load a pipeline without a progress bar, once per process."""
    pipeline = load_pipeline(str(model))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@lru_cache(maxsize=1)
def load_systems(eval_config: EvalConfig) -> dict[System, Run]:
    """Load the systems by name, in the order of the tables.

    Raises:
        CheckpointError, ManifestError, SynthesisError, CaseError: an input is missing.
    """
    pipeline = load_model(eval_config.model)
    regression = load_model(eval_config.regression) if eval_config.regression else None
    spectra = load_spectra(read_manifest(eval_config.data), set(eval_config.voices), eval_config.data, pipeline.mel)
    players = load_players(eval_config.soundfonts, eval_config.voices)
    return build_systems(pipeline, spectra, players, regression, eval_config.variants)


def load_runs(eval_config: EvalConfig) -> dict[str, Run]:
    """Return the function that runs each system, by name.

    Errors are those of ``load_systems``.
    """
    return {system.name: run for system, run in load_systems(eval_config).items()}


@lru_cache(maxsize=1)
def load_listeners(folder: Path) -> Listeners:
    """Load the transcribers, and the instrument classifier of a folder.

    Raises:
        ValueError: the classifier was trained on other mels.
    """
    classifier = InstrumentClassifier.from_pretrained(folder).eval()
    MelConfig().require_same(classifier.mel, "the classifier")
    return Listeners(NoteTranscriber(), PitchTracker(), classifier)


def render_outputs(eval_config: EvalConfig, task: tuple[EvalCase, tuple[str, ...]]) -> int:
    """Run the named systems on a case, and return their number."""
    case, names = task
    runs, audio = load_runs(eval_config), load_case_audio(case, eval_config.data)
    for name in names:
        path = audio_path(eval_config, case, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.stem}.part.flac")
        write_audio(scratch, runs[name](audio), MelConfig().sample_rate)
        scratch.replace(path)
    return len(names)


def known_of(case: EvalCase, audio: CaseAudio, listeners: Listeners) -> ScoredClip:
    """Return a case's true target as a clip to be scored.

    ``dataclasses.replace`` puts another output in its place.
    """
    config = MelConfig()
    return ScoredClip(
        output=audio.target,
        config=config,
        target=audio.target,
        score=case.notes_within(len(audio.target) / config.sample_rate),
        source=listeners.notes.transcribe(audio.source),
        instrument=audio.instrument,
        listeners=listeners,
    )


def score_outputs(eval_config: EvalConfig, task: tuple[EvalCase, tuple[str, ...]]) -> list[Result]:
    """Score the saved outputs of a case."""
    case, names = task
    listeners, audio = load_listeners(eval_config.classifier), load_case_audio(case, eval_config.data)
    known = known_of(case, audio, listeners)
    results = []
    for name in names:
        clip = replace(known, output=load_waveform(audio_path(eval_config, case, name)))
        result: Result = {"trial": case.key, "row": name, "source": case.pair.source, "target": case.pair.target}
        results.append(result | score_clip(clip) | {"named": clip.named})
    return results


def time_systems(eval_config: EvalConfig, cases: list[EvalCase]) -> dict[str, float]:
    """Measure seconds of compute per second of sound for each system.

    The value is the median over some cases, after one for warm-up.
    """
    runs, sample_rate = load_runs(eval_config), MelConfig().sample_rate
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for case in [cases[0], *cases]:
        audio = load_case_audio(case, eval_config.data)
        for name, run in runs.items():
            started = time.perf_counter()
            run(audio)
            elapsed = time.perf_counter() - started
            seconds[name].append(elapsed * sample_rate / len(audio.target))
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


PlannedCase = tuple[EvalCase, tuple[str, ...]]  # a case and the systems to run on it


def read_results(path: Path) -> list[Result]:
    """Read the saved results, one per line.

    An incomplete last line is also removed from the file.
    """
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]
    write_atomically(path, "".join(whole))
    return [json.loads(line) for line in whole]


def plan_cases(
    cases: list[EvalCase], systems: list[System], chosen: set[str], extra: set[str], sweep: int
) -> list[PlannedCase]:
    """Plan the systems to run on each case.

    Outside the main directions, the model runs at chosen settings only, and Griffin-Lim, which is slow, does not run.

    Args:
        chosen: names of the model's variants that run on every case.
        extra: systems that run only on the first ``sweep`` cases of a main direction.
    """
    names = tuple(system.name for system in systems)
    left_out = {system.name for system in systems if system.is_model or system.name == GRIFFIN_LIM} - chosen
    everywhere = tuple(name for name in names if name not in left_out)
    regular = tuple(name for name in names if name not in extra)
    seen: Counter[Direction] = Counter()
    tasks: list[PlannedCase] = []
    for case in cases:
        seen[case.pair] += 1
        planned = names if seen[case.pair] <= sweep else regular
        tasks.append((case, planned if case.pair in MAIN_PAIRS else everywhere))
    return tasks


def unfinished(tasks: list[PlannedCase], is_done: Callable[[EvalCase, str], bool]) -> list[PlannedCase]:
    """Return the unfinished part of planned cases."""
    left = [(case, tuple(system for system in systems if not is_done(case, system))) for case, systems in tasks]
    return [(case, systems) for case, systems in left if systems]


def progress(tasks: list[PlannedCase], what: str) -> tqdm:
    return tqdm(total=sum(len(systems) for _, systems in tasks), unit="clip", desc=what)


def render_all(
    tasks: list[PlannedCase],
    eval_config: EvalConfig,
    workers: int,
    is_needless: Callable[[EvalCase, str], bool] = lambda *_: False,
) -> None:
    """Make all outputs that are missing and needed."""
    waiting = unfinished(
        tasks, lambda t, system: is_needless(t, system) or audio_path(eval_config, t, system).is_file()
    )
    with progress(waiting, "make") as bar:
        for count in parallel_map(partial(render_outputs, eval_config), waiting, workers):
            bar.update(count)


def score_all(
    tasks: list[PlannedCase], eval_config: EvalConfig, results: list[Result], path: Path, workers: int
) -> list[Result]:
    """Score outputs that are not in ``results`` yet; return all results.

    Results are in the order of the tasks.
    """
    done = {(result["trial"], result["row"]): result for result in results}
    waiting = unfinished(tasks, lambda case, system: (case.key, system) in done)
    with path.open("a") as file, progress(waiting, "score") as bar:
        for made in parallel_map(partial(score_outputs, eval_config), waiting, workers):
            for result in made:
                done[result["trial"], result["row"]] = result
                file.write(json.dumps(result) + "\n")
            file.flush()
            bar.update(len(made))
    return [done[case.key, system] for case, systems in tasks for system in systems]
