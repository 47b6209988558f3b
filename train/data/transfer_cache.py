"""Transfers of aligned pairs, cached as latents to train the enhancer.

    python -m train cache-transfers --model DIR --cache MELS --latents LATENTS --out DIR

The number of steps is sampled for each batch, so that the enhancer learns to correct the errors of all of them.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.autoencoder import MelAutoencoder
from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.mel import MelConfig
from stylediff.settings import MAX_STEPS, START, TEMPERATURE
from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.precision import fast_autocast
from train.data.latent_cache import describe_origin, find_mismatch, read_latents
from train.data.mel_cache import CachedClip, CacheError, gather_crops, read_cache
from train.data.pairs import PairSampler

BATCH = 16
TRAIN_PAIRS_PER_HELD_OUT = 16  # smallest number within a time budget
ORIGINS = {"encoder": "latents than this autoencoder's", "rows": "clips than this mel cache's"}


@dataclass(frozen=True)
class TransferCache:
    """Generated latents and the clips they belong to.

    Attributes:
        latents: (pairs, channels, rows, columns), float16.
        sources, targets: rows of the mel cache, (pairs,).
        held_out: number of pairs, the last ones, from the validation split.
        origin: digests of clips and autoencoder (``describe_origin``); missing ones are not checked.
    """

    latents: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    held_out: int
    origin: dict[str, str] = field(default_factory=dict)

    def require_origin(self, rows: Sequence[CachedClip], autoencoder: MelAutoencoder) -> None:
        """Check that the set belongs to these clips and this autoencoder.

        Raises:
            CacheError: it does not.
        """
        foreign = find_mismatch(self.origin, autoencoder, rows)
        if foreign is not None:
            raise CacheError(
                f"the generated latents belong to other {ORIGINS[foreign]}: rerun the command cache-transfers"
            )

    def save(self, folder: Path) -> None:
        """Write the set; ``pairs.json`` comes last and marks it as complete."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pairs.json").unlink(missing_ok=True)
        np.save(folder / "latents.npy", self.latents)
        pairs = {"sources": self.sources.tolist(), "targets": self.targets.tolist(), "held_out": self.held_out}
        write_atomically(folder / "pairs.json", json.dumps(pairs | {"origin": self.origin}))


def read_transfers(folder: Path) -> TransferCache:
    """Open a saved set with memory-mapped latents.

    Raises:
        CacheError: the set is missing or unfinished.
    """
    try:
        pairs = json.loads((folder / "pairs.json").read_text())
        latents = np.load(folder / "latents.npy", mmap_mode="r")
        sources, targets = np.array(pairs["sources"]), np.array(pairs["targets"])
        return TransferCache(latents, sources, targets, pairs["held_out"], pairs.get("origin", {}))
    except (OSError, ValueError, KeyError) as error:
        raise CacheError(f"no generated latents in {folder}: {error}") from error


@torch.no_grad()
def transfer_latents(
    pipeline: StyleTransferPipeline,
    source: torch.Tensor,
    voices: torch.Tensor,
    steps: int,
    temperature: float,
    generator: torch.Generator,
    start: float = START,
) -> torch.Tensor:
    """Transfer source latents to voices.

    Latents have the shape (batch, channels, rows, columns), voices (batch,).
    """
    source = source.to(pipeline.device)
    tokens = pipeline.style_encoder(voices.to(pipeline.device))
    latents, timesteps = pipeline.prepare_latents(source, steps, 1.0, temperature, generator, start)
    return pipeline.denoise(latents, source, tokens, timesteps, 1.0, temperature)


@torch.no_grad()
def transfer(
    pipeline: StyleTransferPipeline,
    sources: torch.Tensor,
    voices: torch.Tensor,
    steps: int,
    temperature: float,
    start: float = START,
) -> torch.Tensor:
    """Transfer log-mels (pairs, 1, mels, frames) to voices (pairs,).

    The noise is the same for every setting.
    """
    made = []
    generator = torch.Generator().manual_seed(0)
    for first in range(0, len(sources), BATCH):
        batch = slice(first, first + BATCH)
        source = pipeline.encode_mel(sources[batch].to(pipeline.device))
        made.append(transfer_latents(pipeline, source, voices[batch], steps, temperature, generator, start))
    return torch.cat(made)


def transfer_pairs(
    pipeline: StyleTransferPipeline,
    sampler: PairSampler,
    count: int,
    steps: list[int],
    generator: torch.Generator,
    batch: int,
    budget_minutes: float = 0.0,
) -> TransferCache:
    """Transfer pairs of a sampler, none of them held out.

    Args:
        steps: numbers of DDIM steps, one of which is sampled for each batch.
        batch: pairs per batch.
        budget_minutes: time after which it stops with fewer pairs, but at least one batch (0: no limit).

    Raises:
        CacheError: the sampler has no pairs.
    """
    latents, sources, targets = [], [], []
    started = time.monotonic()
    for start in tqdm(range(0, count, batch), unit=f"{batch} pairs"):
        chosen = sampler.sample(min(batch, count - start), generator)
        firsts = np.zeros(len(chosen.sources), int)
        source = gather_crops(sampler.latents, chosen.sources, firsts, sampler.latents.shape[-1])
        voices = torch.tensor([sampler.voice_of[int(number)] for number in chosen.targets])
        number = steps[int(torch.randint(len(steps), (1,), generator=generator))]
        with fast_autocast(pipeline.device):
            made = transfer_latents(pipeline, source, voices, number, TEMPERATURE, generator)
        latents.append(made.float().cpu().numpy().astype(np.float16))
        sources.append(chosen.sources)
        targets.append(chosen.targets)
        if budget_minutes and time.monotonic() - started > 60 * budget_minutes:
            break
    return TransferCache(np.concatenate(latents), np.concatenate(sources), np.concatenate(targets), 0)


def join(train: TransferCache, held_out: TransferCache, origin: dict[str, str]) -> TransferCache:
    """Join two sets, the second held out."""
    both = (train, held_out)
    latents, sources, targets = (
        np.concatenate([getattr(part, name) for part in both]) for name in ("latents", "sources", "targets")
    )
    return TransferCache(latents, sources, targets, len(held_out.targets), origin)


def generate_splits(args: argparse.Namespace) -> TransferCache:
    """Transfer pairs of the training and the validation split.

    Raises:
        CheckpointError, CacheError: an input is missing, or inputs do not belong together.
    """
    if not all(1 <= steps <= MAX_STEPS for steps in args.steps):
        raise CacheError(f"--steps must be 1 to {MAX_STEPS}")
    pipeline = load_pipeline(args.model)
    cache = read_cache(args.cache, MelConfig())
    latents = read_latents(args.latents, cache.clips, pipeline.autoencoder)
    pipeline.set_progress_bar_config(disable=True)
    voices = list(pipeline.style_encoder.config.voices)
    generator = torch.Generator().manual_seed(args.seed)
    rows = cache.clips[: len(latents)]
    train, unseen = (
        PairSampler(rows, latents, voices, split, oversampled_share=args.favoured_share)
        for split in ("train", "validation")
    )
    unseen.require_pairs()  # raised before the training pairs are made, not after
    made = transfer_pairs(pipeline, train, args.pairs, args.steps, generator, args.batch_size, args.budget_minutes)
    few = max(1, len(made.targets) // TRAIN_PAIRS_PER_HELD_OUT) if args.budget_minutes else args.held_out
    held_out = transfer_pairs(pipeline, unseen, min(few, args.held_out), args.steps, generator, args.batch_size)
    print(f"{len(made.targets)} pairs to train on, {len(held_out.targets)} held out")
    return join(made, held_out, describe_origin(pipeline.autoencoder, cache.clips))


def main(args: argparse.Namespace) -> int:
    return run_command(lambda: generate_splits(args).save(args.out), CheckpointError, CacheError, OSError)
