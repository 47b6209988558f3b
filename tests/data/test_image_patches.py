"""Pictures: CIFAR-10's binary files, and folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.commands import command
from train.data.image_patches import RECORD, read_folder, read_picture
from train.data.patches import read_patches

main = command("image-patches")


def write_binary(path: Path, labels: list[int]) -> np.ndarray:
    records = np.random.default_rng(len(labels)).integers(0, 256, (len(labels), RECORD)).astype(np.uint8)
    records[:, 0] = labels
    records.tofile(path)
    return records[:, 1:].reshape(-1, 3, 32, 32)


def run(images: Path, out: Path) -> int:
    return main(["--images", str(images), "--out", str(out)])


def test_binary_files_are_read_in_order(tmp_path: Path) -> None:
    first = write_binary(tmp_path / "data_batch_1.bin", [3] * 30)
    write_binary(tmp_path / "data_batch_2.bin", [1] * 10)
    tested = write_binary(tmp_path / "test_batch.bin", [0, 2])
    (tmp_path / "batches.meta.txt").write_text("plane\ncar\nbird\ncat\n\n")
    assert run(tmp_path, tmp_path / "out") == 0
    read = read_patches(tmp_path / "out")
    assert [len(read.rows(split)) for split in ("train", "validation", "test")] == [38, 2, 2]
    np.testing.assert_array_equal(read.patches[:30], first)
    np.testing.assert_array_equal(read.patches[read.rows("test")], tested)
    assert [read.names["class"][label] for label in read.labels["class"][[0, 35, 40, 41]]] == [
        "cat",
        "car",
        "plane",
        "bird",
    ]


def test_an_incomplete_binary_version_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_binary(tmp_path / "data_batch_1.bin", [0])
    assert run(tmp_path, tmp_path / "out") == 2
    assert "no test_batch.bin" in capsys.readouterr().err
    (tmp_path / "test_batch.bin").write_bytes(b"abc")
    assert run(tmp_path, tmp_path / "out") == 2
    assert "has 3 bytes, not a multiple of 3073" in capsys.readouterr().err


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (32, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_folders_name_splits_and_classes(tmp_path: Path) -> None:
    for number in range(25):
        save(tmp_path / "train" / ("cat" if number % 2 else "dog") / f"{number:02}.png", (number, 0, 0))
    save(tmp_path / "test" / "cat" / "0.png", (0, 9, 0))
    read = read_folder(tmp_path)
    assert [len(read.rows(split)) for split in ("train", "validation", "test")] == [23, 2, 1]
    assert read.names == {"class": ["cat", "dog"]}
    assert read.labels["class"].tolist() == [0] * 12 + [1] * 13 + [0]
    assert read.patches[25, 1].max() == 9


def test_a_flat_folder_gets_all_splits(tmp_path: Path) -> None:
    for number in range(40):
        save(tmp_path / f"{number:02}.png", (number, 0, 0))
    read = read_folder(tmp_path)
    assert [len(read.rows(split)) for split in ("train", "validation", "test")] == [34, 2, 4]
    assert set(read.labels["class"]) == {-1}


def test_a_large_picture_is_cropped_to_its_centre(tmp_path: Path) -> None:
    picture = np.zeros((64, 192, 3), np.uint8)
    picture[:, 64:128] = (0, 0, 200)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    assert read_picture(tmp_path / "wide.png")[2, :, 2:-2].min() > 190


def test_a_folder_without_pictures_and_a_broken_one_are_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, tmp_path / "out") == 2
    assert "no pictures in" in capsys.readouterr().err
    (tmp_path / "broken.png").write_text("no picture")
    assert run(tmp_path, tmp_path / "out") == 2
    assert "broken.png cannot be read as a picture" in capsys.readouterr().err
