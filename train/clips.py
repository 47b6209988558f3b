"""Clips of a cache, wherever they lie, and stretches cut from them."""

import numpy as np
import torch

Clips = np.ndarray | torch.Tensor  # of a cache: arrays mapped from disk, or tensors in a GPU's memory


def near_the_model(clips: Clips) -> Clips:
    """The clips in the GPU's memory, if there is one: batches are cut there many times faster."""
    if isinstance(clips, torch.Tensor) or not torch.cuda.is_available():
        return clips
    copied = torch.empty(clips.shape, dtype=torch.float16, device="cuda")
    for start in range(0, len(clips), 1024):
        part = slice(start, start + 1024)
        copied[part] = torch.from_numpy(clips[part].astype(np.float16))
    return copied


def stretches(clips: Clips, rows: np.ndarray, firsts: np.ndarray, length: int) -> torch.Tensor:
    """A stretch of each of some clips (clips, ..., columns), in float32 and where the clips are.

    Args:
        rows, firsts: which clip, and its first column, (stretches,).
    """
    if not isinstance(clips, torch.Tensor):
        pieces = [clips[row, ..., first : first + length] for row, first in zip(rows, firsts, strict=True)]
        return torch.from_numpy(np.stack(pieces).astype(np.float32))
    picked = clips[torch.from_numpy(rows).to(clips.device)]
    columns = torch.from_numpy(firsts).to(clips.device)[:, None] + torch.arange(length, device=clips.device)
    columns = columns.reshape(len(rows), *[1] * (clips.ndim - 2), length)
    return picked.gather(-1, columns.expand(*picked.shape[:-1], length)).float()
