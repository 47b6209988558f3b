"""Systems that play a recording with another instrument: the model in some setting, and a replayed transcription."""

import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from stylediff.audio import fit_length
from stylediff.instruments import get_instrument
from stylediff.mel import MelConfig
from train.data.transcription import HeardNotes
from train.evaluation.recorded_clips import RecordedClip
from train.evaluation.runner import load_model, load_players
from train.evaluation.systems import Players

DRY = "dry"
SOURCE, REPLAYED = "source", "transcribed, replayed"
SAMPLE_RATE = MelConfig().sample_rate


@dataclass(frozen=True)
class Setting:
    """One way of using the model; None leaves a value at the model's default.

    Attributes:
        voice: voice of the target, ``instrument/soundfont-program``.
        steps: denoising steps.
        noise: scale of the noise (temperature).
        enhance: whether the enhancer is used.
        dynamics: how far the output's loudness follows the source's.
        room: room that the output sounds in, added to the output without one.
    """

    voice: str | None = None
    steps: int | None = None
    noise: float | None = None
    enhance: bool | None = None
    dynamics: float | None = None
    room: str | None = None

    @property
    def name(self) -> str:
        """Name of the system, for tables."""
        parts = [] if self.voice is None else [self.voice]
        parts += [] if self.steps is None else [f"{self.steps} steps"]
        parts += [] if self.noise is None else [f"noise {self.noise:g}"]
        parts += [] if self.enhance is None else ["enhanced" if self.enhance else "not enhanced"]
        parts += [] if self.dynamics is None else [f"dynamics {self.dynamics:g}"]
        parts += [] if self.room is None else [f"in a {self.room}" if self.room != DRY else DRY]
        return ", ".join(["ours", *(parts or ["default"])])

    def arguments(self, target: str) -> dict[str, Any]:
        """Arguments of the pipeline for a target instrument."""
        values = {
            "num_inference_steps": self.steps,
            "temperature": self.noise,
            "enhance": self.enhance,
            "dynamics": self.dynamics,
        }
        return {"target": self.voice or target} | {name: value for name, value in values.items() if value is not None}


def run_model(clip: RecordedClip, target: str, setting: Setting, model: Path) -> torch.Tensor:
    """A clip through the model, (samples,); the noise depends on the clip alone."""
    generator = torch.Generator().manual_seed(zlib.crc32(clip.name.encode()))
    result = load_model(model)(clip.waveform, SAMPLE_RATE, generator=generator, **setting.arguments(target))
    return fit_length(result.audio.cpu(), len(clip.waveform))


@cache
def load_player(soundfonts: tuple[str, ...], voice: str) -> Players:
    """A synthesizer for one voice, once a process.

    Raises:
        TrialError, SynthesisError: no soundfont has the voice, or none can be played.
    """
    return load_players(soundfonts, (voice,))


def run_replay(clip: RecordedClip, heard: HeardNotes, target: str, soundfonts: tuple[str, ...]) -> torch.Tensor:
    """The notes heard in a clip, played by the target's default voice, (samples,)."""
    voice = get_instrument(target).default_voice
    synthesizer, program = load_player(soundfonts, voice)[voice]
    return torch.from_numpy(synthesizer.render(heard.notes, program, len(clip.waveform), {})).float()
