"""Notes: what sounds when, and which of them an instrument can play."""

from collections.abc import Sequence
from dataclasses import dataclass

from stylediff.instruments import Instrument

OCTAVE = 12
MOST_SEMITONES = 24  # that notes can be moved
NEGLIGIBLE_SHARE = 0.05  # of the notes


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes:
        start, end: seconds from the start of the clip.
        pitch, velocity: MIDI numbers.
        bends: semitones away from the pitch, at equal steps from start to end; empty for a steady note.

    Examples:
        >>> from stylediff.notes import Note, is_in_range
        >>> from stylediff.instruments import get_instrument
        >>> is_in_range(Note(0.0, 0.5, 60, 80), get_instrument("flute"))
        True
    """

    start: float
    end: float
    pitch: int
    velocity: int
    bends: tuple[float, ...] = ()


def is_in_range(note: Note, instrument: Instrument, semitones: float = 0) -> bool:
    """True if an instrument can play a note, moved by some semitones."""
    return instrument.lowest <= round(note.pitch + semitones) <= instrument.highest


def count_lost(notes: Sequence[Note], instrument: Instrument, semitones: float = 0) -> int:
    """Number of notes that an instrument cannot play."""
    return sum(not is_in_range(note, instrument, semitones) for note in notes)


def fit_to_range(notes: Sequence[Note], instrument: Instrument, semitones: float = 0) -> float:
    """Semitones that bring most notes into an instrument's range.

    Only whole octaves are added to ``semitones``. A smaller move is better than the last few notes.
    """
    moves = sorted(range(-2 * MOST_SEMITONES, 2 * MOST_SEMITONES + 1, OCTAVE), key=abs)
    shifts = [semitones + move for move in moves if abs(semitones + move) <= MOST_SEMITONES]
    lost = {shift: count_lost(notes, instrument, shift) for shift in shifts}
    tolerated = min(lost.values()) + NEGLIGIBLE_SHARE * len(notes)
    return next(shift for shift in shifts if lost[shift] <= tolerated)


def describe_fit(notes: Sequence[Note], instrument: Instrument, semitones: float = 0) -> str:
    """Say how many notes an instrument cannot play.

    The sentence has a transposition that would help. It is empty if nothing is lost.
    """
    lost = count_lost(notes, instrument, semitones)
    if not lost:
        return ""
    better = fit_to_range(notes, instrument, semitones)
    left = count_lost(notes, instrument, better)
    sentence = f"{lost} of {len(notes)} notes are out of the {instrument.name}'s range and may be lost"
    return f"{sentence}; --transpose {better:g} loses {left}" if left < lost else sentence
