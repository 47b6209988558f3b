"""Compare transfers of recordings with transfers of renders.

    python -m train recordings --data RECORDINGS DATASET --out DIR

Renders are of the same instrument. Recordings have neither a score nor a true target, so all transfers are compared
with the transcription of their source.
"""

import argparse
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff.instruments import INSTRUMENT_NAMES, get_instrument
from stylediff.mel import MelConfig
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.common.parallel import parallel_map
from train.data.manifest import ManifestError
from train.data.note_agreement import frame_prf, note_f1
from train.data.notes import notes_in_range
from train.data.transcription import LOWEST_PITCH, PITCHES, Transcription
from train.data.waveforms import load_waveform
from train.evaluation.clip_scores import Result
from train.evaluation.metrics.clip import name_instrument
from train.evaluation.metrics.sound import correlation, momentary_loudness
from train.evaluation.report import describe, format_cell
from train.evaluation.runner import load_listeners, load_model
from train.experiments.codec_stages import UnseenClip, choose_unseen_clips

COLUMNS = {
    "frame_f": "frame F to the source",
    "note_f1_50": "note F1 to the source, 50 ms",
    "named_target": "classified as target",
    "loudness": "momentary loudness",
}
NOTES = """\
Each clip is transferred to one other instrument at the default settings. Renders of the same instrument from soundfonts
are listed after the recordings. A recording has neither a score nor a true target, so all columns compare a transfer
with its source. Keys outside the target's range do not count. Brackets hold 95 % bootstrap intervals.
"""


@dataclass(frozen=True)
class RecordedTransfer:
    """A clip with its target instrument and the seed of the noise."""

    clip: UnseenClip
    target: str
    seed: int


def choose_transfers(folders: list[Path], count: int) -> list[RecordedTransfer]:
    """Choose clips of all voices of the recorded instruments.

    Targets take turns.

    Raises:
        ManifestError: the folders have no recordings.
    """
    unseen_clips = choose_unseen_clips(folders, count)
    recorded = {clip.instrument for clip in unseen_clips if clip.notes is None}
    if not recorded:
        raise ManifestError(
            f"no recordings in {', '.join(map(str, folders))}: import some with `python -m train import-recordings`"
        )
    tasks = []
    for _, clips in itertools.groupby(unseen_clips, lambda clip: clip.voice):
        for number, clip in enumerate(clips):
            targets = [name for name in INSTRUMENT_NAMES if name != clip.instrument]
            tasks.append(RecordedTransfer(clip, targets[number % len(targets)], number))
    return [task for task in tasks if task.clip.instrument in recorded]


def playable_keys(instrument: str) -> np.ndarray:
    """Piano keys within an instrument's range, (88,) bool."""
    keys, found = LOWEST_PITCH + np.arange(PITCHES), get_instrument(instrument)
    return (keys >= found.lowest) & (keys <= found.highest)


def compare(transcription: Transcription, source: Transcription, instrument: str) -> Result:
    """Compare the notes detected in output and source.

    Only keys within the instrument's range count. Columns are None if the source has no notes on them.
    """
    keys, notes = playable_keys(instrument), notes_in_range(source.notes, get_instrument(instrument))
    kept = keys[transcription.pitches.astype(int) - LOWEST_PITCH]
    found = note_f1(notes, transcription.intervals[kept], transcription.pitches[kept], 0.05)
    agreement = frame_prf(transcription.roll & keys, source.roll & keys)[2]
    return {
        "frame_f": agreement if (source.roll & keys).any() else None,
        "note_f1_50": found if notes else None,
    }


def measure(task: RecordedTransfer, model: Path, classifier: Path) -> Result:
    """Transfer a clip at the defaults, and compare it with its source."""
    pipeline, listeners, rate = load_model(model), load_listeners(classifier), MelConfig().sample_rate
    source, generator = load_waveform(task.clip.path), torch.Generator().manual_seed(task.seed)
    made = pipeline(source, rate, target=task.target, generator=generator).audio.cpu()
    result = compare(listeners.notes.transcribe(made), listeners.notes.transcribe(source), task.target)
    result["named_target"] = float(name_instrument(made, listeners.classifier) == task.target)
    result["loudness"] = correlation(momentary_loudness(made, rate), momentary_loudness(source, rate))
    named = {"file": str(task.clip.path), "voice": task.clip.voice, "target": task.target}
    return named | {"recording": task.clip.notes is None} | result


def tabulate(results: list[Result], key: str, names: Iterable[str]) -> list[str]:
    """Return table lines with means over results, by ``key``."""
    lines = table_head([key, "clips", *COLUMNS.values()])
    for name in names:
        found = [result for result in results if result[key] == name]
        values = [[result[column] for result in found if result[column] is not None] for column in COLUMNS]
        cells = [format_cell(describe(column)) if column else "" for column in values]
        lines.append(table_row([name, len(found), *cells]))
    return lines


def write_markdown(results: list[Result]) -> str:
    """Write the means by voice and by target.

    Recordings come first.
    """
    recorded = [result for result in results if result["recording"]]
    voices = dict.fromkeys(result["voice"] for result in [*recorded, *results])
    targets = [name for name in INSTRUMENT_NAMES if any(result["target"] == name for result in recorded)]
    lines = [f"# Transfers of recordings ({len(recorded)} clips)", "", NOTES]
    lines += [*tabulate(results, "voice", voices), "", "## Recordings, by target", ""]
    lines += tabulate(recorded, "target", targets)
    return "\n".join([*lines, ""])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        tasks = choose_transfers(args.data, args.clips)
        job = partial(measure, model=args.model, classifier=args.classifier)
        results = list(tqdm(parallel_map(job, tasks, args.workers), total=len(tasks), unit="clip"))
        results.sort(key=lambda one: one["file"])
        write_page(args.out, "recordings", results, write_markdown(results))

    return run_command(work, ValueError, OSError)
