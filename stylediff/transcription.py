"""Transcription of a clip to notes, by the network of basic-pitch.

Source: Bittner et al., "A Lightweight Instrument-Agnostic Model for Polyphonic Note Transcription and Multipitch
Estimation", 2022, arXiv 2203.09893. The weights are Spotify's, under the Apache licence 2.0.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from stylediff.audio import to_mono
from stylediff.instruments import get_instrument
from stylediff.notes import Note, fit_to_range

WEIGHTS = Path(__file__).parent / "pretrained" / "note_transcriber" / "nmp.onnx"
SAMPLE_RATE, HOP = 22_050, 256
FRAMES_PER_SECOND = SAMPLE_RATE / HOP
LOWEST_PITCH, PITCHES, CONTOUR_STEPS = 21, 88, 3  # piano keys; bins of a semitone in the contours
WINDOW = 2 * SAMPLE_RATE - HOP  # samples per window of the network, which give 172 frames
MARGIN, KEPT = 15, 142  # frames at a window's start that lack context, and the following ones that are used
BATCH = 32  # windows at once, so that memory does not grow with the clip

ONSET_THRESHOLD, FRAME_THRESHOLD = 0.6, 0.4  # the defaults, 0.5 and 0.3, split notes of sampled instruments
SHORTEST_NOTE_S = 0.058
LONGEST_BREAK = 11  # frames below the threshold that end a note
BEND_REACH = 4  # bins of the contours, around the key
STEADY = 0.25  # semitones; notes that bend less are steady


@dataclass(frozen=True)
class Posteriors:
    """Probabilities of one clip.

    Attributes:
        notes: (frames, 88) that each piano key sounds.
        onsets: (frames, 88) that a note starts.
        contours: (frames, 264) that a pitch sounds, in thirds of a semitone.
    """

    notes: np.ndarray
    onsets: np.ndarray
    contours: np.ndarray


class NoteModel:
    """The network, in ONNX Runtime.

    Windows are cut so that their used frames are contiguous. The loop in basic-pitch keeps 0.7 frames too many of each
    window and corrects the times afterwards. The notes agree, and here frames need no correction.
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # evaluations use several processes
        self.session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def posteriors(self, waveform: torch.Tensor | np.ndarray) -> Posteriors:
        """Probabilities of notes, onsets and pitches.

        Frame t is at ``t * 256`` samples.

        Args:
            waveform: (samples,) at 22050 Hz.

        Raises:
            ValueError: the waveform has channels.
        """
        samples = np.asarray(waveform, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"a waveform to transcribe has one dimension, not the shape {samples.shape}")
        frames = -(-len(samples) // HOP)
        starts = range(0, frames * HOP, KEPT * HOP)
        padded = np.pad(samples, (MARGIN * HOP, WINDOW))
        names = [f"StatefulPartitionedCall:{number}" for number in (1, 2, 0)]
        parts = []
        for first in range(0, len(starts), BATCH):
            windows = np.stack([padded[start : start + WINDOW] for start in starts[first : first + BATCH]])[..., None]
            parts.append(self.session.run(names, {"serving_default_input_2:0": windows}))
        joined = (np.concatenate([part[number] for part in parts])[:, MARGIN : MARGIN + KEPT] for number in range(3))
        return Posteriors(*(values.reshape(-1, values.shape[-1])[:frames] for values in joined))


@lru_cache(maxsize=1)
def load_note_model() -> NoteModel:
    """The network, loaded once."""
    return NoteModel()


def transcribe(waveform: torch.Tensor | np.ndarray, sample_rate: int) -> list[Note]:
    """Find the notes of a clip, in order of time.

    Args:
        waveform: (samples,) or (channels, samples) in [-1, 1].
        sample_rate: Hz.

    Raises:
        AudioError: a waveform that cannot be used.

    Examples:
        >>> import torch
        >>> from stylediff.transcription import transcribe
        >>> time = torch.arange(22050) / 22050
        >>> [note.pitch for note in transcribe(0.3 * torch.sin(2 * torch.pi * 440 * time), 22050)]
        [69]
    """
    found = load_note_model().posteriors(to_mono(waveform, sample_rate, SAMPLE_RATE).cpu())
    return [make_note(found, *event) for event in find_events(found.notes, found.onsets)]


def semitones_to_fit(waveform: torch.Tensor, sample_rate: int, instrument: str, semitones: float = 0.0) -> float:
    """Semitones that bring a clip's notes into an instrument's range.

    Args:
        waveform: (samples,) or (channels, samples) in [-1, 1].
        instrument: its name.
        semitones: by which the notes are moved in any case; only octaves are added.

    Raises:
        ValueError: the range of such an instrument is not known.
    """
    return fit_to_range(transcribe(waveform, sample_rate), get_instrument(instrument), semitones)


def find_events(notes: np.ndarray, onsets: np.ndarray) -> list[tuple[int, int, int]]:
    """Find notes, in order of time.

    Each is (first frame, frame after the last, key). As in section 2.3 of the paper, notes begin at peaks of the
    onsets, the latest first, and end where their key is silent for some frames. What is left without an onset becomes
    notes too, the most probable first.

    Args:
        notes, onsets: (frames, 88) probabilities.
    """
    left = notes.copy()
    shortest = round(SHORTEST_NOTE_S * FRAMES_PER_SECOND)
    events: list[tuple[int, int, int]] = []

    def take(first: int, last: int, key: int) -> None:
        left[first:last, max(0, key - 1) : key + 2] = 0  # neighbouring keys only echo
        if last - first > shortest:
            events.append((first, last, key))

    starts = onset_strength(notes, onsets)
    inner = starts[1:-1]
    is_peak = (inner > starts[:-2]) & (inner > starts[2:]) & (inner >= ONSET_THRESHOLD)
    for frame, key in np.argwhere(is_peak)[::-1] + np.array([1, 0]):
        last = frame + 1 + run_length(left[frame + 1 :, key])
        if last - frame > shortest:
            take(frame, last, key)
    while left.size and left.max() > FRAME_THRESHOLD:
        frame, key = map(int, np.unravel_index(left.argmax(), left.shape))
        take(frame - run_length(left[:frame, key][::-1]), frame + 1 + run_length(left[frame + 1 :, key]), key)
    return sorted((int(first), int(last), int(key)) for first, last, key in events)


def onset_strength(notes: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """Probabilities that a note starts, (frames, 88).

    A note also starts where it becomes much more probable within two frames.
    """
    padded = np.pad(notes, ((2, 0), (0, 0)))
    rises = np.minimum(notes - padded[1:-1], notes - padded[:-2]).clip(0)
    rises[:2] = 0
    scale = onsets.max(initial=0) / max(float(rises.max(initial=0)), 1e-9)
    return np.maximum(onsets, scale * rises)


def run_length(probabilities: np.ndarray) -> int:
    """Number of frames until a key falls silent, from the first on."""
    sounding = np.flatnonzero(probabilities >= FRAME_THRESHOLD)
    if not len(sounding) or sounding[0] >= LONGEST_BREAK:
        return 0
    breaks = np.flatnonzero(np.diff(sounding) > LONGEST_BREAK)
    return int(sounding[breaks[0] if len(breaks) else -1]) + 1


def make_note(found: Posteriors, first: int, last: int, key: int) -> Note:
    """Note of an event, with its loudness and its bends."""
    loudness = float(found.notes[first:last, key].mean())
    centre = CONTOUR_STEPS * key
    low, high = max(0, centre - BEND_REACH), min(found.contours.shape[1], centre + BEND_REACH + 1)
    bends = (found.contours[first:last, low:high].argmax(1) + low - centre) / CONTOUR_STEPS
    bends -= np.median(bends)  # the clip's tuning is no bend
    is_bent = np.percentile(np.abs(bends), 90) > STEADY
    return Note(
        start=first / FRAMES_PER_SECOND,
        end=last / FRAMES_PER_SECOND,
        pitch=LOWEST_PITCH + key,
        velocity=min(127, max(1, round(127 * loudness))),
        bends=tuple(float(bend) for bend in bends) if is_bent else (),
    )
