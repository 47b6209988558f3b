"""Clips of a cache, wherever they lie, and stretches cut from them."""

import numpy as np
import torch

Clips = np.ndarray | torch.Tensor  # of a cache: arrays mapped from disk, or tensors in a GPU's memory
MEMORY_SHARE = 0.8  # of what is free on a GPU that clips may take


def near_the_model(clips: Clips, device: torch.device) -> Clips:
    """The clips in float16 in the memory of a model's GPU, where batches are cut many times faster.

    They stay as they are where the model is on a CPU, or its GPU has no room for them.
    """
    if isinstance(clips, torch.Tensor) or device.type != "cuda":
        return clips
    if 2 * clips.size > MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
        return clips
    copied = torch.empty(clips.shape, dtype=torch.float16, device=device)
    for start in range(0, len(clips), 1024):
        part = slice(start, start + 1024)
        copied[part] = torch.from_numpy(clips[part].astype(np.float16))
    return copied


def stretches(clips: Clips, rows: np.ndarray, firsts: np.ndarray, length: int) -> torch.Tensor:
    """A stretch of each of some clips, (stretches, ..., length), in float32 and where the clips are.

    Args:
        clips: (clips, ..., columns).
        rows, firsts: which clip, and its first column, (stretches,).
        length: columns of a stretch.
    """
    if not isinstance(clips, torch.Tensor):
        pieces = [clips[row, ..., first : first + length] for row, first in zip(rows, firsts, strict=True)]
        return torch.from_numpy(np.stack(pieces).astype(np.float32))
    picked = clips[torch.from_numpy(rows).to(clips.device)]
    columns = torch.from_numpy(firsts).to(clips.device)[:, None] + torch.arange(length, device=clips.device)
    columns = columns.reshape(len(rows), *[1] * (clips.ndim - 2), length)
    return picked.gather(-1, columns.expand(*picked.shape[:-1], length)).float()
