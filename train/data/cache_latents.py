"""Encodes a mel cache with a trained autoencoder, once, for the denoiser to train on.

    python -m train.data.cache_latents --cache DIR --autoencoder DIR --out DIR

Clips shorter than the longest are followed by encoded silence. What the folder held, coloured clips too, is replaced.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from train.data.eq_augmentation import delete_equalized
from train.data.latent_cache import BATCH, encode_mels, open_encoder, record_origin
from train.data.mel_cache import CacheError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder of the trained autoencoder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, help="encode only the first so many clips of the cache")
    args = parser.parse_args(arguments)
    try:
        cache, model = open_encoder(args.cache, args.autoencoder)
    except CacheError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    columns = model.latent_columns(cache.mels.shape[-1])
    clips = min(len(cache.clips), args.clips or len(cache.clips))
    shape = (clips, model.channels, model.latent_rows, columns)
    args.out.mkdir(parents=True, exist_ok=True)
    latents = np.lib.format.open_memmap(args.out / "latents.part.npy", mode="w+", dtype=np.float16, shape=shape)
    for start in tqdm(range(0, clips, BATCH), unit=f"{BATCH} clips"):
        end = min(start + BATCH, clips)
        latents[start:end] = encode_mels(model, torch.from_numpy(cache.mels[start:end].copy()))
    latents.flush()
    (args.out / "latents.npy").unlink(missing_ok=True)  # in this order nothing is ever taken for something else
    delete_equalized(args.out)
    record_origin(args.out, model, cache.clips[:clips])
    (args.out / "latents.part.npy").rename(args.out / "latents.npy")
    return 0


if __name__ == "__main__":
    sys.exit(main())
