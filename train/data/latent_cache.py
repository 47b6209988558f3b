"""Latents of a mel cache, with a record of their autoencoder.

    python -m train cache-latents --cache MELS --autoencoder DIR --out LATENTS
    python -m train cache-equalized --cache MELS --autoencoder DIR --latents LATENTS

Shorter clips are padded with encoded silence. EQ-augmented clips are stored beside the latents. Encoding a mel cache
again replaces both.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig
from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.precision import fast_autocast
from train.data.augmentation import EqualizedClips, apply_eq, delete_equalized, sample_eq_curves, save_equalized
from train.data.mel_cache import CachedClip, CacheError, MelCache, read_cache

BATCH = 16
DECODING = ("vae.decoder", "vae.post_quant_conv")  # weights of MelAutoencoder that do not affect its latents
RECORD = "autoencoder.json"  # file beside the latents: how they were made


@torch.inference_mode()
def encode_mels(model: MelAutoencoder, mels: torch.Tensor) -> np.ndarray:
    """Encode log-mels (clips, mels, frames) to normalised latents.

    Returns float32 latents of the shape (clips, channels, rows, columns).
    """
    batch = mels.to(model.device)[:, None].float()
    with fast_autocast(model.device):
        return model.encode(batch.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()


@torch.no_grad()
def through_autoencoder(mel: torch.Tensor, autoencoder: MelAutoencoder) -> torch.Tensor:
    """Encode and decode log-mels at the fastest precision.

    Log-mels have the shape (batch, 1, mels, frames).
    """
    with fast_autocast(autoencoder.device):
        decoded = autoencoder.decode(autoencoder.encode(mel.to(autoencoder.device)))
    return decoded[..., : mel.shape[-1]].float().cpu()


def load_autoencoder(folder: str | Path, mel: MelConfig) -> MelAutoencoder:
    """Load an autoencoder in float32.

    Raises:
        CacheError: the folder has no autoencoder, or one for other mels; the message names the folder.
    """
    try:
        # Checked first: diffusers would look for a missing folder on the Hub, and give any other model random weights.
        name = json.loads((Path(folder) / "config.json").read_text()).get("_class_name")
        if name != MelAutoencoder.__name__:
            raise ValueError(f"it is a {name}")
        model = MelAutoencoder.from_pretrained(folder).eval()
        mel.require_same(model.mel, "it")
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot use the autoencoder in {folder}: {error}") from error
    return model


def encoder_digest(model: MelAutoencoder) -> str:
    """Return a SHA-256 digest of the weights that define the latents.

    The decoder is not part of it.

    Weights are digested in half precision, so that an exported model keeps its digest.
    """
    digest = hashlib.sha256()
    weights = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(DECODING)}
    for _, weight in sorted(weights.items()):
        digest.update(weight.half().cpu().numpy().tobytes())
    return digest.hexdigest()


def clips_digest(clips: Sequence[CachedClip]) -> str:
    """SHA-256 digest of a table of clips."""
    # existing caches have digests from when the class of a clip was called Row
    return hashlib.sha256(repr(tuple(clips)).replace("CachedClip(", "Row(").encode()).hexdigest()


def describe_origin(model: MelAutoencoder | None, clips: Sequence[CachedClip]) -> dict[str, str]:
    """Digests of the autoencoder, if known, and of the clips."""
    return ({} if model is None else {"encoder": encoder_digest(model)}) | {"rows": clips_digest(clips)}


def find_mismatch(origin: dict[str, str], model: MelAutoencoder | None, clips: Sequence[CachedClip]) -> str | None:
    """Name of the first recorded digest that differs, else None.

    A missing record counts as a match.
    """
    used = describe_origin(model, clips)
    return next((name for name, digest in used.items() if origin.get(name, digest) != digest), None)


def record_origin(folder: Path, model: MelAutoencoder, clips: Sequence[CachedClip]) -> None:
    """Record the origin of latents: autoencoder and clips."""
    write_atomically(folder / RECORD, json.dumps(describe_origin(model, clips)))


def read_latents(folder: Path, clips: Sequence[CachedClip], autoencoder: MelAutoencoder | None = None) -> np.ndarray:
    """Memory-map the latents of a latent cache.

    Their shape is (clips, channels, rows, columns).

    Args:
        clips: clips of the mel cache; the latents are those of the first clips.
        autoencoder: autoencoder that the latents are used with, or None; a cache without a record is not checked.

    Raises:
        CacheError: there are no latents, or they are of other clips or of another autoencoder.
    """
    try:
        latents = np.load(folder / "latents.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CacheError(f"no latents in {folder}: run the command cache-latents first ({error})") from error
    record = json.loads((folder / RECORD).read_text()) if (folder / RECORD).is_file() else {}
    foreign = find_mismatch(record, autoencoder, clips[: len(latents)])
    if foreign == "encoder":
        raise CacheError(
            f"another autoencoder made the latents in {folder}: run the command cache-latents with this one"
        )
    if foreign == "rows":
        raise CacheError(
            f"the latents in {folder} belong to other clips: run the command cache-latents with this mel cache"
        )
    return latents


def open_encoder(cache_folder: Path, autoencoder_folder: Path) -> tuple[MelCache, MelAutoencoder]:
    """Open a mel cache and its autoencoder, on a GPU if available.

    Raises:
        CacheError: see ``read_cache`` and ``load_autoencoder``.
    """
    cache = read_cache(cache_folder, MelConfig())
    model = load_autoencoder(autoencoder_folder, cache.mel)
    return cache, model.to("cuda" if torch.cuda.is_available() else "cpu", memory_format=torch.channels_last)


def encode_cache(args: argparse.Namespace) -> None:
    """Encode the clips of a mel cache.

    Raises:
        CacheError: see ``open_encoder``.
    """
    cache, model = open_encoder(args.cache, args.autoencoder)
    columns = model.latent_columns(cache.mels.shape[-1])
    clips = min(len(cache.clips), args.clips or len(cache.clips))
    shape = (clips, model.channels, model.latent_rows, columns)
    args.out.mkdir(parents=True, exist_ok=True)
    latents = np.lib.format.open_memmap(args.out / "latents.part.npy", mode="w+", dtype=np.float16, shape=shape)
    for start in tqdm(range(0, clips, BATCH), unit=f"{BATCH} clips"):
        end = min(start + BATCH, clips)
        latents[start:end] = encode_mels(model, torch.from_numpy(cache.mels[start:end].copy()))
    latents.flush()
    (args.out / "latents.npy").unlink(missing_ok=True)  # in this order, an interruption never leaves a wrong record
    delete_equalized(args.out)
    record_origin(args.out, model, cache.clips[:clips])
    (args.out / "latents.part.npy").rename(args.out / "latents.npy")


def choose_rows(cache: MelCache, encoded: int, clips: int, seed: int) -> np.ndarray:
    """Sample training targets among the first ``encoded`` clips.

    They are distinct and in the order of the cache.
    """
    targets = [
        number for number, row in enumerate(cache.clips[:encoded]) if row.split == "train" and row.role == "target"
    ]
    return np.sort(np.random.default_rng(seed).permutation(targets)[:clips])


def encode_equalized(args: argparse.Namespace) -> None:
    """Encode random training targets with random equaliser curves.

    Raises:
        CacheError: see ``open_encoder`` and ``read_latents``; or the latent cache has no training target.
    """
    cache, model = open_encoder(args.cache, args.autoencoder)
    encoded = len(read_latents(args.latents, cache.clips, model))
    rows = choose_rows(cache, encoded, args.clips, args.seed)
    if not len(rows):
        raise CacheError("the latent cache has no training target")
    curves = sample_eq_curves(len(rows), args.seed, cache.mel.n_mels)
    parts = []
    for start in tqdm(range(0, len(rows), BATCH), unit=f"{BATCH} clips"):
        chosen = slice(start, start + BATCH)
        mels, added = (torch.from_numpy(part).to(model.device) for part in (cache.mels[rows[chosen]], curves[chosen]))
        parts.append(encode_mels(model, apply_eq(mels, added, cache.mel.log_floor)).astype(np.float16))
    save_equalized(args.latents, EqualizedClips(rows, curves, np.concatenate(parts)))


def cache_latents(args: argparse.Namespace) -> int:
    return run_command(partial(encode_cache, args), CacheError)


def cache_equalized(args: argparse.Namespace) -> int:
    return run_command(partial(encode_equalized, args), CacheError)
