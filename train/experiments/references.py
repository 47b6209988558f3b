"""Style by reference clips of an unseen soundfont.

python -m train references --data DATASET --out DIR
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.instruments import INSTRUMENT_NAMES
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.common.parallel import parallel_map
from train.data.manifest import ClipGroup, ClipRecord, read_manifest
from train.data.waveforms import load_waveform, normalized_mel
from train.evaluation.cases import CaseError, Direction, find_cases
from train.evaluation.metrics.sound import timbre_distance
from train.evaluation.report import describe, format_cell
from train.evaluation.runner import load_model

WEIGHTS = (0.0, 0.5, 1.0)  # weights of the clip against the name
LEARNT = 24  # training clips per instrument for the mean style


@dataclass(frozen=True)
class ReferenceTransfer:
    """A source clip, and a reference clip of other music.

    Attributes:
        source, reference: audio files.
        instrument: instrument of the reference.
        seed: seed of the noise.
    """

    source: Path
    reference: Path
    instrument: str
    seed: int


def clips_of(groups: list[ClipGroup], split: str, role: str, instrument: str) -> Iterator[tuple[ClipGroup, ClipRecord]]:
    """Sounding clips of an instrument, in a reproducible random order."""
    chosen = [group for group in groups if group.split == split and group.paired]
    for number in np.random.default_rng(INSTRUMENT_NAMES.index(instrument)).permutation(len(chosen)):
        for clip in chosen[number].clips:
            if clip.role == role and clip.instrument == instrument and clip.notes_left_out < len(chosen[number].notes):
                yield chosen[number], clip


def choose_transfers(groups: list[ClipGroup], folder: Path, count: int) -> list[ReferenceTransfer]:
    """Choose transfers to each instrument, from varied sources.

    Raises:
        CaseError: the test split has none.
    """
    tasks = []
    for target in INSTRUMENT_NAMES:
        references = list(clips_of(groups, "test", "source", target))
        others = [name for name in INSTRUMENT_NAMES if name != target]
        tests = [group for group in groups if group.split == "test"]
        cases = [case for name in others for case in find_cases(tests, Direction(name, target), 1)]
        for number, case in enumerate(cases[:count]):
            other_music = [clip for group, clip in references if group.piece != case.group.piece]
            if other_music:
                reference = folder / other_music[number % len(other_music)].file
                tasks.append(ReferenceTransfer(folder / case.source.file, reference, target, case.group.index))
    if not tasks:
        raise CaseError("the test split has no source clips to use as references")
    return tasks


def measure_transfer(task: ReferenceTransfer, model: Path) -> dict[str, Any]:
    """Timbre distance of a transfer to its reference, by weight.

    The weight is that of the reference against the named instrument.
    """
    pipeline = load_model(model)
    rate = pipeline.mel.sample_rate
    source, reference = load_waveform(task.source), load_waveform(task.reference)
    by_name, by_clip = pipeline.encode_target(task.instrument), pipeline.encode_reference(reference, rate)
    distances = {}
    for weight in WEIGHTS:
        generator = torch.Generator().manual_seed(task.seed)
        made = pipeline(source, rate, target=torch.lerp(by_name, by_clip, weight), generator=generator).audio.cpu()
        output, target = (normalized_mel(waveform, pipeline.mel)[0, 0] for waveform in (made, reference))
        distances[str(weight)] = timbre_distance(output, target)
    return {"instrument": task.instrument, "distances": distances}


def average_style(pipeline: StyleTransferPipeline, files: list[Path]) -> torch.Tensor:
    """Mean of the style tokens of clips, flattened."""
    rate = pipeline.mel.sample_rate
    return torch.stack([pipeline.encode_reference(load_waveform(file), rate).flatten() for file in files]).mean(0)


def retrieve(pipeline: StyleTransferPipeline, groups: list[ClipGroup], folder: Path, count: int) -> np.ndarray:
    """Confusion matrix of test clips against mean training styles.

    Rows are true instruments, columns those with the nearest mean style.
    """
    known = []
    for name in INSTRUMENT_NAMES:
        learnt = [folder / clip.file for _, clip in clips_of(groups, "train", "target", name)][:LEARNT]
        if not learnt:
            raise CaseError(f"the training split has no clip of {name}")
        known.append(average_style(pipeline, learnt))
    styles = torch.stack(known)
    nearest = np.zeros((len(styles), len(styles)), int)
    for row, name in enumerate(INSTRUMENT_NAMES):
        for _, clip in list(clips_of(groups, "test", "source", name))[:count]:
            style = average_style(pipeline, [folder / clip.file])
            nearest[row, int(torch.cosine_similarity(styles, style[None]).argmax())] += 1
    return nearest


def write_markdown(results: list[dict[str, Any]], nearest: np.ndarray) -> str:
    """Write both tables."""
    lines = [
        "# Style by a reference clip",
        "",
        "References come from a soundfont that was not trained on.",
        "",
    ]
    lines += [f"## Timbre distance to the reference ({len(results)} transfers)", ""]
    blends = (f"clip {weight:g}, name {1 - weight:g}" for weight in WEIGHTS)
    lines += table_head(["target", *blends, "closer by clip"])
    for name in (*INSTRUMENT_NAMES, "all"):
        found = [result["distances"] for result in results if name in (result["instrument"], "all")]
        if found:
            cells = [format_cell(describe([by_weight[str(weight)] for by_weight in found])) for weight in WEIGHTS]
            closer = np.mean([by_weight["1.0"] < by_weight["0.0"] for by_weight in found])
            lines.append(table_row([name, *cells, f"{closer:.2f}"]))
    right = nearest.trace() / max(1, nearest.sum())
    lines += ["", f"## Retrieval: {right:.3f} of {nearest.sum()} clips are nearest to their own instrument", ""]
    lines += table_head(["clip \\ nearest", *INSTRUMENT_NAMES])
    lines += [table_row([name, *row]) for name, row in zip(INSTRUMENT_NAMES, nearest, strict=True)]
    return "\n".join([*lines, ""])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        groups = read_manifest(args.data)
        nearest = retrieve(load_model(args.model), groups, args.data, args.retrieved)
        tasks = choose_transfers(groups, args.data, args.clips)
        job = partial(measure_transfer, model=args.model)
        results = list(tqdm(parallel_map(job, tasks, args.workers), total=len(tasks)))
        kept = {"transfers": results, "nearest": nearest.tolist()}
        write_page(args.out, "references", kept, write_markdown(results, nearest))

    return run_command(work, ValueError, OSError)
