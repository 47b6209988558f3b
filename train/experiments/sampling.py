"""Tries steps, noise levels to refine from, temperatures and dynamics on validation pairs, to choose the defaults by.

python -m train sampling --cache MELS --out DIR
"""

import argparse
import itertools
from dataclasses import asdict
from functools import partial

from stylediff.dynamics import DYNAMICS
from stylediff.mel import MelConfig
from stylediff.sampling import START
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.mel_cache import read_cache
from train.evaluation.runner import load_model
from train.evaluation.transcription import NoteTranscriber
from train.experiments.validation_transfers import Measured, measure_transfers, sample_pairs
from train.models.instrument_classifier import InstrumentClassifier


def write_markdown(results: list[Measured], pairs: int) -> str:
    lines = [f"# Ways of sampling, on {pairs} pairs of the validation split", ""]
    heads = [
        "steps",
        "refined from",
        "temperature",
        "enhanced",
        "dynamics",
        "log-mel error, neper ↓",
        "Fréchet distance ↓",
        "levels, 50 ms",
        "levels, 400 ms",
        "frame F to the target",
    ]
    lines += table_head(heads)
    for one in results:
        enhanced = "yes" if one.enhanced else ""
        frame_f = "" if one.frame_f is None else f"{one.frame_f:.3f}"
        sampling = (one.steps, f"{one.start:g}", f"{one.temperature:g}", enhanced, f"{one.dynamics:g}")
        cells = (
            *sampling,
            f"{one.error:.4f}",
            f"{one.frechet:.2f}",
            f"{one.levels:.3f}",
            f"{one.loudness:.3f}",
            frame_f,
        )
        lines.append(table_row(cells))
    return "\n".join([*lines, ""])


def sampling(args: argparse.Namespace) -> None:
    """Measure every setting, and write and print the table.

    Raises:
        CheckpointError, CacheError, OSError: weights or clips are missing.
        ValueError: more steps than there are noise levels.
    """
    starts, dynamics = args.start or [START], args.dynamics or [DYNAMICS]
    pipeline, cache = load_model(args.model), read_cache(args.cache, MelConfig())
    levels = pipeline.scheduler.config.num_train_timesteps
    if max(args.steps) - 1 > min(starts) * levels:
        raise ValueError(f"{max(args.steps)} steps are more than there are in {min(starts):g} of {levels} noise levels")
    pairs = sample_pairs(cache, pipeline, args.pairs)
    classifier = InstrumentClassifier.from_pretrained(args.classifier).eval()
    settings = list(itertools.product(args.steps, starts, args.temperature))
    transcriber = NoteTranscriber() if args.listen else None
    results = measure_transfers(pipeline, cache, pairs, settings, classifier, transcriber, dynamics)
    write_page(args.out, "sampling", [asdict(one) for one in results], write_markdown(results, args.pairs))


def main(args: argparse.Namespace) -> int:
    return run_command(partial(sampling, args), ValueError, OSError)
