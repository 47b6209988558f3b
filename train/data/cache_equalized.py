"""Encodes clips that an equaliser has changed, for a denoiser that takes the colour of its sound from a reference.

    python -m train.data.cache_equalized --cache MELS --autoencoder DIR --latents LATENTS

They lie beside the latents of ``train.data.cache_latents``, where ``train.trainers.denoiser`` finds them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from train.data.eq_augmentation import EqualizedClips, apply_eq, sample_eq_curves, save_equalized
from train.data.latent_cache import BATCH, encode_mels, open_encoder, read_latents
from train.data.mel_cache import CacheError, MelCache


def choose_rows(cache: MelCache, encoded: int, clips: int, seed: int) -> np.ndarray:
    """Random training targets among the first ``encoded`` rows, none twice, in the order of the cache."""
    targets = [
        number for number, row in enumerate(cache.clips[:encoded]) if row.split == "train" and row.role == "target"
    ]
    return np.sort(np.random.default_rng(seed).permutation(targets)[:clips])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder of the trained autoencoder")
    parser.add_argument("--latents", type=Path, required=True, help="folder of the latent cache")
    parser.add_argument("--clips", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    try:
        cache, model = open_encoder(args.cache, args.autoencoder)
        encoded = len(read_latents(args.latents, cache.clips, model))
    except CacheError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = choose_rows(cache, encoded, args.clips, args.seed)
    curves = sample_eq_curves(len(rows), args.seed, cache.mel.n_mels)
    parts = []
    for start in tqdm(range(0, len(rows), BATCH), unit=f"{BATCH} clips"):
        chosen = slice(start, start + BATCH)
        mels, added = (torch.from_numpy(part).to(model.device) for part in (cache.mels[rows[chosen]], curves[chosen]))
        parts.append(encode_mels(model, apply_eq(mels, added, cache.mel.log_floor)).astype(np.float16))
    if not parts:
        print("error: the latent cache holds no training target", file=sys.stderr)
        return 2
    save_equalized(args.latents, EqualizedClips(rows, curves, np.concatenate(parts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
