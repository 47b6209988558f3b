"""Uploaded clips: the part that is used, and its description."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stylediff.audio import read_sound
from stylediff.mel import MelConfig

MAX_SECONDS = float(os.environ.get("STYLEDIFF_MAX_SECONDS", "60"))
MAX_UPLOAD_MB = 25
SHOWN_KINDS = ("wav", "flac", "mp3", "ogg", "opus", "aiff", "m4a", "mp4", "webm", "…")


@dataclass(frozen=True)
class Clip:
    """A part of a file.

    Attributes:
        samples: (channels, samples) in [-1, 1], float32.
        sample_rate: Hz.
        start_s: start of the part in the file, in seconds.
        file_seconds: length of the whole file, in seconds.
        name: name of the file without its ending.
        is_whole_known: False if the file is at least that long.
        lost_seconds: length of what could not be read.
    """

    samples: np.ndarray
    sample_rate: int
    start_s: float
    file_seconds: float
    name: str
    is_whole_known: bool = True
    lost_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        return self.samples.shape[1] / self.sample_rate

    def describe(self, mel: MelConfig) -> str:
        """Describe in one line how the clip is prepared for the model."""
        kind = {1: "mono", 2: "stereo"}.get(len(self.samples), f"{len(self.samples)} channels")
        what = f"{self.sample_rate / 1000:g} kHz {kind} → {mel.sample_rate / 1000:g} kHz mono"
        end = self.start_s + self.seconds
        about = "" if self.is_whole_known else "about "
        part = "whole clip" if self.seconds > self.file_seconds - 0.01 else f"of {about}{self.file_seconds:.1f} s"
        lost = f"; {self.lost_seconds:.2f} s could not be read" if self.lost_seconds else ""
        return f"{what}, seconds {self.start_s:.1f}–{end:.1f} ({part}{lost})"


def load_clip(path: str | Path, start_s: float, length_s: float) -> Clip:
    """Load a part of a file, no longer than the page allows.

    Raises:
        AudioError: the file cannot be read.
    """
    sound = read_sound(path, start_s, min(length_s, MAX_SECONDS))
    return Clip(
        sound.samples,
        sound.sample_rate,
        start_s,
        sound.file_seconds,
        Path(path).stem,
        sound.is_whole_known,
        sound.lost_seconds,
    )


def describe_limits() -> str:
    """Describe the upload limits without words to translate."""
    return f"{' · '.join(SHOWN_KINDS)}; ≤ {MAX_UPLOAD_MB} MB, ≤ {MAX_SECONDS:g} s"
