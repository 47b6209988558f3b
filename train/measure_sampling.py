"""Tries numbers of steps and temperatures on pairs of the validation split, to choose the pipeline's defaults by.

python -m train.measure_sampling --cache MELS --out DIR
"""

import argparse
import itertools
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.checkpoint import CheckpointError
from stylediff.mel import MelConfig
from train.classifier import InstrumentClassifier
from train.embeddings import split_windows
from train.frechet import frechet_distance
from train.manifest import write_atomically
from train.mel_cache import CacheError, MelCache, read_cache
from train.metrics import log_mel_error
from train.pairs import PairRows, PairSampler
from train.scoring import SHIPPED_CLASSIFIER, SHIPPED_MODEL, load_model

BATCH = 16


@dataclass(frozen=True)
class Measured:
    """What one way of sampling gives.

    Attributes:
        error: mean absolute log-mel error to the true targets, in nepers.
        frechet: distance of the classifier's features of generated mels to those of the true ones.
    """

    steps: int
    temperature: float
    enhanced: bool
    error: float
    frechet: float


@torch.no_grad()
def features_of(mels: list[torch.Tensor], classifier: InstrumentClassifier) -> np.ndarray:
    """The classifier's features of log-mels (mels, frames), a second at a time."""
    windows = [split_windows(mel[None, None]) for mel in mels]
    return classifier.features(torch.cat(windows)).numpy()


@torch.no_grad()
def transfer(
    pipeline: StyleTransferPipeline, sources: torch.Tensor, voices: torch.Tensor, steps: int, temperature: float
) -> torch.Tensor:
    """Latents of log-mels (pairs, 1, mels, frames) played by voices (pairs,); noise is the same for every setting."""
    made = []
    generator = torch.Generator().manual_seed(0)
    for start in range(0, len(sources), BATCH):
        source = pipeline.encode_mel(sources[start : start + BATCH])
        tokens = pipeline.style_encoder(voices[start : start + BATCH])
        latents, timesteps = pipeline.prepare_latents(source, steps, 1.0, temperature, generator)
        made.append(pipeline.denoise(latents, source, tokens, timesteps, 1.0))
    return torch.cat(made)


@torch.no_grad()
def measure(
    pipeline: StyleTransferPipeline,
    cache: MelCache,
    pairs: PairRows,
    settings: list[tuple[int, float]],
    classifier: InstrumentClassifier,
) -> list[Measured]:
    """Every setting on the same pairs, with the enhancer as well where there is one."""
    sources, targets = (
        [cache.tensor(int(row), 0, cache.mels.shape[-1]) for row in rows] for rows in (pairs.sources, pairs.targets)
    )
    known = list(pipeline.style_encoder.config.voices)
    voices = torch.tensor([known.index(cache.rows[int(row)].voice) for row in pairs.targets])
    true = [target[0] for target in targets]
    features = features_of(true, classifier)
    results = []
    for steps, temperature in tqdm(settings):
        latents = transfer(pipeline, torch.stack(sources), voices, steps, temperature)
        plain = [pipeline.decode_latents(one[None], true[0].shape[-1]) for one in latents]
        made = {False: plain}
        if pipeline.enhancer is not None:
            made[True] = [pipeline.enhance_mel(mel, source[None]) for mel, source in zip(plain, sources, strict=True)]
        for enhanced, mels in made.items():
            outputs = [mel[0, 0] for mel in mels]
            error = float(np.mean([log_mel_error(ours, aim) for ours, aim in zip(outputs, true, strict=True)]))
            distance = frechet_distance(features_of(outputs, classifier), features)
            results.append(Measured(steps, temperature, enhanced, error, distance))
    return results


def write_markdown(results: list[Measured], pairs: int) -> str:
    lines = [f"# Ways of sampling, on {pairs} pairs of the validation split", ""]
    lines += [
        "| steps | temperature | enhanced | log-mel error, neper ↓ | Fréchet distance ↓ |",
        "|---|---|---|---|---|",
    ]
    for one in results:
        enhanced = "yes" if one.enhanced else ""
        lines.append(f"| {one.steps} | {one.temperature:g} | {enhanced} | {one.error:.4f} | {one.frechet:.2f} |")
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="folder of the pipeline")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="its folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 10, 20, 50])
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    args = parser.parse_args(arguments)
    try:
        pipeline, cache = load_model(args.model), read_cache(args.cache, MelConfig())
        classifier = InstrumentClassifier.from_pretrained(args.classifier).eval()
    except (CheckpointError, CacheError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sampler = PairSampler(cache.rows, cache.mels, list(pipeline.style_encoder.config.voices), "validation")
    pairs = sampler.draw(args.pairs, torch.Generator().manual_seed(0))
    settings = list(itertools.product(args.steps, args.temperature))
    results = measure(pipeline, cache, pairs, settings, classifier)
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out / "sampling.json", json.dumps([asdict(one) for one in results], indent=1))
    page = write_markdown(results, args.pairs)
    write_atomically(args.out / "sampling.md", page)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
