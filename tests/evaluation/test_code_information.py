"""Meanings of codes: labels of drawn patches, and information that is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from tests.helpers.patches import write_pictures
from train.data.patches import PatchSet, read_patches
from train.evaluation.code_information import (
    COLOURS,
    EDGES,
    Label,
    count_pairs,
    histograms,
    information_of_codes,
    label_positions,
    measure_information,
    mutual_information,
    name_colours,
    name_edges,
    probe_accuracy,
    swap_table,
)

RNG = np.random.default_rng(0)


def plain(red: float, green: float, blue: float) -> torch.Tensor:
    return torch.tensor([red, green, blue])[None, :, None, None].expand(1, 3, 32, 32)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((0.9, 0.1, 0.1), "red"),
        ((0.1, 0.8, 0.1), "green"),
        ((0.1, 0.1, 0.9), "blue"),
        ((0.05, 0.05, 0.05), "black"),
        ((0.5, 0.5, 0.5), "grey"),
        ((0.95, 0.95, 0.95), "white"),
    ],
)
def test_colours_have_their_names(colour: tuple[float, float, float], name: str) -> None:
    assert {COLOURS[value] for value in name_colours(plain(*colour)).ravel()} == {name}


def test_edges_have_the_direction_of_stripes() -> None:
    row, column = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    waves = {"horizontal": row, "vertical": column, "rising": row + column, "falling": row - column}
    for name, phase in waves.items():
        stripes = (0.5 + 0.5 * torch.sin(phase)).expand(1, 3, 32, 32)
        inner = name_edges(stripes)[0, 1:-1, 1:-1]
        assert {EDGES[value] for value in inner.ravel()} == {name}
    assert not name_edges(plain(0.3, 0.3, 0.3)).any()


def test_labels_of_pictures_cover_all_positions(tmp_path: Path) -> None:
    patches = read_patches(write_pictures(tmp_path))
    labels = label_positions(patches, patches.rows("test"))
    assert set(labels) == {"class", "colour", "edge"}
    for label in labels.values():
        assert label.values.shape == (30, 8, 8)
        assert 0 <= label.values.min() <= label.values.max() < len(label.names)
    red = labels["class"].values[:, 0, 0] == 0
    assert (labels["colour"].values[red] == COLOURS.index("red")).mean() > 0.9


def test_labels_of_sounds_follow_frames_and_levels() -> None:
    values = np.full((2, 1, 32, 32), -7, np.float16)
    values[1, :, :, 16:] = -3.5
    onset = np.zeros((2, 32), np.int16)
    onset[1, 17] = 1
    numbers = {"instrument": np.array([0, 3]), "pitch": np.array([-1, 61]), "band": np.array([2, 5]), "onset": onset}
    patches = PatchSet("mel", values, np.zeros(2, np.uint8), numbers, {"instrument": ["a", "b", "c", "d"]})
    labels = label_positions(patches, np.arange(2))
    assert set(labels["pitch class"].values[0].ravel()) == {-1}
    assert labels["pitch class"].names[labels["pitch class"].values[1, 0, 0]] == "C#"
    assert np.flatnonzero(labels["onset"].values[1, 0]).tolist() == [4]
    assert labels["loudness"].values[1, 0].tolist() == [0, 0, 0, 0, 3, 3, 3, 3]


def test_information_agrees_with_scikit_learn() -> None:
    codes, values = RNG.integers(0, 8, (50, 8, 8)), RNG.integers(0, 3, (50, 8, 8))
    values = np.where(codes < 3, codes, values)
    counts = count_pairs(codes, Label(values, ["a", "b", "c"]), 8)
    assert mutual_information(counts) == pytest.approx(mutual_info_score(codes.ravel(), values.ravel()) / np.log(2))
    for code, information in enumerate(information_of_codes(counts)):
        expected = mutual_info_score(codes.ravel() == code, values.ravel()) / np.log(2)
        assert information == pytest.approx(expected, abs=1e-9)


def test_positions_without_a_label_do_not_count() -> None:
    codes, values = np.zeros((1, 8, 8), int), np.full((1, 8, 8), -1)
    values[0, 0, :2] = (0, 1)
    assert count_pairs(codes, Label(values, ["a", "b"]), 2).tolist() == [[1, 1], [0, 0]]


def test_only_real_information_exceeds_permuted_labels() -> None:
    values = np.broadcast_to(RNG.integers(0, 4, (200, 1, 1)), (200, 8, 8))
    label = Label(values, list("abcd"))
    telling = np.where(RNG.random(values.shape) < 0.8, values, RNG.integers(0, 16, values.shape))
    information = measure_information(telling, label, 16, permutations=10)
    assert information.entropy == pytest.approx(2, abs=0.05)
    assert information.total > 0.8
    assert information.permuted < 0.05
    assert (information.codes > information.limit)[:4].all()
    silent = measure_information(RNG.integers(0, 16, values.shape), label, 16, permutations=10)
    assert (silent.codes > silent.limit).sum() <= 1


def test_histograms_are_unit_vectors_and_a_probe_reads_them() -> None:
    labels = RNG.integers(0, 3, 180)
    codes = np.where(RNG.random((180, 8, 8)) < 0.3, labels[:, None, None], RNG.integers(0, 8, (180, 8, 8)))
    features = histograms(codes, 8)
    np.testing.assert_allclose((features**2).sum(1), 1)
    parts = [slice(0, 80), slice(80, 120), slice(120, 180)]
    assert probe_accuracy(*((features[part], labels[part]) for part in parts)) > 0.9
    shuffled = RNG.permutation(labels)
    assert probe_accuracy(*((features[part], shuffled[part]) for part in parts)) < 0.6


def test_swaps_lead_to_the_nearest_code_of_the_target() -> None:
    vectors = np.array([[0.0], [1.0], [5.0], [0.2]])
    counts = np.array([[9, 0], [1, 5], [0, 5], [0, 0]])
    assert swap_table(vectors, counts, 0, 1).tolist() == [1, 1, 2, 3]
    assert swap_table(vectors, counts, 1, 0).tolist() == [0, 0, 0, 3]
