"""Instrument classifier: any length, independent of loudness, unchanged by saving."""

from pathlib import Path

import pytest
import torch

from stylediff.instruments import INSTRUMENT_NAMES
from train.models.instrument_classifier import InstrumentClassifier


@pytest.fixture(scope="module")
def classifier() -> InstrumentClassifier:
    torch.manual_seed(0)
    return InstrumentClassifier().eval()


def mels(frames: int) -> torch.Tensor:
    return -3 + torch.randn(2, 1, 256, frames, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize("frames", [16, 97, 448])
def test_clips_of_any_length_get_a_logit_for_each_instrument(classifier: InstrumentClassifier, frames: int) -> None:
    assert classifier(mels(frames)).shape == (2, len(INSTRUMENT_NAMES))
    assert classifier.features(mels(frames)).shape == (2, 192)


def test_the_head_reads_the_features(classifier: InstrumentClassifier) -> None:
    torch.testing.assert_close(classifier.head(classifier.features(mels(64))), classifier(mels(64)))


def test_loudness_does_not_matter(classifier: InstrumentClassifier) -> None:
    torch.testing.assert_close(classifier(mels(64) + 1.5), classifier(mels(64)), atol=1e-4, rtol=1e-4)


def test_pitch_does(classifier: InstrumentClassifier) -> None:
    assert (classifier(mels(64)) - classifier(mels(64).roll(64, dims=2))).abs().max() > 1e-3


def test_it_is_small(classifier: InstrumentClassifier) -> None:
    assert 3e5 < sum(parameter.numel() for parameter in classifier.parameters()) < 6e5


def test_saving_and_loading_changes_nothing(classifier: InstrumentClassifier, tmp_path: Path) -> None:
    classifier.save_pretrained(tmp_path)
    loaded = InstrumentClassifier.from_pretrained(tmp_path)
    assert loaded.mel == classifier.mel
    assert tuple(loaded.config.instruments) == INSTRUMENT_NAMES
    torch.testing.assert_close(loaded(mels(64)), classifier(mels(64)))
