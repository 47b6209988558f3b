"""How real do transfers of recordings sound?

    python -m train real-recordings --recordings FOLDER --out DIR [--soundfonts FONT ...]
        [--noise 0.3 1] [--steps 4 8] [--enhance yes no] [--voices all] [--like]

Sources are the held-out third of the recordings, or with ``--split all`` all recordings of a folder. All combinations
of the given settings are tried; the default is the model's settings. Finished clips stay in the output folder: rerun an
interrupted run to resume it; runs with other settings or weights add to it.
"""

import argparse
import hashlib
import inspect
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.audio import write_audio
from stylediff.checkpoint import CheckpointError
from stylediff.instruments import INSTRUMENTS, choose_instruments, get_instrument
from stylediff.mel import MelConfig, normalized_mel
from stylediff.plotting import mels_to_image
from stylediff.room import add_room
from train.common.cli import run_command
from train.common.files import describe_argument, lock_settings, write_atomically
from train.common.markdown import table_head, table_row, write_page
from train.common.parallel import parallel_map
from train.data.manifest import ManifestError
from train.data.recordings import RecordingError
from train.data.soundfonts import SynthesisError
from train.data.transcription import NoteTranscriber, Transcription
from train.data.waveforms import load_waveform
from train.evaluation.cases import CaseError
from train.evaluation.figures import plot_contact_sheet
from train.evaluation.musicnn import Musicnn
from train.evaluation.realism import agreement, measure_clip, summarize
from train.evaluation.recorded import (
    ALL,
    DRY,
    FEWEST_CLIPS,
    RECORDINGS,
    REPLAYED,
    SAMPLE_RATE,
    SOURCE,
    RecordedClip,
    RecordedReference,
    Setting,
    choose_examples,
    choose_sources,
    choose_style,
    examples_of_split,
    recordings_of_split,
    run_model,
    run_replay,
)
from train.evaluation.runner import load_model

SHOWN, SHEET_DPI = 10, 60  # clips on the sheet of pictures, and its resolution
EXAMPLES = 48  # measured recordings per target and split
Values = dict[str, float | None]
Summary = dict[str, dict[str, Values]]  # target -> system -> column -> value

NOTES = """\
Sources are recordings that were not used in training ({split}). *Tagged by musicnn*: probability of the target's tag,
median over clips (no tag for trumpet, saxophone, clarinet, vibraphone); *share*: relative to that of recordings.
*Fréchet distance*: distance of musicnn's features to recordings of the target, from the same split if it has enough;
for recordings it is the distance between their halves, the floor. *Frame F* and *note F1* (50 ms): notes detected in
the output compared with those in the source, within the target's range. *Vibrato* of held notes, *energy between
partials* and *attack* are medians over clips.
"""


@dataclass(frozen=True)
class Plan:
    """Compared systems, and the location of their results.

    Attributes:
        out: folder of finished clips.
        model: folder of the pipeline.
        digest: digest of weights and defaults, so that results of other models are not reused.
        soundfonts: soundfonts with the targets' default voices.
        replays: names of the replayed transcriptions, with their rooms.
        settings: settings of the model, by target.
    """

    out: Path
    model: Path
    digest: str
    soundfonts: tuple[str, ...]
    replays: dict[str, str]
    settings: dict[str, tuple[Setting, ...]]

    def systems(self, target: str) -> list[str]:
        """Names of the systems that play a target."""
        return [*self.replays, *(setting.name for setting in self.settings[target])]

    def path(self, system: str, target: str | None, clip: RecordedClip) -> Path:
        """File of a clip's result; the sound is beside it."""
        folder = system.replace("/", "_").replace(", ", "_").replace(" ", "-")
        made_by = target or "as_it_is"
        if target is not None and system in self.replays:
            made_by = get_instrument(target).default_voice.replace("/", "_")
        elif target is not None:
            folder = f"{folder}_{self.digest}"
        return self.out / folder / made_by / f"{clip.file_stem}.json"


@dataclass(frozen=True)
class Job:
    """A clip to measure and, if it is a source, to transfer.

    Attributes:
        styles: targets, each with a reference recording, or None.
    """

    clip: RecordedClip
    styles: dict[str, RecordedClip | None]


@cache
def load_listeners() -> tuple[Musicnn, NoteTranscriber]:
    """Load the transcriber and musicnn, once per process."""
    return Musicnn(), NoteTranscriber()


def save_result(path: Path, clip: RecordedClip, values: dict[str, Any]) -> None:
    """Write the result of one clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"clip": clip.name, **values}))


def make_output(plan: Plan, job: Job, target: str, system: str, transcription: Transcription) -> torch.Tensor:
    """Run a system on a clip and return (samples,)."""
    if system in plan.replays:
        replayed = run_replay(job.clip, transcription, target, plan.soundfonts)
        return add_room(replayed, SAMPLE_RATE, plan.replays[system])
    setting = next(setting for setting in plan.settings[target] if setting.name == system)
    run = partial(run_model, job.clip, target, model=plan.model, style=job.styles[target])
    if setting.room in (None, DRY):
        return run(setting)
    without_room = replace(setting, room=DRY)
    path = plan.path(without_room.name, target, job.clip).with_suffix(".flac")
    return add_room(load_waveform(path) if path.is_file() else run(without_room), SAMPLE_RATE, setting.room)


def work_on(job: Job, plan: Plan) -> int:
    """Do the missing work of a job; return the number of results."""
    clip, done = job.clip, 0
    missing = [
        (target, system)
        for target in job.styles
        for system in plan.systems(target)
        if not plan.path(system, target, clip).is_file()
    ]
    as_it_is = plan.path(SOURCE, None, clip)
    if not missing and as_it_is.is_file():
        return 0
    musicnn, transcriber = load_listeners()
    source = transcriber.transcribe(clip.waveform)
    if not as_it_is.is_file():
        save_result(as_it_is, clip, measure_clip(clip.waveform, SAMPLE_RATE, source, musicnn).to_dict())
        done += 1
    for target, system in missing:
        path = plan.path(system, target, clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path.with_suffix(".flac"), make_output(plan, job, target, system, source), SAMPLE_RATE)
        output = load_waveform(path.with_suffix(".flac"))
        transcription = transcriber.transcribe(output)
        impression = measure_clip(output, SAMPLE_RATE, transcription, musicnn).to_dict()
        save_result(path, clip, impression | agreement(transcription, source, target))
        done += 1
    return done


def settings_of(target: str, pipeline: StyleTransferPipeline, args: argparse.Namespace) -> tuple[Setting, ...]:
    """All combinations of the given settings for one target."""
    known = [str(voice) for voice in pipeline.style_encoder.config.voices if str(voice).startswith(f"{target}/")]
    voices = known if ALL in args.voices else [voice for voice in args.voices if voice in known]
    choices = (
        voices,
        args.steps,
        args.noise,
        args.start,
        [word == "yes" for word in args.enhance],
        args.dynamics,
        args.room,
    )
    grid = [Setting(*values) for values in itertools.product(*(choice or [None] for choice in choices))]
    return (*grid, *(replace(setting, like=True) for setting in grid if args.like))


def replays_of(args: argparse.Namespace) -> dict[str, str]:
    """Names of the replayed transcriptions, with their rooms."""
    rooms = args.room or [DRY]
    return {REPLAYED if room == DRY else f"{REPLAYED}, in a {room}": room for room in rooms if args.soundfonts}


def digest_model(model: Path) -> str:
    """Short digest of a model's weights and defaults."""
    defaults = [
        parameter.default for parameter in inspect.signature(StyleTransferPipeline.__call__).parameters.values()
    ]
    voices = [instrument.default_voice for instrument in INSTRUMENTS]
    return hashlib.sha256(f"{describe_argument(model)} {defaults} {voices}".encode()).hexdigest()[:8]


def read_results(plan: Plan, system: str, target: str | None, clips: list[RecordedClip]) -> list[dict[str, Any]]:
    """Results of a system on clips."""
    return [json.loads(plan.path(system, target, clip).read_text()) for clip in clips]


def nearer_share(plan: Plan, target: str, setting: Setting, jobs: list[Job]) -> float | None:
    """Share of clips that a reference recording brings closer to it.

    Outputs with the style of the recording are compared with outputs by name, by the distance of musicnn's features to
    the recording.
    """
    nearer = []
    for job in jobs:
        style = job.styles[target]
        if style is None:
            return None
        by_name = plan.path(replace(setting, like=False).name, target, job.clip)
        paths = (plan.path(SOURCE, None, style), plan.path(setting.name, target, job.clip), by_name)
        means = [np.mean(json.loads(path.read_text())["features"], axis=0) for path in paths]
        nearer.append(np.linalg.norm(means[1] - means[0]) < np.linalg.norm(means[2] - means[0]))
    return float(np.mean(nearer)) if nearer else None


def summarize_target(
    plan: Plan, target: str, jobs: list[Job], examples: list[RecordedClip], split: str
) -> dict[str, dict[str, float | None]]:
    """Summarize recordings and systems for one target."""
    recorded = read_results(plan, SOURCE, None, examples)
    near = read_results(plan, SOURCE, None, examples_of_split(examples, split))
    features = [np.array(result["features"]) for result in near]
    reference = RecordedReference(features) if len(features) >= FEWEST_CLIPS else None
    summary = {}
    if recorded:
        summary[RECORDINGS] = summarize(recorded, target, None) | {"frechet": reference.floor if reference else None}
    played = [job for job in jobs if target in job.styles]
    clips = [job.clip for job in played]
    summary[SOURCE] = summarize(read_results(plan, SOURCE, None, clips), target, reference)
    for system in plan.systems(target):
        summary[system] = summarize(read_results(plan, system, target, clips), target, reference)
    for setting in plan.settings[target]:
        if setting.like:
            summary[setting.name]["nearer"] = nearer_share(plan, target, setting, played)
    return summary


def measure(args: argparse.Namespace) -> Summary:
    """Do the missing work and summarize it by target and system.

    Raises:
        RecordingError, CheckpointError, SynthesisError, CaseError: an input is missing.
    """
    recordings = recordings_of_split(args.recordings, args.split)
    if args.sources:
        recordings = [recording for recording in recordings if recording.instrument in args.sources]
    sources = choose_sources(recordings, args.limit, SAMPLE_RATE)
    if not sources:
        raise RecordingError(f"no recording in {args.recordings} is long and loud enough for a clip")
    everything = recordings_of_split(args.references or args.recordings, ALL)
    examples = {name: choose_examples(everything, name, args.examples, SAMPLE_RATE) for name in args.targets}
    pipeline = load_model(args.model)
    settings = {target: settings_of(target, pipeline, args) for target in args.targets}
    plan = Plan(args.out, args.model, digest_model(args.model), tuple(args.soundfonts), replays_of(args), settings)
    styles = {name: examples_of_split(clips, args.split) for name, clips in examples.items()}
    to_play = [
        Job(clip, {name: choose_style(clip, styles[name]) for name in args.targets if name != clip.instrument})
        for clip in sources
    ]
    jobs = [Job(clip, {}) for clips in examples.values() for clip in clips] + to_play
    list(tqdm(parallel_map(partial(work_on, plan=plan), jobs, args.workers), total=len(jobs), unit="clip"))
    args.out.mkdir(parents=True, exist_ok=True)
    plot_sheet(plan, [job for job in to_play if job.styles]).savefig(args.out / "real_recordings.png", dpi=SHEET_DPI)
    return {name: summarize_target(plan, name, to_play, examples[name], args.split) for name in args.targets}


def plot_sheet(plan: Plan, jobs: list[Job]) -> Figure:
    """Plot log-mels of sources over those of outputs, for ten different clips.

    Targets take turns. An output is that of the first setting.
    """
    mel, panels = MelConfig(), []
    for job, turn in zip(jobs[:: max(1, len(jobs) // SHOWN)][:SHOWN], itertools.count(), strict=False):
        target = list(job.styles)[turn % len(job.styles)]
        path = plan.path(plan.settings[target][0].name, target, job.clip).with_suffix(".flac")
        waveforms = (job.clip.waveform, load_waveform(path))
        image = mels_to_image([normalized_mel(waveform, mel)[0][0, 0] for waveform in waveforms], mel)
        panels.append((f"{job.clip.instrument} -> {target}", image))
    return plot_contact_sheet(panels)


def cell(value: float | None, digits: int) -> str:
    """Format a number for a table; nothing for None."""
    return "" if value is None else f"{value:.{digits}f}"


def share_of(values: Values, real: Values) -> float | None:
    """Tag probability relative to that of recordings."""
    tag, real_tag = values.get("tag"), real.get("tag")
    return None if tag is None or not real_tag else tag / real_tag


def target_lines(target: str, systems: dict[str, Values]) -> list[str]:
    """Table of one target, one line per system."""
    heads = ["", "clips", "tagged by musicnn", "share", "Fréchet distance ↓", "frame F", "note F1"]
    heads += ["vibrato, cents", "rate, Hz", "between partials, dB", "attack, ms"]
    with_styles = any("nearer" in values for values in systems.values())
    heads += ["nearer to the recording than by name"] if with_styles else []
    lines = ["", f"## {target}", "", *table_head(heads)]
    real = systems.get(RECORDINGS, {})
    for name, values in systems.items():
        cells = [
            name,
            cell(values["clips"], 0),
            cell(values["tag"], 2),
            cell(share_of(values, real), 2),
            cell(values["frechet"], 1),
            cell(values["frame_f"], 3),
            cell(values["note_f1"], 3),
            cell(values["vibrato_cents"], 1),
            cell(values["vibrato_hz"], 1),
            cell(values["between_partials_db"], 0),
            cell(values["attack_ms"], 0),
        ]
        cells += [cell(values.get("nearer"), 2)] if with_styles else []
        lines.append(table_row(cells))
    return lines


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def overall_lines(summary: Summary) -> list[str]:
    """Table over all targets, of the systems with results for each."""
    names = [name for name in next(iter(summary.values())) if all(name in systems for systems in summary.values())]
    heads = ["mean over targets", "share of recordings' musicnn", "Fréchet distance ↓", "frame F", "note F1"]
    lines = table_head(heads)
    for name in names:
        share = mean(share_of(systems[name], systems.get(RECORDINGS, {})) for systems in summary.values())
        columns = (("frechet", 1), ("frame_f", 3), ("note_f1", 3))
        means = [cell(mean(systems[name][key] for systems in summary.values()), digits) for key, digits in columns]
        lines.append(table_row([name, cell(share, 2), *means]))
    return lines


def write_markdown(summary: Summary, split: str, limit: int | None) -> str:
    """Write the page."""
    which = "the held-out third" if split == "held_out" else f"split {split}"
    clips = "all clips" if limit is None else f"{limit} clips of each instrument"
    lines = ["# Recordings as sources", "", NOTES.format(split=f"{which}, {clips}"), *overall_lines(summary)]
    for target, systems in summary.items():
        lines += target_lines(target, systems)
    return "\n".join([*lines, ""])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        args.targets = choose_instruments(args.targets)
        args.sources = args.sources and choose_instruments(args.sources)
        lock_settings(args.out, {"recordings": str(args.recordings), "references": str(args.references)})
        summary = measure(args)
        write_page(args.out, "real_recordings", summary, write_markdown(summary, args.split, args.limit))

    return run_command(work, RecordingError, CheckpointError, SynthesisError, CaseError, ManifestError, ValueError)
