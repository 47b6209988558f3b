"""The data set on disk: clips of each excerpt with their provenance, and the manifest that lists them all."""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from train.scores import Note

SPLITS = ("train", "validation", "test")
SHARES = {"validation": 0.04, "test": 0.10}
FRAME_MULTIPLE = 64  # frames of a clip: divides by the strides of every model tried


class ManifestError(ValueError):
    """A data set that is missing, unfinished or made with other settings."""


@dataclass(frozen=True)
class Clip:
    """One audio file.

    Attributes:
        file: path below the data set's folder.
        instrument, voice: what plays; the voice is the soundfont preset, or the recording set.
        role: "target" for a clean render, "source" for a degraded one that is never a target.
        gain: factor from the synthesizer's level to the clip's.
        notes_left_out: notes of the excerpt outside the instrument's range.
        details: degradation of a source, or origin of a recording.
    """

    file: str
    instrument: str
    voice: str
    role: str
    gain: float
    notes_left_out: int
    details: dict[str, Any]


@dataclass(frozen=True)
class ClipGroup:
    """Clips of the same music, aligned to the sample; a recording is a group of one clip without notes."""

    index: int
    split: str
    paired: bool
    piece: str
    tracks: str
    start_s: float
    tempo: float
    transposition: int
    notes: tuple[Note, ...]
    clips: tuple[Clip, ...]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ClipGroup":
        notes = tuple(Note(*note) for note in values["notes"])
        return cls(**{**values, "notes": notes, "clips": tuple(Clip(**clip) for clip in values["clips"])})

    def to_dict(self) -> dict[str, Any]:
        notes = [[round(n.start, 4), round(n.end, 4), n.pitch, n.velocity] for n in self.notes]
        return {**asdict(self), "notes": notes}


def piece_split(piece: str) -> str:
    """Split of a piece, by a hash of its name: it never changes when pieces are added."""
    draw = int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) / 16**8
    if draw < SHARES["test"]:
        return "test"
    return "validation" if draw < SHARES["test"] + SHARES["validation"] else "train"


def group_folder(out: Path, index: int) -> Path:
    return out / "clips" / f"{index:06d}"


def save_group(out: Path, group: ClipGroup, scratch: Path) -> None:
    """Moves a scratch folder that holds the group's clips into the data set, whole or not at all."""
    (scratch / "group.json").write_text(json.dumps(group.to_dict()))
    final = group_folder(out, group.index)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(scratch, final)


def is_finished(out: Path, index: int) -> bool:
    return (group_folder(out, index) / "group.json").is_file()


def write_manifest(out: Path, indices: list[int]) -> list[ClipGroup]:
    """Gathers the finished groups into ``manifest.jsonl``, one line a group, and returns them."""
    lines = [(group_folder(out, index) / "group.json").read_text() for index in indices]
    write_atomically(out / "manifest.jsonl", "\n".join(lines) + "\n")
    return [ClipGroup.from_dict(json.loads(line)) for line in lines]


def read_manifest(folder: Path) -> list[ClipGroup]:
    """All groups of a data set.

    Raises:
        ManifestError: there is no manifest: the data set is missing or its rendering did not finish.
    """
    path = folder / "manifest.jsonl"
    if not path.is_file():
        raise ManifestError(f"no manifest.jsonl in {folder}: render the data set first, or let it finish")
    return [ClipGroup.from_dict(json.loads(line)) for line in path.read_text().splitlines()]


def write_atomically(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(text)
    os.replace(scratch, path)


def describe_argument(value: Any) -> str:
    """An argument of a command for ``claim_folder``; a folder of weights with a digest of them and their settings."""
    weights = sorted(value.rglob("*.safetensors")) if isinstance(value, Path) and value.is_dir() else []
    if not weights:
        return str(value)
    digest = hashlib.sha256()
    for path in sorted([*weights, *value.rglob("*.json")]):
        digest.update(path.relative_to(value).as_posix().encode() + path.read_bytes())
    return f"{value} ({digest.hexdigest()[:12]})"


def settled_arguments(args: argparse.Namespace, names: Iterable[str]) -> dict[str, str]:
    """What ``claim_folder`` records of a command's arguments."""
    return {name: describe_argument(getattr(args, name)) for name in names}


def claim_folder(out: Path, settings: dict[str, Any]) -> None:
    """Makes the folder and records its settings, or checks that they are the same as when it was begun.

    Raises:
        ManifestError: begun with other settings; the message names the first that differs.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, told = out / "settings.json", json.dumps(settings, indent=1, default=str)
    if not path.is_file():
        write_atomically(path, told)
        return
    begun = json.loads(path.read_text())
    for name, value in json.loads(told).items():
        if begun.get(name) != value:
            raise ManifestError(f"{out} was begun with {name}={begun.get(name)!r}, not {value!r}: use another folder")
