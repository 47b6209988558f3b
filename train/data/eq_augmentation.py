"""Random equaliser curves that make new voices from existing clips.

The soundfonts have only a few voices per instrument. If target and reference have the same random curve, the voice
alone does not determine the target, and the denoiser learns to take the timbre from the reference.
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from train.data.mel_cache import CacheError, ClipArray

KNOTS = 6  # knots of a curve, evenly spaced over the bands
DEVIATION = 0.5  # deviation of a knot in nepers, 4 dB


@dataclass(frozen=True)
class EqualizedClips:
    """EQ-augmented clips of a mel cache, encoded.

    Attributes:
        rows: indices of the clips in the cache, (clips,).
        curves: nepers added to the bands, (clips, mels).
        latents: (clips, channels, rows, columns).
    """

    rows: np.ndarray
    curves: np.ndarray
    latents: ClipArray


def sample_eq_curves(count: int, seed: int, mels: int) -> np.ndarray:
    """Sample smooth curves over the bands, (count, mels) in nepers."""
    knots = np.random.default_rng(seed).normal(0.0, DEVIATION, (count, KNOTS))
    curves = CubicSpline(np.linspace(0, 1, KNOTS), knots, axis=1)(np.linspace(0, 1, mels))
    return curves.astype(np.float32)


def apply_eq(mels: torch.Tensor, curves: torch.Tensor, floor: float) -> torch.Tensor:
    """Add equaliser curves to log-mels at unchanged energy.

    Log-mels have the shape (..., mels, frames), curves (..., mels).

    Args:
        floor: log-mels of silence, which stays silent.
    """
    level = mels.float()
    changed = level + curves[..., None]
    energies = [torch.logsumexp(2 * clip, dim=(-2, -1), keepdim=True) for clip in (level, changed)]
    changed = changed + 0.5 * (energies[0] - energies[1])
    return torch.where(level > floor, changed.clamp_min(floor), floor)


def save_equalized(folder: Path, clips: EqualizedClips) -> None:
    """Write equalized clips beside a latent cache.

    ``colours.npz`` is written last and marks the clips as complete.
    """
    delete_equalized(folder)
    np.save(folder / "coloured.npy", clips.latents)
    scratch = folder / "colours.part.npz"
    np.savez(scratch, rows=clips.rows, curves=clips.curves)
    os.replace(scratch, folder / "colours.npz")


def delete_equalized(folder: Path) -> None:
    """Delete the EQ-augmented clips beside a latent cache, if any."""
    for name in ("colours.npz", "coloured.npy"):
        (folder / name).unlink(missing_ok=True)


def read_equalized(folder: Path) -> EqualizedClips | None:
    """Read the EQ-augmented clips beside a latent cache, if any.

    Raises:
        CacheError: the clips are damaged.
    """
    if not (folder / "colours.npz").is_file():
        return None
    try:
        with np.load(folder / "colours.npz") as file:
            rows, curves = file["rows"], file["curves"]
        return EqualizedClips(rows, curves, np.load(folder / "coloured.npy", mmap_mode="r"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CacheError(
            f"the EQ-augmented clips in {folder} are damaged: rerun the command cache-equalized ({error})"
        ) from error
