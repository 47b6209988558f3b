"""Log-mels of a whole data set as one memory-mapped float16 array, with the table of what each row is."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stylediff.mel import MelConfig
from train.manifest import Clip, ClipGroup, write_atomically


class CacheError(ValueError):
    """A cache that is missing, unfinished or made with other numbers."""


@dataclass(frozen=True)
class Row:
    """One clip of the cache; rows of one group are the same music."""

    file: str
    group: int
    split: str
    paired: bool
    instrument: str
    voice: str
    role: str
    frames: int

    @classmethod
    def of(cls, group: ClipGroup, clip: Clip, frames: int) -> "Row":
        return cls(
            clip.file, group.index, group.split, group.paired, clip.instrument, clip.voice, clip.role, frames
        )


@dataclass(frozen=True)
class MelCache:
    """Log-mels in nepers, ``mels`` of shape (clips, mels, frames), and one Row for each."""

    mels: np.memmap
    rows: tuple[Row, ...]
    mel: MelConfig

    def split(self, name: str) -> np.ndarray:
        """Row numbers of a split."""
        return np.array([number for number, row in enumerate(self.rows) if row.split == name])

    def tensor(self, number: int, start: int = 0, frames: int | None = None) -> torch.Tensor:
        """Log-mel of one row as float32 (1, mels, frames)."""
        end = None if frames is None else start + frames
        return torch.from_numpy(self.mels[number, :, start:end].astype(np.float32)).unsqueeze(0)


def create_cache(folder: Path, rows: list[Row], mel: MelConfig) -> np.memmap:
    """Makes an empty cache to be filled; ``finish_cache`` marks it whole."""
    folder.mkdir(parents=True, exist_ok=True)
    description = {"mel": mel.to_dict(), "rows": [list(vars(row).values()) for row in rows]}
    write_atomically(folder / "rows.json", json.dumps(description))
    shape = (len(rows), mel.n_mels, max(row.frames for row in rows))
    mode = "r+" if (folder / "mels.npy").is_file() else "w+"
    return np.lib.format.open_memmap(folder / "mels.npy", mode=mode, dtype=np.float16, shape=shape)


def finish_cache(folder: Path) -> None:
    write_atomically(folder / "finished", "")


def read_cache(folder: Path, mel: MelConfig) -> MelCache:
    """Opens a finished cache.

    Raises:
        CacheError: missing or unfinished.
        ValueError: made with another MelConfig; the message names the field.
    """
    if not (folder / "finished").is_file():
        raise CacheError(f"no finished mel cache in {folder}: run train.cache_mels first")
    description = json.loads((folder / "rows.json").read_text())
    mel.require_same(MelConfig(**description["mel"]), f"the mel cache in {folder}")
    rows = tuple(Row(*values) for values in description["rows"])
    return MelCache(np.load(folder / "mels.npy", mmap_mode="r"), rows, mel)
