"""Transfers random pairs of clips with a model, as latents, for the enhancer to train on.

    python -m train.data.cache_transfers --model DIR --cache DIR --latents DIR --out DIR

Numbers of steps are drawn anew for each batch, so that the enhancer mends what any of them leaves.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.mel import MelConfig
from stylediff.sampling import MAX_STEPS, TEMPERATURE
from train.common.cli import run_command
from train.common.precision import fast_autocast
from train.data.latent_cache import describe_origin, read_latents
from train.data.latent_transfer import transfer_latents
from train.data.mel_cache import CacheError, gather_crops, read_cache
from train.data.pairs import PairSampler
from train.data.transfer_cache import TransferCache


def transfer_pairs(
    pipeline: StyleTransferPipeline,
    sampler: PairSampler,
    count: int,
    steps: list[int],
    generator: torch.Generator,
    batch: int,
) -> TransferCache:
    """That many transferred pairs of a sampler, at least one, none of them held out.

    Raises:
        CacheError: the sampler has no pair.
    """
    latents, sources, targets = [], [], []
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
    return TransferCache(np.concatenate(latents), np.concatenate(sources), np.concatenate(targets), 0)


def join(train: TransferCache, held_out: TransferCache, origin: dict[str, str]) -> TransferCache:
    """One set of both, the second held out."""
    both = (train, held_out)
    latents, sources, targets = (
        np.concatenate([getattr(one, name) for one in both]) for name in ("latents", "sources", "targets")
    )
    return TransferCache(latents, sources, targets, len(held_out.targets), origin)


def generate_splits(args: argparse.Namespace) -> TransferCache:
    """Pairs of the training and the validation split, as the command line wants them.

    Raises:
        CheckpointError, CacheError: what they are made from is missing, or does not belong together.
    """
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
    unseen.require_pairs()  # told before the training pairs are made, not after
    made, held_out = (
        transfer_pairs(pipeline, sampler, count, args.steps, generator, args.batch_size)
        for sampler, count in ((train, args.pairs), (unseen, args.held_out))
    )
    return join(made, held_out, describe_origin(pipeline.autoencoder, cache.clips))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="folder of the pipeline; without it, the weights that ship")
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--latents", type=Path, required=True, help="latent cache of the same clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=6000, help="of the training split")
    parser.add_argument("--held-out", type=int, default=64, help="of the validation split")
    parser.add_argument("--favoured-share", type=float, default=0.0, help="of the pairs, from piano to violin")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 10, 20], help="DDIM steps, one of these a batch")
    parser.add_argument("--batch-size", type=int, default=16, help="pairs at a time; on GPUs more are faster")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if min(args.pairs, args.held_out) < 1:
        parser.error("--pairs and --held-out must be at least 1")
    if args.batch_size < 1:
        parser.error("--batch-size must be at least 1")
    if not all(1 <= steps <= MAX_STEPS for steps in args.steps):
        parser.error(f"--steps must be 1 to {MAX_STEPS}")
    return run_command(lambda: generate_splits(args).save(args.out), CheckpointError, CacheError, OSError)


if __name__ == "__main__":
    sys.exit(main())
