"""Trainer of the classifier, on a tiny cache with one band per instrument."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import cached_clip
from train.data.mel_cache import CacheError, create_cache, finish_cache, read_cache
from train.models.instrument_classifier import InstrumentClassifier
from train.trainers.classifier import (
    augment_mels,
    classifier_loss,
    measure_accuracy,
    sample_batch,
    train,
    training_rows,
)
from train.trainers.settings import ClassifierSettings

main = command("classifier")

MEL = MelConfig()
ROLES = (("train", "target"), ("train", "source"), ("validation", "target"), ("test", "source"))
WIDTHS = (8, 8, 16, 16, 32)


def write_cache(folder: Path, names: tuple[str, ...] = INSTRUMENT_NAMES) -> Path:
    """Clips of 64 frames in each role: one band per instrument, 20 bands apart, over silence."""
    rows = [
        cached_clip(0, f"{name}/Tiny-0", 64, file=f"{name}_{split}_{role}.flac", split=split, role=role)
        for name in names
        for split, role in ROLES
    ]
    mels = create_cache(folder, rows, MEL)
    rng = np.random.default_rng(0)
    for number, row in enumerate(rows):
        band = 10 + 20 * INSTRUMENT_NAMES.index(row.instrument)
        mels[number] = MEL.log_floor
        mels[number, band : band + 12] = rng.normal(-2, 0.3, (12, 64))
    mels.flush()
    finish_cache(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("cache"))


def settings(cache: Path, out: Path, **changes: float) -> ClassifierSettings:
    values = {"steps": 2, "batch_size": 4, "shortest_frames": 24, "longest_frames": 40, "log_every": 1} | changes
    return ClassifierSettings(cache=cache, out=out, widths=WIDTHS, precision="no", **values)


def test_batches_hold_training_clips_under_their_own_label(cache: Path, tmp_path: Path) -> None:
    opened = read_cache(cache, MEL)
    rows = training_rows(opened)
    assert [len(numbers) for numbers in rows] == [2] * len(INSTRUMENT_NAMES)
    assert {opened.clips[number].split for numbers in rows for number in numbers} == {"train"}
    crops, labels = sample_batch(opened, rows, settings(cache, tmp_path), torch.Generator().manual_seed(0))
    assert crops.shape[:3] == (4, 1, 256)
    assert 24 <= crops.shape[3] <= 40
    loudest = crops.mean(dim=3).argmax(dim=2)[:, 0]
    assert ((loudest - 10) // 20).tolist() == labels.tolist()


def test_augmented_mels_keep_shape_floor_and_position(cache: Path) -> None:
    mel = torch.from_numpy(read_cache(cache, MEL).mels[:8].astype(np.float32))[:, None]
    out = augment_mels(mel, MEL.log_floor, torch.Generator().manual_seed(0))
    assert out.shape == mel.shape
    assert out.min() >= MEL.log_floor
    assert (out - mel).abs().mean() > 0.1
    bands = 10 + 20 * torch.arange(8).div(len(ROLES), rounding_mode="floor")
    loudest = out.mean(dim=3).argmax(dim=2)[:, 0]
    assert ((loudest >= bands) & (loudest < bands + 12)).all()
    torch.testing.assert_close(augment_mels(mel, MEL.log_floor, torch.Generator().manual_seed(0)), out)


def test_the_loss_of_uniform_logits_is_the_log_of_the_number_of_classes() -> None:
    def indifferent(mel: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(mel), 11)

    loss, parts = classifier_loss(indifferent, torch.zeros(3, 1, 256, 8), torch.tensor([0, 5, 0]), 0.0)
    assert float(loss) == pytest.approx(np.log(11))
    assert float(parts["accuracy"]) == pytest.approx(2 / 3)


@pytest.mark.slow
def test_two_steps_leave_a_classifier_and_its_accuracy(cache: Path, tmp_path: Path) -> None:
    trained = train(settings(cache, tmp_path))
    loaded = InstrumentClassifier.from_pretrained(tmp_path / "classifier")
    mel = torch.full((1, 1, 256, 32), -3.0)
    torch.testing.assert_close(loaded(mel), trained(mel))
    accuracy = json.loads((tmp_path / "accuracy.json").read_text())
    assert set(accuracy) == {"validation", "test soundfont"}
    assert set(accuracy["validation"]) == {*INSTRUMENT_NAMES, "mean"}


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(cache: Path, tmp_path: Path) -> None:
    whole = train(settings(cache, tmp_path / "whole")).state_dict()
    train(settings(cache, tmp_path / "parts", minutes=1e-9))
    resumed = train(settings(cache, tmp_path / "parts")).state_dict()
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


@pytest.mark.slow
def test_it_learns_to_distinguish_bands(cache: Path, tmp_path: Path) -> None:
    model = train(settings(cache, tmp_path, steps=60, batch_size=16, warmup_steps=5, log_every=60))
    assert measure_accuracy(model, read_cache(cache, MEL), "validation", "target")["mean"] > 0.8


def test_a_missing_instrument_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_cache(tmp_path / "cache", INSTRUMENT_NAMES[:3])
    with pytest.raises(CacheError, match="violin"):
        training_rows(read_cache(folder, MEL))
    assert main(["--cache", str(folder), "--out", str(tmp_path / "run")]) == 2
    assert "violin" in capsys.readouterr().err
