"""Systems that play recordings with another instrument.

They are the model at some settings, and replayed transcriptions.
"""

import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from stylediff.audio import fit_length
from stylediff.instruments import get_instrument
from stylediff.mel import MelConfig
from train.data.transcription import Transcription
from train.evaluation.recorded_clips import RecordedClip
from train.evaluation.runner import load_model, load_players
from train.evaluation.systems import Players

DRY = "dry"
SOURCE, REPLAYED = "source", "transcribed, replayed"
SAMPLE_RATE = MelConfig().sample_rate


@dataclass(frozen=True)
class Setting:
    """Settings of the model; None means the model's default.

    Attributes:
        voice: voice of the target, ``instrument/soundfont-program``.
        steps: denoising steps.
        noise: scale of the noise (temperature).
        enhance: whether the enhancer is used.
        dynamics: how far the output's loudness follows the source's.
        room: room that is added to the dry output.
        like: whether the style comes from a recording of the target instead of its name.
    """

    voice: str | None = None
    steps: int | None = None
    noise: float | None = None
    enhance: bool | None = None
    dynamics: float | None = None
    room: str | None = None
    like: bool = False

    @property
    def name(self) -> str:
        """Name of the system in tables."""
        parts = [] if self.voice is None else [self.voice]
        parts += [] if self.steps is None else [f"{self.steps} steps"]
        parts += [] if self.noise is None else [f"noise {self.noise:g}"]
        parts += [] if self.enhance is None else ["enhanced" if self.enhance else "not enhanced"]
        parts += [] if self.dynamics is None else [f"dynamics {self.dynamics:g}"]
        parts += ["like a recording"] if self.like else []
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


def choose_style(clip: RecordedClip, examples: list[RecordedClip]) -> RecordedClip | None:
    """Choose the reference recording of a clip.

    The choice is reproducible; it is None without examples.
    """
    return examples[zlib.crc32(clip.name.encode()) % len(examples)] if examples else None


def run_model(
    clip: RecordedClip, target: str, setting: Setting, model: Path, style: RecordedClip | None = None
) -> torch.Tensor:
    """Run the model on a clip and return (samples,).

    The noise depends only on the clip.

    Args:
        style: reference recording for settings with ``like``.

    Raises:
        ValueError: settings with ``like`` but no reference recording, or a model that accepts none.
    """
    pipeline, arguments = load_model(model), setting.arguments(target)
    if setting.like:
        if style is None:
            raise ValueError(f"there is no recording of {target} to take the style from")
        arguments["target"] = pipeline.encode_reference(style.waveform, SAMPLE_RATE)
    generator = torch.Generator().manual_seed(zlib.crc32(clip.name.encode()))
    result = pipeline(clip.waveform, SAMPLE_RATE, generator=generator, **arguments)
    return fit_length(result.audio.cpu(), len(clip.waveform))


@cache
def load_player(soundfonts: tuple[str, ...], voice: str) -> Players:
    """Load a synthesizer for one voice, once per process.

    Raises:
        CaseError, SynthesisError: no soundfont has the voice, or none can be loaded.
    """
    return load_players(soundfonts, (voice,))


def run_replay(
    clip: RecordedClip, transcription: Transcription, target: str, soundfonts: tuple[str, ...]
) -> torch.Tensor:
    """Play the transcription of a clip with the target's default voice."""
    voice = get_instrument(target).default_voice
    synthesizer, program = load_player(soundfonts, voice)[voice]
    return torch.from_numpy(synthesizer.render(transcription.notes, program, len(clip.waveform), {})).float()
