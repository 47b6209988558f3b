"""Fréchet distances of samples from known Gaussians."""

import numpy as np
import pytest

from train.evaluation.frechet import frechet_distance, frechet_infinity


def samples(count: int, mean: float, scale: float, seed: int, dimensions: int = 4) -> np.ndarray:
    return mean + scale * np.random.default_rng(seed).standard_normal((count, dimensions))


def test_it_is_the_distance_of_the_sampled_gaussians() -> None:
    # per dimension: squared difference of means and of standard deviations
    distance = frechet_distance(samples(40000, 0.0, 1.0, 0), samples(40000, 1.0, 3.0, 1))
    assert distance == pytest.approx(4 * (1.0**2 + 2.0**2), rel=0.03)


def test_it_depends_on_correlation() -> None:
    random = np.random.default_rng(0)
    shared = random.standard_normal((20000, 1))
    together = np.concatenate([shared, shared], axis=1)
    apart = random.standard_normal((20000, 2))
    # Covariance eigenvalues 2 and 0 against 1 and 1: (sqrt 2 - 1)^2 + 1.
    assert frechet_distance(together, apart) == pytest.approx((2**0.5 - 1) ** 2 + 1, rel=0.05)


def test_the_distance_to_itself_is_zero_in_any_order() -> None:
    ours, theirs = samples(500, 0.0, 1.0, 0), samples(400, 0.5, 1.0, 1)
    assert frechet_distance(ours, ours) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(ours, theirs) == pytest.approx(frechet_distance(theirs, ours))


def test_the_extrapolation_removes_the_bias_of_few_samples() -> None:
    few, many = samples(120, 0.0, 1.0, 0, dimensions=24), samples(20000, 0.0, 1.0, 1, dimensions=24)
    biased = frechet_distance(few, many)
    assert biased > 0.5
    assert abs(frechet_infinity(few, many)) < 0.4 * biased


def test_features_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="cannot compare"):
        frechet_distance(np.zeros((5, 2)), np.zeros((5, 3)))
