"""Score a folder of audio files against references with the same names.

python -m train score-folder --audio-dir OUTPUTS --reference-dir TARGETS --out DIR
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stylediff.audio import AudioError, fit_length, read_audio, to_mono
from stylediff.instruments import get_instrument
from stylediff.mel import MelConfig
from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.parallel import parallel_map
from train.evaluation.embeddings import compare_sets, load_embedding
from train.evaluation.metrics import Result, score_clip
from train.evaluation.metrics.clip import ScoredClip
from train.evaluation.report import COLUMNS, describe, format_cell
from train.evaluation.runner import load_listeners

ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff")


def pair_files(audio: Path, references: Path) -> list[tuple[Path, Path]]:
    """Pair the files of two folders by name, without the ending.

    Raises:
        AudioError: there are no files, or an output has no reference; the message names it.
    """
    theirs = {path.stem: path for path in sorted(references.glob("*")) if path.suffix.lower() in ENDINGS}
    ours = [path for path in sorted(audio.glob("*")) if path.suffix.lower() in ENDINGS]
    if not ours:
        raise AudioError(f"no audio files in {audio}")
    for path in ours:
        if path.stem not in theirs:
            raise AudioError(f"{path.name} has no reference with the same name in {references}")
    return [(path, theirs[path.stem]) for path in ours]


def load_pair(pair: tuple[Path, Path]) -> tuple[torch.Tensor, torch.Tensor]:
    """Load an output and its reference at equal length."""
    loaded = []
    for path in pair:
        samples, sample_rate = read_audio(path)
        loaded.append(to_mono(torch.from_numpy(samples), sample_rate, MelConfig().sample_rate))
    return fit_length(loaded[0], len(loaded[1])), loaded[1]


def score_pair(pair: tuple[Path, Path], classifier: Path, instrument: str | None) -> Result:
    """Score one output against its reference.

    Its pitches are compared with those detected in the reference.

    Args:
        classifier: folder of the instrument classifier.
        instrument: target instrument, or None.
    """
    listeners = load_listeners(classifier)
    output, reference = load_pair(pair)
    clip = ScoredClip(
        output=output,
        config=MelConfig(),
        target=reference,
        source=listeners.notes.transcribe(reference),
        instrument=instrument,
        listeners=listeners,
    )
    return {"file": pair[0].name} | score_clip(clip) | {"named": clip.named}


def score_folder(
    audio: Path, references: Path, classifier: Path, instrument: str | None, embeddings: list[str], workers: int
) -> dict[str, Any]:
    """Score a folder: values by file, means, and Fréchet distances.

    Raises:
        AudioError, ValueError: a file cannot be read or paired, or an embedding cannot be loaded.
    """
    pairs = pair_files(audio, references)
    job = partial(score_pair, classifier=classifier, instrument=instrument)
    files = sorted(tqdm(parallel_map(job, pairs, workers), total=len(pairs), unit="clip"), key=lambda r: str(r["file"]))
    found = {column: [file[column] for file in files if file.get(column) is not None] for column in COLUMNS}
    means = {column: describe(values) for column, values in found.items() if values}
    loaded = [load_pair(pair) for pair in pairs]
    frechet = {}
    for name in embeddings:
        embedding = load_embedding(name, classifier)
        ours, theirs = (np.concatenate([embedding(waveforms[side]) for waveforms in loaded]) for side in (0, 1))
        frechet[name] = compare_sets(ours, theirs)
    return {"files": files, "means": means, "frechet": frechet}


def write_folder_markdown(summary: dict[str, Any], audio: Path) -> str:
    """Write the summary of ``score_folder`` as a Markdown page."""
    lines = [f"# {audio.name}: {len(summary['files'])} clips", "", "| | mean |", "|---|---|"]
    lines += [f"| {COLUMNS[column]} | {format_cell(cell)} |" for column, cell in summary["means"].items()]
    for name, cell in summary["frechet"].items():
        lines.append(f"| Fréchet distance, {name} (∞) | {cell['distance']:.3f} ({cell['infinity']:.3f}) |")
    return "\n".join([*lines, ""])


def evaluate_folder(args: argparse.Namespace) -> str:
    """Score a folder, write the report, and return its Markdown.

    Raises:
        ValueError: a file cannot be read or paired, or an unknown instrument.
    """
    if args.instrument is not None:
        get_instrument(args.instrument)
    summary = score_folder(
        args.audio_dir, args.reference_dir, args.classifier, args.instrument, args.embedding, args.workers
    )
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out / "summary.json", json.dumps(summary, indent=1))
    page = write_folder_markdown(summary, args.audio_dir)
    write_atomically(args.out / "summary.md", page)
    return page


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        print(evaluate_folder(args))

    return run_command(work, ValueError, OSError, ImportError)
