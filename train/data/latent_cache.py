"""Log-mels to latents and back, many at once, and which autoencoder the latents of a cache are of."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig
from train.common.files import write_atomically
from train.common.precision import fast_autocast
from train.data.mel_cache import CachedClip, CacheError, MelCache, read_cache

BATCH = 16
DECODING = ("vae.decoder", "vae.post_quant_conv")  # weights of MelAutoencoder behind its latents
RECORD = "autoencoder.json"  # beside latents, of what made them


@torch.inference_mode()
def encode_mels(model: MelAutoencoder, mels: torch.Tensor) -> np.ndarray:
    """Normalised latents of (clips, mels, frames) log-mels as float32 (clips, channels, rows, columns)."""
    batch = mels.to(model.device)[:, None].float()
    with fast_autocast(model.device):
        return model.encode(batch.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()


@torch.no_grad()
def through_autoencoder(mel: torch.Tensor, autoencoder: MelAutoencoder) -> torch.Tensor:
    """Log-mels (batch, 1, mels, frames) encoded and decoded, at the precision that is fastest."""
    with fast_autocast(autoencoder.device):
        decoded = autoencoder.decode(autoencoder.encode(mel.to(autoencoder.device)))
    return decoded[..., : mel.shape[-1]].float().cpu()


def load_autoencoder(folder: str | Path, mel: MelConfig) -> MelAutoencoder:
    """A saved autoencoder, in float32.

    Raises:
        CacheError: the folder holds none, or one made for other mels; the message names the folder.
    """
    try:
        # Read first: diffusers looks for a missing folder on the Hub, and gives any other model random weights.
        name = json.loads((Path(folder) / "config.json").read_text()).get("_class_name")
        if name != MelAutoencoder.__name__:
            raise ValueError(f"it is a {name}")
        model = MelAutoencoder.from_pretrained(folder).eval()
        mel.require_same(model.mel, "it")
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot use the autoencoder in {folder}: {error}") from error
    return model


def encoder_digest(model: MelAutoencoder) -> str:
    """SHA-256 of all that decides a model's latents, which the decoder does not.

    In half precision: exported in that, a model keeps its digest.
    """
    digest = hashlib.sha256()
    weights = {name: one for name, one in model.state_dict().items() if not name.startswith(DECODING)}
    for _, weight in sorted(weights.items()):
        digest.update(weight.half().cpu().numpy().tobytes())
    return digest.hexdigest()


def clips_digest(clips: Sequence[CachedClip]) -> str:
    """SHA-256 of the table of some clips."""
    # Caches hold digests from when the class of a clip was called Row.
    return hashlib.sha256(repr(tuple(clips)).replace("CachedClip(", "Row(").encode()).hexdigest()


def describe_origin(model: MelAutoencoder | None, clips: Sequence[CachedClip]) -> dict[str, str]:
    """Digests of the autoencoder that made some latents, if it is known, and of the clips they are of."""
    return ({} if model is None else {"encoder": encoder_digest(model)}) | {"rows": clips_digest(clips)}


def find_mismatch(origin: dict[str, str], model: MelAutoencoder | None, clips: Sequence[CachedClip]) -> str | None:
    """Which entry of ``origin``, from ``describe_origin``, is not of these; what it does not tell is believed."""
    used = describe_origin(model, clips)
    return next((name for name, digest in used.items() if origin.get(name, digest) != digest), None)


def record_origin(folder: Path, model: MelAutoencoder, clips: Sequence[CachedClip]) -> None:
    """Writes down beside latents which autoencoder made them, and of which clips."""
    write_atomically(folder / RECORD, json.dumps(describe_origin(model, clips)))


def read_latents(folder: Path, clips: Sequence[CachedClip], autoencoder: MelAutoencoder | None = None) -> np.ndarray:
    """The latents of a latent cache, (clips, channels, rows, columns), mapped from disk.

    Args:
        clips: of the mel cache that they are used with, whose first clips they are of.
        autoencoder: what they are to be used with, if with any; a cache without a record of its own is believed.

    Raises:
        CacheError: there are none, or they are of other clips, or another autoencoder made them.
    """
    try:
        latents = np.load(folder / "latents.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CacheError(f"no latents in {folder}: run train.data.cache_latents first ({error})") from error
    record = json.loads((folder / RECORD).read_text()) if (folder / RECORD).is_file() else {}
    foreign = find_mismatch(record, autoencoder, clips[: len(latents)])
    if foreign == "encoder":
        raise CacheError(
            f"another autoencoder made the latents in {folder}: run train.data.cache_latents with this one"
        )
    if foreign == "rows":
        raise CacheError(
            f"the latents in {folder} are of other clips: run train.data.cache_latents with this mel cache"
        )
    return latents


def open_encoder(cache_folder: Path, autoencoder_folder: Path) -> tuple[MelCache, MelAutoencoder]:
    """A mel cache and the autoencoder for it, on a GPU if there is one.

    Raises:
        CacheError: see ``read_cache`` and ``load_autoencoder``.
    """
    cache = read_cache(cache_folder, MelConfig())
    model = load_autoencoder(autoencoder_folder, cache.mel)
    return cache, model.to("cuda" if torch.cuda.is_available() else "cpu", memory_format=torch.channels_last)
