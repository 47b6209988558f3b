"""Sets of patches: storage, splits and values."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.patches import write_pictures
from train.data.patches import PatchError, PatchSet, read_patches, write_patches


def test_written_patches_are_read_back(tmp_path: Path) -> None:
    read = read_patches(write_pictures(tmp_path))
    assert (read.kind, read.channels, read.values, len(read)) == ("image", 3, 3072, 120)
    assert [len(read.rows(split)) for split in ("train", "validation", "test")] == [60, 30, 30]
    chosen = read.rows("test", 12)
    assert len(set(chosen)) == 12
    assert set(chosen) <= set(read.rows("test"))
    assert chosen.tolist() == read.rows("test", 12).tolist() == sorted(chosen)
    assert read.names == {"class": ["red", "green", "blue"]}
    red = read.tensor(np.flatnonzero(read.labels["class"] == 0))
    assert red.mean(dim=(0, 2, 3)).argmax() == 0
    assert float(red.max()) <= 1


def test_batches_hold_all_rows_in_order(tmp_path: Path) -> None:
    read = read_patches(write_pictures(tmp_path))
    rows = read.rows("test")
    batches = list(read.batches(rows, 8))
    assert [len(batch) for batch in batches] == [8, 8, 8, 6]
    assert batches[1].equal(read.tensor(rows[8:16]))


def test_moments_are_those_of_the_training_patches() -> None:
    values = np.zeros((4, 1, 32, 32), np.float16)
    values[1] = 2
    values[3] = 100
    patches = PatchSet("mel", values, np.array([0, 0, 1, 2]))
    mean, deviation = patches.moments()
    assert mean == pytest.approx(1)
    assert deviation == pytest.approx(1, rel=1e-3)


def test_missing_patches_and_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match=r"no patches in .*image-patches or mel-patches"):
        read_patches(tmp_path)
    write_patches(tmp_path, PatchSet("mel", np.zeros((2, 1, 32, 32), np.float16), np.zeros(2, np.uint8)), {})
    with pytest.raises(PatchError, match="none of the test split"):
        read_patches(tmp_path).rows("test")
