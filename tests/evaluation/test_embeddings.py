"""Embeddings that need no network connection, and refusal of unknown ones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from train.evaluation.embeddings import ClassifierEmbedding, PixelEmbedding, load_embedding, plot_picture
from train.models.instrument_classifier import InstrumentClassifier


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
