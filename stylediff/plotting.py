"""Log-mels as pictures."""

import matplotlib
import numpy as np
import torch

from stylediff.mel import MelConfig

DYNAMIC_RANGE = 8.0  # nepers shown below the loudest band, about 70 dB


def colour_image(mel: torch.Tensor, top: float) -> np.ndarray:
    """One log-mel as (mels, frames, 3) uint8, low bands at the bottom.

    Args:
        mel: (mels, frames) in nepers.
        top: value shown brightest; ``DYNAMIC_RANGE`` below it is black.
    """
    scaled = ((mel.float() - top) / DYNAMIC_RANGE + 1).clamp(0, 1).numpy()[::-1]
    return (matplotlib.colormaps["magma"](scaled)[..., :3] * 255).round().astype(np.uint8)


def mels_to_image(mels: list[torch.Tensor], config: MelConfig) -> np.ndarray:
    """Log-mels above each other on one colour scale, as (height, width, 3) uint8.

    Args:
        mels: each (mels, frames) in nepers, equally long.
    """
    top = max(float(mel.max()) for mel in mels)
    line = np.full((2, mels[0].shape[-1], 3), 255, np.uint8)
    rows = []
    for mel in mels:
        rows += [colour_image(mel, max(top, config.log_floor + 1.0)), line]
    return np.concatenate(rows[:-1])
