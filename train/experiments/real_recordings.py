"""Recordings in, other instruments out: how real the outputs sound beside recordings of the target.

    python -m train.experiments.real_recordings --recordings FOLDER --out DIR [--soundfonts FONT ...]
        [--noise 0.3 1] [--steps 4 8] [--enhance yes no] [--voices all]

Sources are the held-out third of the recordings, or all of a folder of one's own with ``--split all``. Every
combination of the given settings is tried; without any, the model's defaults are. Finished clips are kept in the
output folder: an interrupted run goes on where it stopped, and a run with other settings or weights only adds to it.
"""

import argparse
import hashlib
import itertools
import json
import sys
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.audio import write_audio
from stylediff.checkpoint import SHIPPED, CheckpointError
from stylediff.instruments import INSTRUMENT_NAMES
from train.commands import exit_code
from train.data.recordings import HELD_OUT, SPLITS, RecordingError
from train.evaluation.musicnn import Musicnn
from train.evaluation.realism import agreement, listen, summarize
from train.evaluation.recorded_clips import RecordedClip, choose_examples, choose_sources, recordings_of_split
from train.evaluation.recorded_reference import FEWEST_CLIPS, RecordedReference
from train.evaluation.recorded_systems import REPLAYED, SAMPLE_RATE, SOURCE, Setting, run_model, run_replay
from train.experiments.real_recordings_page import RECORDINGS, Summary, write_markdown
from train.judges import HeardNotes, NoteJudge
from train.manifest import ManifestError, claim_folder, describe_argument, write_atomically
from train.scoring import load_model
from train.synthesis import SynthesisError
from train.tables import write_page
from train.trials import TrialError
from train.waveforms import load_waveform
from train.workers import results_of

EXAMPLES = 48  # recordings of each target and split that are listened to
ALL = "all"


@dataclass(frozen=True)
class Plan:
    """What is compared, and where it is kept.

    Attributes:
        out: folder of finished clips.
        model: folder of the pipeline.
        digest: of its weights, so that results of other weights are never taken for theirs.
        soundfonts: that hold the targets' default voices; none leaves out the replayed transcriptions.
        settings: ways of using the model, by target.
    """

    out: Path
    model: Path
    digest: str
    soundfonts: tuple[str, ...]
    settings: dict[str, tuple[Setting, ...]]

    def systems(self, target: str) -> list[str]:
        """Names of the systems that play a target."""
        replayed = [REPLAYED] if self.soundfonts else []
        return [*replayed, *(setting.name for setting in self.settings[target])]

    def path(self, system: str, target: str | None, clip: RecordedClip) -> Path:
        """File of a clip's result, with its sound beside it."""
        folder = system.replace("/", "_").replace(", ", "_").replace(" ", "-")
        if system not in (SOURCE, REPLAYED):
            folder = f"{folder}_{self.digest}"
        return self.out / folder / (target or "as_it_is") / f"{clip.file_stem}.json"


@dataclass(frozen=True)
class Job:
    """A clip, and the targets that it is played by; none for examples, which are only listened to."""

    clip: RecordedClip
    targets: tuple[str, ...]


@cache
def load_listeners() -> tuple[Musicnn, NoteJudge]:
    """Networks that listen, once a process."""
    return Musicnn(), NoteJudge()


def save_result(path: Path, clip: RecordedClip, values: dict[str, Any]) -> None:
    """Writes the result of one clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"clip": clip.name, **values}))


def make_output(plan: Plan, clip: RecordedClip, target: str, system: str, heard: HeardNotes) -> torch.Tensor:
    """What a system makes of a clip, (samples,)."""
    if system == REPLAYED:
        return run_replay(clip, heard, target, plan.soundfonts)
    setting = next(setting for setting in plan.settings[target] if setting.name == system)
    return run_model(clip, target, setting, plan.model)


def work_on(job: Job, plan: Plan) -> int:
    """Makes and judges whatever of a job is not there yet, and returns how much that was."""
    clip, done = job.clip, 0
    missing = [
        (target, system)
        for target in job.targets
        for system in plan.systems(target)
        if not plan.path(system, target, clip).is_file()
    ]
    as_it_is = plan.path(SOURCE, None, clip)
    if not missing and as_it_is.is_file():
        return 0
    musicnn, transcriber = load_listeners()
    source = transcriber.listen(clip.waveform)
    if not as_it_is.is_file():
        save_result(as_it_is, clip, listen(clip.waveform, SAMPLE_RATE, source, musicnn).to_dict())
        done += 1
    for target, system in missing:
        path = plan.path(system, target, clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path.with_suffix(".flac"), make_output(plan, clip, target, system, source), SAMPLE_RATE)
        output = load_waveform(path.with_suffix(".flac"))
        heard = transcriber.listen(output)
        impression = listen(output, SAMPLE_RATE, heard, musicnn).to_dict()
        save_result(path, clip, impression | agreement(heard, source, target))
        done += 1
    return done


def settings_of(target: str, pipeline: StyleTransferPipeline, args: argparse.Namespace) -> tuple[Setting, ...]:
    """Every combination of the settings that were asked for, for one target."""
    known = [str(voice) for voice in pipeline.style_encoder.config.voices if str(voice).startswith(f"{target}/")]
    voices = known if ALL in args.voices else [voice for voice in args.voices if voice in known]
    choices = (voices, args.steps, args.noise, [word == "yes" for word in args.enhance], args.dynamics)
    return tuple(Setting(*values) for values in itertools.product(*(choice or [None] for choice in choices)))


def read_results(plan: Plan, system: str, target: str | None, clips: list[RecordedClip]) -> list[dict[str, Any]]:
    """Results of clips in a system."""
    return [json.loads(plan.path(system, target, clip).read_text()) for clip in clips]


def summarize_target(
    plan: Plan, target: str, sources: list[RecordedClip], examples: list[RecordedClip], split: str
) -> dict[str, dict[str, float | None]]:
    """Summaries of recordings and of each system for one target."""
    heard = read_results(plan, SOURCE, None, examples)
    kept = zip(examples, heard, strict=True)
    unseen = [np.array(result["features"]) for clip, result in kept if split in (ALL, clip.split)]
    reference = RecordedReference(unseen) if len(unseen) >= FEWEST_CLIPS else None
    summary = {}
    if heard:
        summary[RECORDINGS] = summarize(heard, target, None) | {"frechet": reference.floor if reference else None}
    clips = [clip for clip in sources if clip.instrument != target]
    summary[SOURCE] = summarize(read_results(plan, SOURCE, None, clips), target, reference)
    for system in plan.systems(target):
        summary[system] = summarize(read_results(plan, system, target, clips), target, reference)
    return summary


def measure(args: argparse.Namespace) -> Summary:
    """Makes and judges what is missing, and sums it up by target and system.

    Raises:
        RecordingError, CheckpointError, SynthesisError, TrialError: something is missing.
    """
    recordings = recordings_of_split(args.recordings, args.split)
    if args.sources:
        recordings = [recording for recording in recordings if recording.instrument in args.sources]
    sources = choose_sources(recordings, args.limit, SAMPLE_RATE)
    if not sources:
        raise RecordingError(f"no recording in {args.recordings} gives a clip: none is long and loud enough")
    everything = recordings_of_split(args.references or args.recordings, ALL)
    examples = {name: choose_examples(everything, name, args.examples, SAMPLE_RATE) for name in args.targets}
    pipeline = load_model(args.model)
    settings = {target: settings_of(target, pipeline, args) for target in args.targets}
    digest = hashlib.sha256(describe_argument(args.model).encode()).hexdigest()[:8]
    plan = Plan(args.out, args.model, digest, tuple(args.soundfonts), settings)
    jobs = [Job(clip, ()) for clips in examples.values() for clip in clips]
    jobs += [Job(clip, tuple(name for name in args.targets if name != clip.instrument)) for clip in sources]
    list(tqdm(results_of(partial(work_on, plan=plan), jobs, args.workers), total=len(jobs), unit="clip"))
    return {name: summarize_target(plan, name, sources, examples[name], args.split) for name in args.targets}


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recordings", type=Path, required=True, help="sources, in folders named by instrument")
    parser.add_argument("--references", type=Path, help="recordings of the targets, if not the same folder")
    parser.add_argument("--split", choices=[*SPLITS, ALL], default=HELD_OUT, help="recordings that are sources")
    parser.add_argument("--sources", nargs="+", choices=INSTRUMENT_NAMES, help="only these source instruments")
    parser.add_argument("--targets", nargs="+", choices=INSTRUMENT_NAMES, default=list(INSTRUMENT_NAMES))
    parser.add_argument("--limit", type=int, help="clips of each source instrument")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="recordings of each target and split")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the pipeline")
    parser.add_argument("--soundfonts", nargs="+", default=[], help="with the default voices, to replay notes")
    parser.add_argument("--voices", nargs="+", default=[], help="voices of the targets, or all")
    parser.add_argument("--steps", type=int, nargs="+", default=[])
    parser.add_argument("--noise", type=float, nargs="+", default=[], help="scales of the noise")
    parser.add_argument("--enhance", nargs="+", choices=["yes", "no"], default=[])
    parser.add_argument("--dynamics", type=float, nargs="+", default=[])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)

    def work() -> None:
        claim_folder(args.out, {"recordings": str(args.recordings), "references": str(args.references)})
        summary = measure(args)
        write_page(args.out, "real_recordings", summary, write_markdown(summary, args.split, args.limit))

    return exit_code(work, RecordingError, CheckpointError, SynthesisError, TrialError, ManifestError, ValueError)


if __name__ == "__main__":
    sys.exit(main())
