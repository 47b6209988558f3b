"""Aligned pairs of clips: which rows of a cache are targets, and which may be their sources."""

from dataclasses import dataclass

import numpy as np
import torch

from stylediff.instruments import get_instrument
from train.mel_cache import Row


@dataclass(frozen=True)
class PairBatch:
    """Latents of aligned pairs, (batch, channels, rows, columns), and the target's voice indices (batch,)."""

    source: torch.Tensor
    target: torch.Tensor
    voices: torch.Tensor

    def to(self, device: torch.device) -> "PairBatch":
        return PairBatch(self.source.to(device), self.target.to(device), self.voices.to(device))


def default_first(voices: set[str]) -> list[str]:
    """Voice names sorted by instrument, each instrument's default voice first."""
    return sorted(voices, key=lambda v: (v.split("/")[0], v != get_instrument(v.split("/")[0]).default_voice, v))


class PairSampler:
    """Draws random pairs of one split from a latent cache.

    Targets are clean clips; their sources are the other clips of the same music, degraded ones included.
    """

    def __init__(self, rows: tuple[Row, ...], latents: np.ndarray, voices: list[str], split: str) -> None:
        self.latents = latents
        self.voice_of = {number: voices.index(row.voice) for number, row in enumerate(rows) if row.voice in voices}
        groups: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            if row.split == split and row.paired:
                groups.setdefault(row.group, []).append(number)
        self.sources_of = {
            number: np.array([other for other in members if other != number])
            for members in groups.values()
            for number in members
            if rows[number].role == "target" and number in self.voice_of and len(members) > 1
        }
        self.targets = np.array(sorted(self.sources_of))

    def batch(self, size: int, columns: int, generator: torch.Generator) -> PairBatch:
        """Random pairs, cut to the same random stretch of ``columns`` latent columns."""
        chosen = self.targets[torch.randint(len(self.targets), (size,), generator=generator).numpy()]
        draws = torch.rand(size, 2, generator=generator).numpy()
        sources, targets = [], []
        for number, (draw, start) in zip(chosen, draws, strict=True):
            candidates = self.sources_of[int(number)]
            first = int(start * (self.latents.shape[-1] - columns + 1))
            sources.append(self.latents[candidates[int(draw * len(candidates))], :, :, first : first + columns])
            targets.append(self.latents[number, :, :, first : first + columns])
        return PairBatch(
            torch.from_numpy(np.stack(sources).astype(np.float32)),
            torch.from_numpy(np.stack(targets).astype(np.float32)),
            torch.tensor([self.voice_of[int(number)] for number in chosen]),
        )
