"""Embeddings, and Fréchet distances between sets of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from train.evaluation.embeddings import (
    ClassifierEmbedding,
    PixelEmbedding,
    frechet_distance,
    frechet_infinity,
    load_embedding,
    plot_picture,
)
from train.models.instrument_classifier import InstrumentClassifier


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


def tone(hz: float, seconds: float) -> torch.Tensor:
    time = torch.arange(round(seconds * 22050)) / 22050
    return 0.1 * torch.sin(2 * torch.pi * hz * time)


def test_the_classifier_gives_a_vector_per_second_at_any_level(tmp_path: Path) -> None:
    torch.manual_seed(0)
    InstrumentClassifier().save_pretrained(tmp_path)
    embedding = load_embedding("classifier", tmp_path)
    assert isinstance(embedding, ClassifierEmbedding)
    features = embedding(tone(440.0, 5.0))
    assert features.shape == (5, 192)
    assert embedding(tone(440.0, 0.6)).shape == (1, 192)
    np.testing.assert_allclose(embedding(0.3 * tone(440.0, 5.0)), features, atol=1e-3)


def test_pixels_show_where_the_tone_is() -> None:
    embedding = PixelEmbedding()
    low, high = embedding(tone(200.0, 3.0)), embedding(tone(5000.0, 3.0))
    assert low.shape == high.shape == (6, 32)
    assert low.mean(0).argmax() > high.mean(0).argmax()  # low pitches are at the bottom


def test_a_picture_is_between_black_and_white() -> None:
    picture = plot_picture(tone(440.0, 2.0))
    assert picture.shape[:2] == (3, 256)
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1


def test_an_unknown_embedding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown embedding 'ear'; choose one of classifier"):
        load_embedding("ear", tmp_path)
