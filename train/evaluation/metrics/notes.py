"""Metrics of notes and pitch.

Detected notes and pitches are compared with the score, the source or the original.
"""

import librosa
import mir_eval
import numpy as np
import torch

from stylediff.notes import Note
from stylediff.transcription import LOWEST_PITCH, PITCHES

MATCHED_SECONDS, TIMELY_SECONDS = 0.1, 0.03
HELD_SECONDS = 0.4
EDGE_SECONDS = 0.08  # margin of a note at its attack and at its end
LARGEST_CENTS = 100.0  # a tracker that is further off follows another sound


def pitch_jaccard(detected: np.ndarray, reference: np.ndarray) -> float:
    """Jaccard distance of the pitches in each frame, averaged over frames.

    Source: Cífka et al. 2021, arXiv 2102.05749.

    0 means the same pitches everywhere, 1 none in common. A frame that is silent in both counts as 0.

    Args:
        detected, reference: (frames, pitches) bool.
    """
    common, either = (detected & reference).sum(1), (detected | reference).sum(1)
    return float(np.where(either > 0, 1 - common / np.maximum(either, 1), 0.0).mean())


def pitch_class_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean distance of the strongest pitch classes, in semitones.

    Frames are aligned by dynamic time warping.

    It is the DPD of Mancusi et al. (2024, arXiv 2409.06096), but on a circle of pitch classes: B and C are 1 apart, not
    11.

    Args:
        ours, theirs: activations of the piano keys, (frames, 88).

    Returns:
        Semitones per step of the warping path.
    """
    classes = (LOWEST_PITCH + np.arange(PITCHES)) % 12
    strongest = []
    for activations in (ours, theirs):
        folded = np.stack([activations[:, classes == number].max(1) for number in range(12)], axis=1)
        strongest.append(folded.argmax(1))
    gaps = np.abs(strongest[0][:, None] - strongest[1][None])
    total, path = librosa.sequence.dtw(C=np.minimum(gaps, 12 - gaps).astype(float))
    return float(total[-1, -1] / len(path))


def onset_f1(waveform: torch.Tensor, notes: tuple[Note, ...], sample_rate: int) -> float:
    """F-measure of onsets within 50 ms of the score's.

    Onsets are found by librosa's spectral flux and matched by mir_eval.onset.

    Args:
        waveform: (samples,).
    """
    detected = librosa.onset.onset_detect(y=waveform.numpy(), sr=sample_rate, hop_length=256, units="time")
    score = np.unique([note.start for note in notes])
    return float(mir_eval.onset.f_measure(score, np.sort(detected), window=0.05)[0]) if len(score) else 0.0


def timely_share(notes: tuple[Note, ...], intervals: np.ndarray, pitches: np.ndarray) -> float | None:
    """Share of onsets within 30 ms of the score's, or None.

    Only notes detected within 0.1 s of the score's count.

    Args:
        notes: the score.
        intervals, pitches: the detected notes, (notes, 2) seconds and (notes,) MIDI numbers.
    """
    if not notes or len(pitches) == 0:
        return None
    score = np.array([[note.start, note.end] for note in notes])
    score_hz = mir_eval.util.midi_to_hz(np.array([note.pitch for note in notes], dtype=float))
    detected_hz = mir_eval.util.midi_to_hz(pitches)
    pairs = mir_eval.transcription.match_notes(
        score, score_hz, intervals, detected_hz, onset_tolerance=MATCHED_SECONDS, offset_ratio=None
    )
    late = [abs(score[ours, 0] - intervals[theirs, 0]) for ours, theirs in pairs]
    return float(np.mean(np.array(late) <= TIMELY_SECONDS)) if late else None


def f0_accuracy(notes: tuple[Note, ...], times: np.ndarray, f0_hz: np.ndarray) -> float:
    """Share of sounding frames whose pitch is within 50 cents.

    Raw pitch accuracy, Poliner et al. 2007.

    Args:
        notes: the score, monophonic.
        times, f0_hz: seconds and frequencies from a pitch tracker, (frames,) each.
    """
    score_hz = np.zeros(len(times))
    for note in sorted(notes, key=lambda note: note.start):
        score_hz[(times >= note.start) & (times < note.end)] = mir_eval.util.midi_to_hz(note.pitch)
    cents = mir_eval.melody.hz2cents(score_hz)
    voiced = np.ones(len(times), bool)
    return float(mir_eval.melody.raw_pitch_accuracy(score_hz > 0, cents, voiced, mir_eval.melody.hz2cents(f0_hz)))


def held_frames(notes: tuple[Note, ...], times: np.ndarray) -> np.ndarray:
    """Return the number of the held note in each frame, or -1.

    The result has the shape (frames,).

    Notes shorter than 0.4 s and the margins of notes give -1.

    Args:
        notes: monophonic notes.
        times: seconds of the frames, (frames,).
    """
    owner = np.full(len(times), -1)
    for number, note in enumerate(notes):
        if note.end - note.start >= HELD_SECONDS:
            owner[(times >= note.start + EDGE_SECONDS) & (times < note.end - EDGE_SECONDS)] = number
    return owner


def pitch_wobble(notes: tuple[Note, ...], times: np.ndarray, f0_hz: np.ndarray) -> float | None:
    """Root mean square pitch change between frames of held notes.

    It is in cents; None without such notes.

    Args:
        times, f0_hz: seconds and frequencies from a pitch tracker, (frames,) each.
    """
    owner = held_frames(notes, times)
    changes = 1200 * np.diff(np.log2(np.maximum(f0_hz, 1.0)))
    within = (owner[1:] >= 0) & (owner[1:] == owner[:-1]) & (np.abs(changes) < LARGEST_CENTS)
    return float(np.sqrt(np.mean(np.square(changes[within])))) if within.any() else None


def pitch_deviation(
    notes: tuple[Note, ...], times: np.ndarray, f0_hz: np.ndarray, original_hz: np.ndarray
) -> float | None:
    """Mean distance of pitch from the original's on held notes.

    It is in cents; None without such notes.
    """
    cents = np.abs(1200 * np.log2(np.maximum(f0_hz, 1.0) / np.maximum(original_hz, 1.0)))
    within = (held_frames(notes, times) >= 0) & (cents < LARGEST_CENTS)
    return float(cents[within].mean()) if within.any() else None
