"""Tiny sets of patches: pictures of three colours, and tones of a data set."""

import json
from pathlib import Path

import numpy as np

from tests.helpers.commands import command
from tests.helpers.tiny_dataset import write_group
from train.data.manifest import SPLITS
from train.data.patches import PatchSet, write_patches

COLOURS = ("red", "green", "blue")


def write_pictures(folder: Path, count: int = 120) -> Path:
    """Noisy pictures of one colour each; the class is the colour."""
    rng = np.random.default_rng(0)
    classes = np.arange(count) % 3
    pictures = rng.integers(0, 60, (count, 3, 32, 32)).astype(np.uint8)
    pictures[np.arange(count), classes] += 150
    pictures[:, :, :, 16:] //= 2  # a vertical edge
    splits = np.repeat(range(3), [count // 2, count // 4, count // 4]).astype(np.uint8)
    patches = PatchSet("image", pictures, splits, {"class": classes.astype(np.int16)}, {"class": [*COLOURS]})
    write_patches(folder, patches, {})
    return folder


def write_sounds(folder: Path) -> tuple[Path, Path]:
    """A data set of tones with all splits and its mel cache."""
    data = folder / "data"
    (data / "clips").mkdir(parents=True)
    groups = [write_group(data, index, split, ("target", "source")) for index, split in enumerate(SPLITS)]
    (data / "manifest.jsonl").write_text("".join(json.dumps(group.to_dict()) + "\n" for group in groups))
    assert command("cache-mels")(["--data", str(data), "--out", str(folder / "mels"), "--workers", "1"]) == 0
    return data, folder / "mels"
