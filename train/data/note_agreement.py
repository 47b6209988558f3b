"""Agreement of transcribed notes with a score, by note and frame."""

import mir_eval
import numpy as np

from train.data.notes import Note
from train.data.transcription import FRAMES_PER_SECOND, LOWEST_PITCH, PITCHES


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
