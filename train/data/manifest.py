"""Data set on disk: clips with their provenance, and the manifest."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stylediff.notes import Note
from train.common.files import write_atomically

SPLITS = ("train", "validation", "test")
SPLIT_SHARES = {"validation": 0.04, "test": 0.10}
FRAME_MULTIPLE = 64  # clips have a multiple of these frames, which suits the strides of all models


class ManifestError(ValueError):
    """A data set that is missing, unfinished or has other settings."""


@dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """One audio file.

    Attributes:
        file: path relative to the data set's folder.
        instrument, voice: instrument and voice that play; the voice is a soundfont preset or a set of recordings.
        role: "target" for a clean render, "source" for a degraded one, which is never a target.
        gain: gain from the synthesizer's level to the clip's.
        notes_left_out: number of notes outside the instrument's range.
        details: degradation of a source, or origin of a recording.
    """

    file: str
    instrument: str
    voice: str
    role: str
    gain: float
    notes_left_out: int
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ClipGroup:
    """Clips of the same music, aligned to the sample.

    An unpaired recording is a group of one clip without notes.
    """

    index: int
    split: str
    paired: bool
    piece: str
    tracks: str
    start_s: float
    tempo: float
    transposition: int
    notes: tuple[Note, ...]
    clips: tuple[ClipRecord, ...]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ClipGroup":
        notes = tuple(Note(*note) for note in values["notes"])
        return cls(**{**values, "notes": notes, "clips": tuple(ClipRecord(**clip) for clip in values["clips"])})

    def to_dict(self) -> dict[str, Any]:
        notes = [[round(n.start, 4), round(n.end, 4), n.pitch, n.velocity] for n in self.notes]
        return {**asdict(self), "notes": notes}


def piece_split(piece: str) -> str:
    """Return the split of a piece by a hash of its name.

    It does not change when other pieces are added.
    """
    draw = int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) / 16**8
    if draw < SPLIT_SHARES["test"]:
        return "test"
    return "validation" if draw < SPLIT_SHARES["test"] + SPLIT_SHARES["validation"] else "train"


def group_folder(out: Path, index: int) -> Path:
    return out / "clips" / f"{index:06d}"


def save_group(out: Path, group: ClipGroup, scratch: Path) -> None:
    """Move a temporary folder of clips into the data set atomically."""
    (scratch / "group.json").write_text(json.dumps(group.to_dict()))
    final = group_folder(out, group.index)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(scratch, final)


def is_finished(out: Path, index: int) -> bool:
    return (group_folder(out, index) / "group.json").is_file()


def write_manifest(out: Path, indices: list[int]) -> list[ClipGroup]:
    """Write the finished groups to ``manifest.jsonl`` and return them.

    The file has one line for each group.
    """
    lines = [(group_folder(out, index) / "group.json").read_text() for index in indices]
    write_atomically(out / "manifest.jsonl", "\n".join(lines) + "\n")
    return [ClipGroup.from_dict(json.loads(line)) for line in lines]


def read_manifest(folder: Path) -> list[ClipGroup]:
    """Read all groups of a data set.

    Raises:
        ManifestError: there is no manifest, because the data set is missing or unfinished.
    """
    path = folder / "manifest.jsonl"
    if not path.is_file():
        raise ManifestError(f"no manifest.jsonl in {folder}: render the data set first, or finish it")
    return [ClipGroup.from_dict(json.loads(line)) for line in path.read_text().splitlines()]
