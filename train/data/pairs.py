"""Aligned pairs of clips, sampled from a latent cache."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from stylediff.instruments import get_instrument
from train.data.augmentation import EqualizedClips, apply_eq
from train.data.mel_cache import CachedClip, CacheError, ClipArray, gather_crops

RECORDED = "recorded"  # the voice of a recording is ``instrument/recorded``
SHORTEST_REFERENCE = 172  # frames, two seconds
OVERSAMPLED_DIRECTION = (
    "piano",
    "violin",
)  # direction that can be sampled more often than by chance


@dataclass(frozen=True)
class PairBatch:
    """Aligned pairs.

    Attributes:
        source, target: latents, (batch, channels, rows, columns).
        voices: voice indices of the targets, (batch,).
        references: log-mels of other music in the voices of the first targets, (count, 1, mels, frames), or None.
    """

    source: torch.Tensor
    target: torch.Tensor
    voices: torch.Tensor
    references: torch.Tensor | None = None

    def to(self, device: torch.device) -> "PairBatch":
        references = None if self.references is None else self.references.to(device)
        return PairBatch(self.source.to(device), self.target.to(device), self.voices.to(device), references)


@dataclass(frozen=True)
class PairRows:
    """Aligned pairs as rows of the cache.

    Attributes:
        sources, targets: (pairs,).
        places: positions of the crops, between 0 and 1.
        equalized: indices of the EQ-augmented clips that are the first targets.
    """

    sources: np.ndarray
    targets: np.ndarray
    places: np.ndarray
    equalized: np.ndarray


def is_oversampled(source: CachedClip, target: CachedClip) -> bool:
    return (source.instrument, target.instrument) == OVERSAMPLED_DIRECTION


def has_recorded_source(source: CachedClip, target: CachedClip) -> bool:
    return source.voice.endswith(f"/{RECORDED}") and target.voice != source.voice


def default_first(voices: set[str]) -> list[str]:
    """Voice names sorted by instrument, with the default voice first."""
    return sorted(voices, key=lambda v: (v.split("/")[0], v != get_instrument(v.split("/")[0]).default_voice, v))


class PairSampler:
    """Samples random pairs of one split from a latent cache.

    Targets are clean clips. Their sources are the other clips of the same music, including degraded ones.

    Args:
        equalized: EQ-augmented clips, which are half of the targets with a reference; the reference gets the same
            curve.
        floor: value of silence in the log-mels of references.
        oversampled_share: share of the pairs of a batch, the last ones, in ``OVERSAMPLED_DIRECTION``.
        recorded_share: share of the pairs of a batch, the ones before those, whose source is a recording.
    """

    def __init__(
        self,
        clips: tuple[CachedClip, ...],
        latents: ClipArray,
        voices: list[str],
        split: str,
        equalized: EqualizedClips | None = None,
        floor: float = -np.inf,
        oversampled_share: float = 0.0,
        recorded_share: float = 0.0,
    ) -> None:
        self.latents, self.voices, self.split, self.floor = latents, voices, split, floor
        self.oversampled_share, self.recorded_share = oversampled_share, recorded_share
        self.voice_of = {number: voices.index(clip.voice) for number, clip in enumerate(clips) if clip.voice in voices}
        groups: dict[int, list[int]] = {}
        for number, clip in enumerate(clips):
            if clip.split == split and clip.paired:
                groups.setdefault(clip.group, []).append(number)
        self.sources_of = {
            number: np.array([other for other in members if other != number])
            for members in groups.values()
            for number in members
            if clips[number].role == "target" and number in self.voice_of and len(members) > 1
        }
        self.targets = np.array(sorted(self.sources_of))
        self.clips = clips
        self.oversampled = self._pairs_of(is_oversampled) if oversampled_share else np.empty((0, 2), int)
        self.recorded = self._pairs_of(has_recorded_source) if recorded_share else np.empty((0, 2), int)
        self.equalized = None
        if equalized is not None:
            usable = np.isin(equalized.rows, self.targets)
            if usable.any():
                self.equalized, self.equalizable = equalized, np.flatnonzero(usable)
        self.of_voice: dict[str, list[int]] = {}
        for number, clip in enumerate(clips):
            if clip.split == split:
                self.of_voice.setdefault(clip.voice, []).append(number)

    def _pairs_of(self, wanted: Callable[[CachedClip, CachedClip], bool]) -> np.ndarray:
        """Rows (source, target) of all pairs that are wanted, (pairs, 2)."""
        pairs = [
            (source, int(target))
            for target in self.targets
            for source in self.sources_of[int(target)]
            if wanted(self.clips[source], self.clips[target])
        ]
        return np.array(pairs).reshape(-1, 2)

    def require_pairs(self) -> None:
        """Raise CacheError if the split has no pair; the message names it."""
        if not len(self.targets):
            raise CacheError(f"the {self.split} split has no clip in a known voice with another of the same music")

    def batch(
        self, size: int, columns: int, generator: torch.Generator, mels: ClipArray | None = None, references: int = 0
    ) -> PairBatch:
        """Sample pairs, both cut to the same ``columns`` latent columns.

        Args:
            mels: log-mels that references are cut from, (clips, mels, frames).
            references: number of targets, the first ones, that have a reference.
        """
        chosen = self.sample(size, generator, 0 if mels is None else references // 2)
        firsts = (chosen.places * (self.latents.shape[-1] - columns + 1)).astype(int)
        reference_mels = None
        if mels is not None:
            reference_mels = self.sample_references(chosen.targets[:references], mels, generator)
        count = len(chosen.equalized)
        target = gather_crops(self.latents, chosen.targets[count:], firsts[count:], columns)
        if self.equalized is not None and reference_mels is not None and count:
            target = torch.cat(
                [gather_crops(self.equalized.latents, chosen.equalized, firsts[:count], columns), target]
            )
            curves = torch.from_numpy(self.equalized.curves[chosen.equalized]).to(reference_mels)
            reference_mels[:count, 0] = apply_eq(reference_mels[:count, 0], curves, self.floor)
        voices = torch.tensor([self.voice_of[int(number)] for number in chosen.targets])
        return PairBatch(gather_crops(self.latents, chosen.sources, firsts, columns), target, voices, reference_mels)

    def sample(self, size: int, generator: torch.Generator, equalized: int = 0) -> PairRows:
        """Sample pairs as rows of the cache.

        Args:
            equalized: number of targets, the first ones, that are EQ-augmented clips, if there are any.

        Raises:
            CacheError: the split has no pair; the message names it.
        """
        self.require_pairs()
        targets = self.targets[torch.randint(len(self.targets), (size,), generator=generator).numpy()]
        picks = np.empty(0, int)
        if self.equalized is not None and equalized:
            picks = self.equalizable[torch.randint(len(self.equalizable), (equalized,), generator=generator).numpy()]
            targets[:equalized] = self.equalized.rows[picks]
        draws = torch.rand(size, 2, generator=generator).numpy()
        of = [self.sources_of[int(number)] for number in targets]
        sources = np.array([rows[int(draw * len(rows))] for rows, draw in zip(of, draws[:, 0], strict=True)])
        end = size
        for pairs, share in ((self.oversampled, self.oversampled_share), (self.recorded, self.recorded_share)):
            count = min(round(share * size), end - len(picks)) if len(pairs) else 0
            if count:
                drawn = torch.randint(len(pairs), (count,), generator=generator).numpy()
                sources[end - count : end], targets[end - count : end] = pairs[drawn].T
                end -= count
        return PairRows(sources, targets, draws[:, 1], picks)

    def sample_references(self, targets: np.ndarray, mels: ClipArray, generator: torch.Generator) -> torch.Tensor:
        """Sample references: other music in the same voices.

        Returns log-mels (targets, 1, mels, frames) of one random length. A clip without other music in its voice is its
        own reference.
        """
        shortest = min(SHORTEST_REFERENCE, mels.shape[-1])
        frames = int(torch.randint(shortest, mels.shape[-1] + 1, (1,), generator=generator))
        draws = torch.rand(len(targets), 2, generator=generator).numpy()
        rows, begins = [], []
        for number, (draw, start) in zip(targets, draws, strict=True):
            group, candidates = self.clips[number].group, self.of_voice[self.clips[number].voice]
            first = int(draw * len(candidates))
            turns = (candidates[(first + turn) % len(candidates)] for turn in range(len(candidates)))
            chosen = next((other for other in turns if self.clips[other].group != group), int(number))
            rows.append(chosen)
            begins.append(int(start * (mels.shape[-1] - frames + 1)))
        return gather_crops(mels, np.array(rows), np.array(begins), frames)[:, None]
