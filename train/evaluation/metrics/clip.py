"""An output with its context, and quantities derived from them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from stylediff.audio import loudness_gain
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.notes import Note
from train.data.notes import is_one_voice, score_roll
from train.data.transcription import NoteTranscriber, PitchTracker, Transcription
from train.data.waveforms import normalized_mel
from train.models.instrument_classifier import InstrumentClassifier


@dataclass(frozen=True)
class Listeners:
    """Two published transcribers and our instrument classifier."""

    notes: NoteTranscriber
    pitch: PitchTracker
    classifier: InstrumentClassifier


@torch.no_grad()
def name_instrument(waveform: torch.Tensor, classifier: InstrumentClassifier) -> str:
    """Classify the instrument of a waveform (samples,)."""
    mel = normalized_mel(waveform, classifier.mel)
    return classifier.config.instruments[int(classifier(mel).argmax())]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredClip:
    """An output and its references.

    Only ``output`` and ``config`` are always known. Anything derived from an unknown attribute is None, and metrics
    that need it are skipped. Quantities that several metrics need, such as the transcription, are computed once.

    Attributes:
        output: waveform, (samples,).
        target: the aligned true target, (samples,).
        score: notes that the output should contain.
        source: transcription of the source.
        original_hz: tracked pitch of the original, (frames,), for a reconstruction.
        instrument: target instrument.
        listeners: networks that analyse the output.

    Examples:
        >>> import torch
        >>> from stylediff.mel import MelConfig
        >>> from train.evaluation.metrics import score_clip
        >>> from train.evaluation.metrics.clip import ScoredClip
        >>> tone = 0.1 * torch.sin(0.1 * torch.arange(22050))
        >>> scores = score_clip(ScoredClip(output=tone, config=MelConfig(), target=tone))
        >>> scores["log_mel_error"], "note_f1_50" in scores  # no score, no note metrics
        (0.0, False)
    """

    output: torch.Tensor
    config: MelConfig
    target: torch.Tensor | None = None
    score: tuple[Note, ...] | None = None
    source: Transcription | None = None
    original_hz: np.ndarray | None = None
    instrument: str | None = None
    listeners: Listeners | None = None

    def look_up(self, names: tuple[str, ...]) -> list[Any] | None:
        """Attributes with these names, or None if one of them is unknown."""
        values = []
        for name in names:
            value = getattr(self, name)
            if value is None:
                return None
            values.append(value)
        return values

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        return self.config.sample_rate

    @cached_property
    def gain(self) -> float:
        """Gain that brings the output to the loudness of the data set."""
        return loudness_gain(self.output)

    @cached_property
    def target_gain(self) -> float | None:
        """Gain that brings the target to the loudness of the data set."""
        return None if self.target is None else loudness_gain(self.target)

    @cached_property
    def levelled(self) -> torch.Tensor:
        """The output at the loudness of the data set, (samples,)."""
        return self.output * self.gain

    @cached_property
    def levelled_target(self) -> torch.Tensor | None:
        """The target at the loudness of the data set, (samples,)."""
        return None if self.target is None or self.target_gain is None else self.target * self.target_gain

    @cached_property
    def mels(self) -> torch.Tensor:
        """Log-mels of the normalised output and, if known, target.

        Their shape is (1 or 2, mels, frames).
        """
        waveforms = [waveform for waveform in (self.levelled, self.levelled_target) if waveform is not None]
        return waveform_to_mel(torch.stack(waveforms), self.config)[:, 0]

    @property
    def mel(self) -> torch.Tensor:
        """Log-mel of the output at that loudness, (mels, frames)."""
        return self.mels[0]

    @property
    def target_mel(self) -> torch.Tensor | None:
        """Log-mel of the target at that loudness, (mels, frames)."""
        return None if self.target is None else self.mels[1]

    @cached_property
    def transcription(self) -> Transcription | None:
        """Transcription of the output."""
        return None if self.listeners is None else self.listeners.notes.transcribe(self.output)

    @cached_property
    def score_roll(self) -> np.ndarray | None:
        """Piano roll of the score, (frames, 88) bool.

        It has the frames of ``transcription``.
        """
        if self.score is None or self.transcription is None:
            return None
        return score_roll(self.score, len(self.transcription.roll))

    @property
    def melody(self) -> tuple[Note, ...] | None:
        """The score if it is monophonic, else None."""
        return self.score if self.score is not None and is_one_voice(self.score) else None

    @cached_property
    def pitch(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Tracked pitch of the output: seconds and Hz, (frames,) each."""
        return None if self.listeners is None else self.listeners.pitch.track(self.output)

    @cached_property
    def named(self) -> str | None:
        """Instrument that the classifier assigns to the output."""
        return None if self.listeners is None else name_instrument(self.output, self.listeners.classifier)
