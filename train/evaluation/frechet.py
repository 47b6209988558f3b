"""Fréchet distance of two feature sets, and its limit."""

import numpy as np

SUBSETS = 12  # subset sizes for the extrapolation
SMALLEST_SHARE = 0.3


def frechet_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Fréchet distance of Gaussians fitted to features.

    Source: Heusel et al. 2017, arXiv 1706.08500, eq. 6.

    For features of sound it is the Fréchet audio distance (Kilgour et al. 2019, arXiv 1812.08466).

    Args:
        ours, theirs: (samples, dimensions) each, at least two samples.

    Raises:
        ValueError: too few samples, or features that differ in size.
    """
    if min(len(ours), len(theirs)) < 2 or ours.shape[1:] != theirs.shape[1:]:
        raise ValueError(f"cannot compare features of shapes {ours.shape} and {theirs.shape}")
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (ours, theirs)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # The trace of a product's square root, computed from a symmetric matrix with real eigenvalues.
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    gap = np.square(ours.mean(0) - theirs.mean(0)).sum()
    return float(gap + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross)


def compare_sets(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Fréchet distance of two feature sets, for a report.

    Returns the distance, its extrapolation, and the number of our samples.
    """
    return {
        "distance": frechet_distance(ours, theirs),
        "infinity": frechet_infinity(ours, theirs),
        "windows": len(ours),
    }


def frechet_infinity(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Extrapolate the distance to infinitely many samples.

    The bias is proportional to 1 / samples.

    A line is fitted to the distances of random subsets over 1 / size and read at 0 (Chong and Forsyth 2020, arXiv
    1911.07023; for audio, Gui et al. 2023, arXiv 2311.01616).

    Args:
        ours, theirs: (samples, dimensions) each.
    """
    random = np.random.default_rng(0)
    sizes = np.linspace(max(2, SMALLEST_SHARE * len(ours)), len(ours), SUBSETS).astype(int)
    distances = [frechet_distance(random.permutation(ours)[:size], theirs) for size in sizes]
    return float(np.polyfit(1 / sizes, distances, 1)[1])
