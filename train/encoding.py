"""Log-mels to latents, many at once."""

import numpy as np
import torch

from stylediff.latents import MelAutoencoder
from train.runs import choose_precision

BATCH = 16


@torch.inference_mode()
def encode_rows(model: MelAutoencoder, mels: np.ndarray, device: torch.device) -> np.ndarray:
    """Normalised latents of (clips, mels, frames) log-mels as float32 (clips, channels, rows, columns)."""
    batch = torch.from_numpy(mels.astype(np.float32))[:, None].to(device)
    use_bf16 = choose_precision("auto") == "bf16"
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16):
        return model.encode(batch.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()
