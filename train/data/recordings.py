"""Recordings of real instruments: instrument, piece and split.

The table ``recordings.csv`` beside this file lists all recordings used here, with piece and split. A piece is a
composition, or all takes of one session on freesound.org (for one flautist, one exercise), so that training has no
other take of a held-out piece. Pieces that are not in the table are split by a hash of their name.
"""

import csv
import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from stylediff.audio import SILENCE_RMS, AudioError, read_audio, to_mono
from stylediff.containers import KINDS, SUFFIXES
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.notes import Note

TABLE = Path(__file__).with_suffix(".csv")
TRAIN, HELD_OUT = "train", "held_out"
SPLITS = (TRAIN, HELD_OUT)
HELD_OUT_SHARE = 1 / 3
OTHER_NAMES = {"sax": "saxophone", "celli": "cello", "violoncello": "cello", "vibes": "vibraphone", "string": "strings"}

CLIP_S, SHORTEST_CLIP_S = 5.5, 3.0
BLOCK_S = 0.05
SOUNDING_SHARE = 0.7  # share of a clip's blocks that must sound
SOUNDING_DB = -40.0  # relative to the loudest block of the recording


class RecordingError(ValueError):
    """A folder of recordings that cannot be used; the message says why."""


@dataclass(frozen=True)
class Recording:
    """One audio file.

    Attributes:
        path: the file.
        instrument: instrument that plays, or None unless file or folder names exactly one.
        piece: piece that is played; all recordings of a piece are in one split.
        split: "train" or "held_out".
        good_sound: True if it can be an example of the instrument's sound; False for low bit rates.
    """

    path: Path
    instrument: str | None
    piece: str
    split: str
    good_sound: bool = True

    @property
    def name(self) -> str:
        """Name relative to the folder of recordings, ``violin/clip``."""
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def notes_path(self) -> Path | None:
        """Path of the table of notes, or None.

        The table ``clip.notes.csv`` is beside the file.
        """
        path = self.path.with_suffix(".notes.csv")
        return path if path.is_file() else None


@cache
def listed_recordings() -> dict[str, dict[str, str]]:
    """Read the table by recording, ``violin/clip``."""
    with TABLE.open(newline="") as file:
        return {row["recording"]: row for row in csv.DictReader(file)}


def split_of(piece: str) -> str:
    """Split of a piece; a third of the pieces is held out.

    It comes from the table, or for other pieces from a hash of their name.

    Returns:
        "train" or "held_out".
    """
    for row in listed_recordings().values():
        if row["piece"] == piece:
            return row["split"]
    draw = int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) / 16**8
    return HELD_OUT if draw < HELD_OUT_SHARE else TRAIN


def instrument_in(text: str) -> str | None:
    """Return the only instrument in a name, else None."""
    words = re.findall(r"[a-z]+", text.lower())
    names = {OTHER_NAMES.get(word, word) for word in [*words, *(word.removesuffix("s") for word in words)]}
    found = [name for name in INSTRUMENT_NAMES if name in names]
    return found[0] if len(found) == 1 else None


def instrument_of(path: Path, folder: Path) -> str | None:
    """Return the instrument in the names of the file and its folders.

    The innermost name with an instrument counts.
    """
    inner = path.relative_to(folder).parent.parts
    for name in [*reversed(inner), folder.name, path.stem]:
        if (instrument := instrument_in(name)) is not None:
            return instrument
    return None


def describe_recording(path: Path, folder: Path) -> Recording:
    """Determine instrument, piece and split of a file."""
    row = listed_recordings().get(f"{path.parent.name}/{path.stem}")
    if row is None:
        return Recording(path, instrument_of(path, folder), path.stem, split_of(path.stem))
    return Recording(path, path.parent.name, row["piece"], row["split"], row["good_sound"] == "yes")


def list_recordings(folder: Path, instrument: str | None = None) -> list[Recording]:
    """List all recordings below a folder, in sorted order.

    Args:
        instrument: instrument of all recordings, which overrides their names. All may then be trained on, except those
            that the table holds out.

    Raises:
        RecordingError: the folder is missing or has no audio file.
    """
    if not folder.is_dir():
        raise RecordingError(f"no such folder of recordings: {folder}")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise RecordingError(f"no recording ({KINDS}) in {folder}")
    recordings = [describe_recording(path, folder) for path in paths]
    if instrument is None:
        return recordings
    held_out = {name for name, row in listed_recordings().items() if row["split"] == HELD_OUT}
    return [
        replace(recording, instrument=instrument, split=HELD_OUT if recording.name in held_out else TRAIN)
        for recording in recordings
    ]


def load_recording(path: Path, sample_rate: int) -> torch.Tensor:
    """Load a recording as mono, (samples,) at ``sample_rate``.

    Raises:
        AudioError: the recording cannot be read.
    """
    samples, stored_rate = read_audio(path)
    return to_mono(torch.from_numpy(samples), stored_rate, sample_rate)


def read_notes(path: Path) -> tuple[Note, ...]:
    """Read a table of notes.

    Columns are ``start_s``, ``end_s``, ``pitch`` and optionally ``velocity``.

    Raises:
        RecordingError: a column is missing, or a cell is not a number.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return tuple(
            Note(float(row["start_s"]), float(row["end_s"]), int(row["pitch"]), int(row.get("velocity") or 80))
            for row in rows
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"{path.name} needs the columns start_s, end_s and pitch, all numbers") from error


def cut_clips(waveform: torch.Tensor, sample_rate: int) -> list[tuple[int, int]]:
    """Cut a recording into clips of 5.5 s that mostly sound.

    The last clip may be shorter.

    Args:
        waveform: (samples,).

    Returns:
        (start, samples) of each clip.
    """
    block = round(BLOCK_S * sample_rate)
    whole = len(waveform) // block
    level = waveform[: whole * block].reshape(whole, block).square().mean(1).sqrt()
    if whole == 0 or float(level.max()) < SILENCE_RMS:
        return []
    sounding = level > max(float(level.max()) * 10 ** (SOUNDING_DB / 20), SILENCE_RMS)
    first, last = (int(index) for index in torch.nonzero(sounding).flatten()[[0, -1]])
    length, shortest = round(CLIP_S / BLOCK_S), round(SHORTEST_CLIP_S / BLOCK_S)
    clips = []
    for start in range(first, last + 1, length):
        blocks = sounding[start : min(start + length, last + 1)]
        if len(blocks) >= shortest and float(blocks.float().mean()) >= SOUNDING_SHARE:
            clips.append((start * block, len(blocks) * block))
    return clips


def load_clips(recording: Recording, sample_rate: int) -> list[torch.Tensor]:
    """Load the clips of a recording, (samples,) each.

    An unreadable or too short recording has none.
    """
    try:
        waveform = load_recording(recording.path, sample_rate)
    except AudioError:
        return []
    return [waveform[start : start + samples] for start, samples in cut_clips(waveform, sample_rate)]
