"""Reference recordings of an instrument, and distances to them."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from train.evaluation.frechet import frechet_distance

DIMENSIONS = 16
PATCHES_PER_DIMENSION = 4  # covariances of fewer clips are meaningless
FEWEST_CLIPS = 4
HALVINGS = 10


class RecordedReference:
    """Features of clips of one instrument, reduced to their principal components.

    Args:
        clips: features of each clip, (patches, 200).

    Raises:
        ValueError: fewer than four clips.
    """

    def __init__(self, clips: Sequence[np.ndarray]) -> None:
        if len(clips) < FEWEST_CLIPS:
            raise ValueError(f"a reference needs at least {FEWEST_CLIPS} clips, got {len(clips)}")
        self.clips = [np.asarray(clip, dtype=np.float64) for clip in clips]

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of all patches, (200,)."""
        return np.concatenate(self.clips).mean(0)

    @cached_property
    def axes(self) -> np.ndarray:
        """Principal components of all patches, (200, dimensions).

        There are 16, or fewer if there are few patches.
        """
        patches = np.concatenate(self.clips)
        dimensions = max(1, min(DIMENSIONS, len(patches) // PATCHES_PER_DIMENSION))
        return np.linalg.svd(patches - self.mean, full_matrices=False)[2][:dimensions].T

    def project(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Project the patches of clips, (patches, dimensions)."""
        return (np.concatenate(clips) - self.mean) @ self.axes

    def distance(self, clips: Sequence[np.ndarray]) -> float:
        """Fréchet distance of clips to the reference.

        Each clip has features (patches, 200). The distance grows as clips become fewer, so compare only systems with
        equally many clips.

        Raises:
            ValueError: fewer than two patches.
        """
        return frechet_distance(self.project(clips), self.project(self.clips))

    @cached_property
    def floor(self) -> float:
        """Fréchet distance between two halves of the reference.

        It is the mean over ten random splits.
        """
        random, distances = np.random.default_rng(0), []
        for _ in range(HALVINGS):
            order = random.permutation(len(self.clips))
            halves = order[: len(order) // 2], order[len(order) // 2 :]
            first, second = (self.project([self.clips[index] for index in half]) for half in halves)
            distances.append(frechet_distance(first, second))
        return float(np.mean(distances))
