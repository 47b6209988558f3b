"""Tries steps, noise levels to refine from, temperatures and dynamics on validation pairs, to choose the defaults by.

python -m train.experiments.sampling --cache MELS --out DIR
"""

import argparse
import itertools
import sys
from dataclasses import asdict
from pathlib import Path

from stylediff.checkpoint import SHIPPED, CheckpointError
from stylediff.dynamics import DYNAMICS
from stylediff.mel import MelConfig
from stylediff.sampling import START
from train.common.markdown import table_head, table_row, write_page
from train.data.mel_cache import CacheError, read_cache
from train.evaluation.runner import SHIPPED_CLASSIFIER, load_model
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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the pipeline")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="its folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 10, 20, 50])
    parser.add_argument("--start", type=float, nargs="+", default=[START], help="of the noise levels, above 0 to 1")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    parser.add_argument("--dynamics", type=float, nargs="+", default=[DYNAMICS], help="how far outputs follow")
    parser.add_argument(
        "--listen", action="store_true", help="also compare the notes that are heard, which takes longer"
    )
    args = parser.parse_args(arguments)
    if not all(0 < start <= 1 for start in args.start):
        parser.error("--start must be above 0 and at most 1")
    if min(args.steps) < 1:
        parser.error("--steps must be at least 1")
    try:
        pipeline, cache = load_model(args.model), read_cache(args.cache, MelConfig())
        pairs = sample_pairs(cache, pipeline, args.pairs)
        classifier = InstrumentClassifier.from_pretrained(args.classifier).eval()
    except (CheckpointError, CacheError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    levels = pipeline.scheduler.config.num_train_timesteps
    if max(args.steps) - 1 > min(args.start) * levels:
        parser.error(f"{max(args.steps)} steps are more than there are in {min(args.start):g} of {levels} noise levels")
    settings = list(itertools.product(args.steps, args.start, args.temperature))
    transcriber = NoteTranscriber() if args.listen else None
    results = measure_transfers(pipeline, cache, pairs, settings, classifier, transcriber, args.dynamics)
    write_page(args.out, "sampling", [asdict(one) for one in results], write_markdown(results, args.pairs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
