"""What a model makes of aligned pairs, kept as latents: the enhancer's training set."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.manifest import write_atomically
from train.mel_cache import CacheError


@dataclass(frozen=True)
class GeneratedSet:
    """Generated latents and the clips they belong to.

    Attributes:
        latents: (pairs, channels, rows, columns), float16.
        sources, targets: rows of the mel cache, (pairs,).
        held_out: how many pairs, the last ones, are of the validation split.
    """

    latents: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    held_out: int

    def save(self, folder: Path) -> None:
        """Writes the set; ``pairs.json`` comes last and says that it is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "latents.npy", self.latents)
        pairs = {"sources": self.sources.tolist(), "targets": self.targets.tolist(), "held_out": self.held_out}
        write_atomically(folder / "pairs.json", json.dumps(pairs))


def read_generated(folder: Path) -> GeneratedSet:
    """A saved set, its latents mapped from disk.

    Raises:
        CacheError: there is none, or it was not finished.
    """
    try:
        pairs = json.loads((folder / "pairs.json").read_text())
        latents = np.load(folder / "latents.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CacheError(f"no generated latents in {folder}: {error}") from error
    return GeneratedSet(latents, np.array(pairs["sources"]), np.array(pairs["targets"]), pairs["held_out"])
