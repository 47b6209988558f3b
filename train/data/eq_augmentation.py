"""Random equaliser curves that make new voices from existing clips.

A few soundfonts hold a few voices of each instrument. With targets and references that have been through the same
random curve, a denoiser cannot go by the voice alone, and learns to take the colour of a sound from the reference.
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from train.data.mel_cache import CacheError, ClipArray

KNOTS = 6  # of a curve, evenly spaced over the bands
DEVIATION = 0.5  # nepers, 4 dB, of a knot


@dataclass(frozen=True)
class EqualizedClips:
    """Clips of a mel cache, coloured and encoded.

    Attributes:
        rows: which clips of the cache, (clips,).
        curves: nepers to add to their bands, (clips, mels).
        latents: (clips, channels, rows, columns).
    """

    rows: np.ndarray
    curves: np.ndarray
    latents: ClipArray


def sample_eq_curves(count: int, seed: int, mels: int) -> np.ndarray:
    """Smooth random curves over the bands, (count, mels) in nepers."""
    knots = np.random.default_rng(seed).normal(0.0, DEVIATION, (count, KNOTS))
    curves = CubicSpline(np.linspace(0, 1, KNOTS), knots, axis=1)(np.linspace(0, 1, mels))
    return curves.astype(np.float32)


def apply_eq(mels: torch.Tensor, curves: torch.Tensor, floor: float) -> torch.Tensor:
    """Add equaliser curves to log-mels at unchanged energy.

    Log-mels have the shape (..., mels, frames), curves (..., mels). Silence stays silent.

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

    ``colours.npz`` is written last and marks them as complete.
    """
    delete_equalized(folder)
    np.save(folder / "coloured.npy", clips.latents)
    scratch = folder / "colours.part.npz"
    np.savez(scratch, rows=clips.rows, curves=clips.curves)
    os.replace(scratch, folder / "colours.npz")


def delete_equalized(folder: Path) -> None:
    """Deletes the coloured clips beside a latent cache, if there are any."""
    for name in ("colours.npz", "coloured.npy"):
        (folder / name).unlink(missing_ok=True)


def read_equalized(folder: Path) -> EqualizedClips | None:
    """The coloured clips beside a latent cache, if there are any.

    Raises:
        CacheError: they are damaged.
    """
    if not (folder / "colours.npz").is_file():
        return None
    try:
        with np.load(folder / "colours.npz") as file:
            rows, curves = file["rows"], file["curves"]
        return EqualizedClips(rows, curves, np.load(folder / "coloured.npy", mmap_mode="r"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CacheError(
            f"the coloured clips in {folder} are damaged: run the command cache-equalized again ({error})"
        ) from error
