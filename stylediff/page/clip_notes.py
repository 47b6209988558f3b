"""Notes of the visitor's clip: marks, range of the instrument, MIDI."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from gradio.data_classes import FileData

from stylediff.instruments import get_instrument
from stylediff.mel import MelConfig, mel_edges
from stylediff.midi_files import write_clip_midi
from stylediff.notes import Note, count_lost, fit_to_range
from stylediff.page.api import path_of
from stylediff.page.errors import as_gradio_errors
from stylediff.page.temp_folders import new_folder
from stylediff.page.uploads import MAX_SECONDS, Clip, load_clip
from stylediff.transcription import transcribe

Marks = list[list[float]]


@lru_cache(maxsize=16)
def notes_of(path: str, start_s: float, length_s: float) -> tuple[Note, ...]:
    """Notes of a part of a file.

    Raises:
        AudioError: the file cannot be read.
    """
    clip = load_clip(path, start_s, length_s)
    return tuple(transcribe(clip.samples, clip.sample_rate))


def mark_notes(notes: Sequence[Note], seconds: float, config: MelConfig, semitones: float = 0) -> Marks:
    """Places of notes on a lane.

    Args:
        notes: within a clip of ``seconds``.
        semitones: by which they are moved.

    Returns:
        [left, right, height] of each note, as shares of the lane from its lower left corner.
    """
    centres = mel_edges(config)[1:-1]
    places = (np.arange(len(centres)) + 0.5) / len(centres)
    marks = []
    for note in notes:
        hz = 440 * 2 ** ((note.pitch + semitones - 69) / 12)
        height = float(np.interp(hz, centres, places))
        marks.append([round(value, 4) for value in (note.start / seconds, min(1.0, note.end / seconds), height)])
    return marks


def warn_of_range(notes: Sequence[Note], target: str, semitones: float, words: dict[str, str]) -> list[str]:
    """Say what an instrument cannot play, and what would help."""
    instrument = get_instrument(target)
    lost = count_lost(notes, instrument, semitones)
    if not lost:
        return []
    said = [words["out_of_range"].format(lost=lost, notes=len(notes), instrument=words[target])]
    better = fit_to_range(notes, instrument, semitones)
    if (left := count_lost(notes, instrument, better)) < lost:
        said.append(words["try_transposing"].format(semitones=f"{better:+g}", lost=left))
    return said


def write_notes(path: Path, clip: Clip, notes: Sequence[Note], instrument: str = "", on_grid: bool = False) -> None:
    """Write the notes of a clip to a MIDI file."""
    write_clip_midi(path, notes, clip.samples, clip.sample_rate, on_grid, instrument, clip.name)


def build_notes_endpoint() -> Callable[..., tuple[FileData, list[dict[str, float]]]]:
    """Build the function of ``/notes``."""

    def find_notes(
        source: FileData, start_s: float = 0.0, length_s: float = MAX_SECONDS, quantize: bool = False
    ) -> tuple[FileData, list[dict[str, float]]]:
        """Find the notes of a clip.

        Returns a MIDI file, and each note's start, end (seconds), pitch and velocity. ``quantize`` puts the notes of
        the file on the beats.
        """
        with as_gradio_errors():
            clip = load_clip(path_of(source, "no_clip"), start_s, length_s)
            notes = transcribe(clip.samples, clip.sample_rate)
            file = new_folder() / f"{clip.name}.mid"
            write_notes(file, clip, notes, on_grid=quantize)
            found = [
                {"start": note.start, "end": note.end, "pitch": note.pitch, "velocity": note.velocity} for note in notes
            ]
            return FileData(path=str(file), orig_name=file.name), found

    return find_notes
