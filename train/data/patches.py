"""Labelled 32 x 32 patches on disk: pictures, or pieces of log-mels."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from train.common.files import write_atomically
from train.data.manifest import SPLITS

KINDS = ("image", "mel")
NO_LABEL = -1
MOMENT_PATCHES = 10_000


class PatchError(ValueError):
    """A set of patches that is missing, unfinished, or cannot be made."""


@dataclass(frozen=True)
class PatchSet:
    """Patches with labels.

    Attributes:
        kind: "image" (RGB, uint8) or "mel" (log-mels in nepers, float16, low bands first).
        patches: (patches, channels, 32, 32).
        splits: index in ``SPLITS`` of each patch, (patches,).
        labels: integers by name, (patches,) or (patches, 32) for a value per frame; -1 means no label.
        names: names of a label's values, for labels that have names.

    Examples:
        >>> import numpy as np
        >>> from train.data.patches import PatchSet
        >>> white = np.full((2, 3, 32, 32), 255, np.uint8)
        >>> patches = PatchSet("image", white, np.array([0, 2]), {}, {})
        >>> patches.rows("test").tolist(), float(patches.tensor(np.array([1])).max())
        ([1], 1.0)
    """

    kind: str
    patches: np.ndarray
    splits: np.ndarray
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.patches)

    @property
    def channels(self) -> int:
        """3 for pictures, 1 for log-mels."""
        return self.patches.shape[1]

    @property
    def values(self) -> int:
        """Values of a patch."""
        return int(np.prod(self.patches.shape[1:]))

    def rows(self, split: str, limit: int | None = None) -> np.ndarray:
        """Row numbers of a split.

        With a limit it is a random choice of as many, always the same.

        Raises:
            PatchError: the split is empty.
        """
        rows = np.flatnonzero(self.splits == SPLITS.index(split))
        if not len(rows):
            raise PatchError(f"the patches have none of the {split} split")
        if limit is None or limit >= len(rows):
            return rows
        return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))

    def tensor(self, rows: np.ndarray) -> torch.Tensor:
        """Patches as float32: pictures in 0 to 1, log-mels in nepers."""
        values = torch.from_numpy(self.patches[rows].astype(np.float32))
        return values / 255 if self.kind == "image" else values

    def batches(self, rows: np.ndarray, size: int = 256) -> Iterator[torch.Tensor]:
        """Yield the patches of some rows in order, as float32."""
        for start in range(0, len(rows), size):
            yield self.tensor(rows[start : start + size])

    def moments(self) -> tuple[float, float]:
        """Mean and deviation over all values of training patches."""
        sample = self.tensor(self.rows("train", MOMENT_PATCHES)).double()
        return float(sample.mean()), float(sample.std())


def write_patches(folder: Path, patches: PatchSet, source: dict[str, Any]) -> None:
    """Write patches and their labels.

    A memory-mapped array is already at ``folder / "patches.npy"``.

    Args:
        source: description of where they come from, for the reader.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(patches.patches, np.memmap):
        patches.patches.flush()
    else:
        np.save(folder / "patches.npy", patches.patches)
    arrays: dict[str, Any] = {"splits": patches.splits, **patches.labels}
    np.savez_compressed(folder / "labels.npz", **arrays)
    counts = {split: int((patches.splits == number).sum()) for number, split in enumerate(SPLITS)}
    description = {"kind": patches.kind, "counts": counts, "names": patches.names, "source": source}
    write_atomically(folder / "description.json", json.dumps(description, indent=1))  # last: marks the end
    print(f"{folder}: " + ", ".join(f"{count} {split}" for split, count in counts.items()) + " patches")


def read_patches(folder: Path) -> PatchSet:
    """Open a set of patches, memory-mapped.

    Raises:
        PatchError: it is missing or unfinished.
    """
    path = folder / "description.json"
    if not path.is_file():
        raise PatchError(f"no patches in {folder}: make them with image-patches or mel-patches")
    description = json.loads(path.read_text())
    with np.load(folder / "labels.npz") as stored:
        labels = {name: stored[name] for name in stored.files}
    array = np.load(folder / "patches.npy", mmap_mode="r")
    return PatchSet(description["kind"], array, labels.pop("splits"), labels, description["names"])
