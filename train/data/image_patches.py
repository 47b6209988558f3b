"""Patches from CIFAR-10's binary files or from folders of pictures.

    python -m train image-patches --images FOLDER --out DIR

CIFAR-10 is at https://www.cs.toronto.edu/~kriz/cifar.html (binary version); it is not part of this project. A folder of
pictures may have the folders ``train`` and ``test``, and a folder for each class inside. Larger pictures are cropped to
their central square and reduced.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from stylediff.code_model import PATCH
from train.common.cli import run_command
from train.data.manifest import SPLITS
from train.data.patches import NO_LABEL, PatchError, PatchSet, write_patches

RECORD = 1 + 3 * PATCH * PATCH  # bytes of a picture in CIFAR-10's binary files: label, red, green, blue
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
HELD_OUT = 20  # one training picture in so many is for validation
TESTED = 10  # one picture in so many is for testing, where there is no folder of test pictures


def read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (pictures, 3, 32, 32) and labels of a binary file.

    Raises:
        PatchError: the file has another format.
    """
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % RECORD:
        raise PatchError(f"{path} has {len(content)} bytes, not a multiple of {RECORD}: it is no CIFAR-10 binary file")
    records = content.reshape(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, PATCH, PATCH), records[:, 0].astype(np.int16)


def split_training(count: int) -> np.ndarray:
    """Splits of training pictures: every twentieth is for validation."""
    splits = np.full(count, SPLITS.index("train"), np.uint8)
    splits[::HELD_OUT] = SPLITS.index("validation")
    return splits


def read_cifar(folder: Path) -> PatchSet:
    """Read the binary version of CIFAR-10.

    Raises:
        PatchError: a file is missing or has another format.
    """
    if not (folder / "test_batch.bin").is_file():
        raise PatchError(f"no test_batch.bin in {folder}: extract the whole archive of CIFAR-10's binary version")
    parts = [read_binary(path) for path in sorted(folder.glob("data_batch_*.bin"))]
    tested, tested_labels = read_binary(folder / "test_batch.bin")
    splits = [split_training(sum(len(pictures) for pictures, _ in parts)), np.full(len(tested), SPLITS.index("test"))]
    patches = np.concatenate([*(pictures for pictures, _ in parts), tested])
    labels = np.concatenate([*(numbers for _, numbers in parts), tested_labels])
    meta = folder / "batches.meta.txt"
    names = meta.read_text().split() if meta.is_file() else [str(number) for number in range(int(labels.max()) + 1)]
    return PatchSet("image", patches, np.concatenate(splits).astype(np.uint8), {"class": labels}, {"class": names})


def read_picture(path: Path) -> np.ndarray:
    """A picture as (3, 32, 32) uint8.

    Raises:
        PatchError: the file is no picture.
    """
    try:
        with Image.open(path) as picture:
            fitted = ImageOps.fit(picture.convert("RGB"), (PATCH, PATCH), Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError) as error:
        raise PatchError(f"{path} cannot be read as a picture: {error}") from error
    return np.asarray(fitted).transpose(2, 0, 1)


def list_pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def read_folder(folder: Path) -> PatchSet:
    """Read a folder of pictures; subfolders name classes.

    Raises:
        PatchError: there is no picture, or one cannot be read.
    """
    trained, tested = folder / "train", folder / "test"
    if trained.is_dir() and tested.is_dir():
        paths, tests = list_pictures(trained), list_pictures(tested)
        classes = [path.relative_to(trained).parts[:-1] for path in paths]
        classes += [path.relative_to(tested).parts[:-1] for path in tests]
        splits = np.concatenate([split_training(len(paths)), np.full(len(tests), SPLITS.index("test"))])
        paths = paths + tests
    else:
        paths = list_pictures(folder)
        classes = [path.relative_to(folder).parts[:-1] for path in paths]
        splits = split_training(len(paths))
        splits[TESTED // 2 :: TESTED] = SPLITS.index("test")
    if not paths:
        raise PatchError(f"no pictures in {folder}; allowed: {', '.join(sorted(SUFFIXES))}")
    names = sorted({parts[0] for parts in classes if parts})
    numbers = [names.index(parts[0]) if parts else NO_LABEL for parts in classes]
    patches = np.stack([read_picture(path) for path in tqdm(paths, unit="picture")])
    return PatchSet("image", patches, splits.astype(np.uint8), {"class": np.array(numbers, np.int16)}, {"class": names})


def make_patches(args: argparse.Namespace) -> None:
    """Read pictures and write them as patches."""
    is_cifar = any(args.images.glob("data_batch_*.bin"))
    patches = read_cifar(args.images) if is_cifar else read_folder(args.images)
    write_patches(args.out, patches, {"images": str(args.images)})


def main(args: argparse.Namespace) -> int:
    return run_command(partial(make_patches, args), PatchError, OSError)
