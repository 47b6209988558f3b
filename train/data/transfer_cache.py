"""What a model makes of aligned pairs, kept as latents: the enhancer's training set."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stylediff.autoencoder import MelAutoencoder
from train.common.files import write_atomically
from train.data.latent_cache import find_mismatch
from train.data.mel_cache import CachedClip, CacheError

ORIGINS = {"encoder": "latents than this autoencoder's", "rows": "clips than this mel cache's"}


@dataclass(frozen=True)
class TransferCache:
    """Generated latents and the clips they belong to.

    Attributes:
        latents: (pairs, channels, rows, columns), float16.
        sources, targets: rows of the mel cache, (pairs,).
        held_out: how many pairs, the last ones, are of the validation split.
        origin: of which clips and which autoencoder they are (``describe_origin``); one that does not tell is believed.
    """

    latents: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    held_out: int
    origin: dict[str, str] = field(default_factory=dict)

    def require_origin(self, rows: Sequence[CachedClip], autoencoder: MelAutoencoder) -> None:
        """Checks that the set is of the clips and of the autoencoder that it is used with.

        Raises:
            CacheError: it is not.
        """
        foreign = find_mismatch(self.origin, autoencoder, rows)
        if foreign is not None:
            raise CacheError(
                f"the generated latents are of other {ORIGINS[foreign]}: run train.data.cache_transfers again"
            )

    def save(self, folder: Path) -> None:
        """Writes the set; ``pairs.json`` comes last and says that it is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pairs.json").unlink(missing_ok=True)
        np.save(folder / "latents.npy", self.latents)
        pairs = {"sources": self.sources.tolist(), "targets": self.targets.tolist(), "held_out": self.held_out}
        write_atomically(folder / "pairs.json", json.dumps(pairs | {"origin": self.origin}))


def read_transfers(folder: Path) -> TransferCache:
    """A saved set, its latents mapped from disk.

    Raises:
        CacheError: there is none, or it was not finished.
    """
    try:
        pairs = json.loads((folder / "pairs.json").read_text())
        latents = np.load(folder / "latents.npy", mmap_mode="r")
        sources, targets = np.array(pairs["sources"]), np.array(pairs["targets"])
        return TransferCache(latents, sources, targets, pairs["held_out"], pairs.get("origin", {}))
    except (OSError, ValueError, KeyError) as error:
        raise CacheError(f"no generated latents in {folder}: {error}") from error
