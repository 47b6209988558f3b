"""Saved features by system, and distances between them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from train.evaluation.embeddings import compare_features, embed_folder


def write_noise(path: Path, seed: int, level: float = 0.1) -> None:
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, level * np.random.default_rng(seed).standard_normal(44100), 22050, subtype="PCM_16")


def test_features_are_computed_once_per_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "row.npz"
    write_noise(tmp_path / "row" / "a.flac", 0)
    first = embed_folder(tmp_path / "row", kept, "pixels", tmp_path, workers=1)
    write_noise(tmp_path / "row" / "a.flac", 1)
    write_noise(tmp_path / "row" / "b.flac", 2)
    second = embed_folder(tmp_path / "row", kept, "pixels", tmp_path, workers=1)
    assert set(second) == {"a.flac", "b.flac"}
    np.testing.assert_array_equal(first["a.flac"], second["a.flac"])
    assert [path.name for path in kept.parent.iterdir()] == ["row.npz"]


def test_only_the_given_files_are_compared() -> None:
    random = np.random.default_rng(0)
    ours = {name: random.standard_normal((30, 2)) for name in ("a", "b")} | {"c": np.full((30, 2), 100.0)}
    theirs = {name: random.standard_normal((30, 2)) for name in ("a", "b", "c")}
    compared = compare_features(ours, theirs, ["a", "b"])
    assert compared["windows"] == 60
    assert 0 <= compared["distance"] < 0.5
    assert compare_features(ours, theirs, ["a", "c"])["distance"] > 100
    assert compare_features(ours, ours, ["a", "b"])["distance"] == pytest.approx(0.0, abs=1e-9)
