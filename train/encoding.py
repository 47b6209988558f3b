"""Log-mels to latents and back, many at once."""

from pathlib import Path

import numpy as np
import torch

from stylediff.latents import MelAutoencoder
from stylediff.mel import MelConfig
from train.mel_cache import MelCache, read_cache, require_same_mel
from train.runs import choose_precision

BATCH = 16


def fast_autocast(device: torch.device) -> torch.autocast:
    """A context in which networks compute in bfloat16 where that is the faster precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=choose_precision("auto") == "bf16")


@torch.inference_mode()
def encode_rows(model: MelAutoencoder, mels: np.ndarray) -> np.ndarray:
    """Normalised latents of (clips, mels, frames) log-mels as float32 (clips, channels, rows, columns)."""
    batch = torch.from_numpy(mels.astype(np.float32))[:, None].to(model.device)
    with fast_autocast(model.device):
        return model.encode(batch.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()


@torch.no_grad()
def through_autoencoder(mel: torch.Tensor, autoencoder: MelAutoencoder) -> torch.Tensor:
    """Log-mels (batch, 1, mels, frames) encoded and decoded, at the precision that is fastest."""
    with fast_autocast(autoencoder.device):
        decoded = autoencoder.decode(autoencoder.encode(mel.to(autoencoder.device)))
    return decoded[..., : mel.shape[-1]].float().cpu()


def open_encoder(cache_folder: Path, autoencoder_folder: Path) -> tuple[MelCache, MelAutoencoder]:
    """A mel cache and the autoencoder for it, on a GPU if there is one.

    Raises:
        CacheError: see ``read_cache``; or the autoencoder was made for other mels.
        OSError: there is no autoencoder.
    """
    cache = read_cache(cache_folder, MelConfig())
    model = MelAutoencoder.from_pretrained(autoencoder_folder).eval()
    require_same_mel(cache.mel.to_dict(), model.mel, cache_folder)
    return cache, model.to("cuda" if torch.cuda.is_available() else "cpu", memory_format=torch.channels_last)
