"""Notes of a score, and their agreement with notes of a recording."""

import itertools

import mir_eval
import numpy as np

from stylediff.instruments import INSTRUMENTS, Instrument
from stylediff.notes import Note, is_in_range
from stylediff.transcription import FRAMES_PER_SECOND, LOWEST_PITCH, PITCHES  # of piano rolls

PLAYABLE_SHARE = 0.85


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


def note_f1(notes: tuple[Note, ...], intervals: np.ndarray, pitches: np.ndarray, tolerance_s: float) -> float:
    """F-measure of notes by onset and pitch.

    It is that of MIREX note tracking (Raffel et al. 2014), computed by mir_eval.transcription.

    Args:
        notes: the score.
        intervals, pitches: the detected notes, (notes, 2) seconds and (notes,) MIDI numbers.
        tolerance_s: largest deviation of an onset; the pitch may be off by 50 cents, and ends do not count.
    """
    if not notes or len(pitches) == 0:
        return 0.0
    score_intervals = np.array([[note.start, note.end] for note in notes])
    score_hz = mir_eval.util.midi_to_hz(np.array([note.pitch for note in notes], dtype=float))
    _, _, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        score_intervals,
        score_hz,
        intervals,
        mir_eval.util.midi_to_hz(pitches),
        onset_tolerance=tolerance_s,
        pitch_tolerance=50.0,
        offset_ratio=None,
    )
    return float(f1)


def score_roll(notes: tuple[Note, ...], frames: int) -> np.ndarray:
    """Piano roll of a score on the transcriber's frames, (frames, 88) bool."""
    roll = np.zeros((frames, PITCHES), bool)
    for note in notes:
        if LOWEST_PITCH <= note.pitch < LOWEST_PITCH + PITCHES:
            first, last = (max(0, round(time * FRAMES_PER_SECOND)) for time in (note.start, note.end))
            roll[first:last, note.pitch - LOWEST_PITCH] = True
    return roll


def frame_prf(detected: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    """Precision, recall and F-measure of pitches, frame by frame.

    Source: Bay, Ehmann and Downie 2009.

    A value whose denominator is 0 is 0.

    Args:
        detected, score: (frames, pitches) bool.
    """
    hits = int((detected & score).sum())
    precision = hits / max(1, int(detected.sum()))
    recall = hits / max(1, int(score.sum()))
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)
