"""Notes of a score, and the range and polyphony of instruments."""

import itertools
from dataclasses import dataclass

from stylediff.instruments import INSTRUMENTS, Instrument

PLAYABLE_SHARE = 0.85


@dataclass(frozen=True)
class Note:
    """One note of a score.

    Onset and end are in seconds from the start of the clip; pitch and velocity are MIDI numbers.

    Examples:
        >>> from train.data.notes import Note, mean_polyphony
        >>> mean_polyphony([Note(0.0, 1.0, 60, 80), Note(0.0, 0.5, 64, 80)])
        1.5
    """

    start: float
    end: float
    pitch: int
    velocity: int


def mean_polyphony(notes: tuple[Note, ...] | list[Note]) -> float:
    """Mean number of simultaneous notes, while any note sounds."""
    if not notes:
        return 0.0
    edges = sorted([(note.start, 1) for note in notes] + [(note.end, -1) for note in notes])
    sounding, total, covered, last = 0, 0.0, 0.0, edges[0][0]
    for time, change in edges:
        total += sounding * (time - last)
        covered += (time - last) * (sounding > 0)
        sounding, last = sounding + change, time
    return total / max(covered, 1e-9)


def is_in_range(note: Note, instrument: Instrument) -> bool:
    """True if an instrument can play a note."""
    return instrument.lowest <= note.pitch <= instrument.highest


def notes_in_range(notes: tuple[Note, ...], instrument: Instrument) -> tuple[Note, ...]:
    """Notes that an instrument can play."""
    return tuple(note for note in notes if is_in_range(note, instrument))


def playable_by(notes: tuple[Note, ...]) -> list[Instrument]:
    """Instruments that can play the given notes.

    Nearly all notes must be in range, and not too many may sound at once.
    """
    polyphony = mean_polyphony(notes)
    return [
        instrument
        for instrument in INSTRUMENTS
        if polyphony <= instrument.polyphony and len(notes_in_range(notes, instrument)) >= PLAYABLE_SHARE * len(notes)
    ]


def clip_notes(notes: tuple[Note, ...], seconds: float) -> tuple[Note, ...]:
    """Notes that sound within a clip, cut to its length.

    Notes that start before the clip start at 0.
    """
    return tuple(
        Note(max(0.0, note.start), min(note.end, seconds), note.pitch, note.velocity)
        for note in notes
        if note.end > 0 and note.start < seconds
    )


def is_one_voice(notes: tuple[Note, ...]) -> bool:
    """Return True for a monophonic score; slurred overlaps are allowed."""
    ordered = sorted(notes, key=lambda note: note.start)
    return bool(ordered) and all(after.start >= before.end - 0.02 for before, after in itertools.pairwise(ordered))
