"""Uploaded clips: the part that is used, and its description."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stylediff.audio import MIN_SECONDS, AudioError, Sound, check_finite, read_sound
from stylediff.mel import MelConfig
from stylediff.page.environment import on_zero_gpu, read_number
from stylediff.waveform import first_sound

# A GPU is lent for a minute at most.
MAX_SECONDS = read_number("STYLEDIFF_MAX_SECONDS", 60 if on_zero_gpu() else 600, MIN_SECONDS)
MAX_UPLOAD_MB = 200  # ten minutes of stereo, 48 kHz and 24 bits, have 173 MB
REFERENCE_S = 60.0  # of a reference clip
SHOWN_KINDS = ("wav", "flac", "mp3", "ogg", "opus", "aiff", "m4a", "mp4", "webm", "…")
QUIET_RMS = 10 ** (-60 / 20)  # of 50 ms; less is near silence
SILENT_START_S = 1.0  # more silence than this at the start of a file is passed over
LEAD_S = 0.1  # kept before the first sound
SEARCHED_S = 1200.0  # of a file, for its first sound


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
        is_moved: True if the part starts later than it should, at the first sound.
    """

    samples: np.ndarray
    sample_rate: int
    start_s: float
    file_seconds: float
    name: str
    is_whole_known: bool = True
    lost_seconds: float = 0.0
    is_moved: bool = False

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

    def notes(self, words: dict[str, str]) -> list[str]:
        """Return sentences about the clip that a visitor should know.

        ``words`` are the page's texts in the visitor's language.
        """
        notes = []
        if self.is_moved:
            notes.append(words["starts_at"].format(seconds=f"{self.start_s:.1f}"))
        if first_sound(self.samples, self.sample_rate, QUIET_RMS) is None:
            notes.append(words["is_silent"])
        if self.lost_seconds:
            notes.append(words["unreadable"].format(seconds=f"{max(self.lost_seconds, 0.1):.1f}"))
        return notes


def load_clip(path: str | Path, start_s: float, length_s: float) -> Clip:
    """Load a part of a file, no longer than the page allows.

    A part that begins with silence, though the file goes on after it, starts at the first sound. Samples above full
    scale are scaled as a whole.

    Raises:
        AudioError: the file cannot be read, or a sample is not a finite number.
    """
    length_s = min(length_s, MAX_SECONDS)
    sound = read_sound(path, start_s, length_s)
    sounds_at = find_start(path, sound, start_s)
    if sounds_at > start_s:
        sound = read_sound(path, sounds_at, length_s)
    check_finite(sound.samples)
    peak = max(float(sound.samples.max(initial=0)), -float(sound.samples.min(initial=0)))
    samples = sound.samples / peak if peak > 1 else sound.samples
    return Clip(
        samples,
        sound.sample_rate,
        sounds_at,
        sound.file_seconds,
        Path(path).stem,
        sound.is_whole_known,
        sound.lost_seconds,
        sounds_at > start_s,
    )


def find_start(path: str | Path, part: Sound, start_s: float) -> float:
    """Return the second at which a part should start.

    That is where it was asked to, or else the first sound of the file. A start that was chosen is changed only if the
    whole part is silent.
    """
    silence = first_sound(part.samples, part.sample_rate, QUIET_RMS)
    goes_on = part.file_seconds > start_s + part.seconds + 0.01
    if not goes_on or (silence is not None and (silence < SILENT_START_S or start_s > 0)):
        return start_s
    position = start_s
    while silence is None and position < start_s + SEARCHED_S:
        position += part.seconds
        try:
            part = read_sound(path, position, MAX_SECONDS)
        except AudioError:  # the file ends here
            return start_s
        silence = first_sound(part.samples, part.sample_rate, QUIET_RMS)
    return start_s if silence is None else max(start_s, position + silence - LEAD_S)


def describe_limits() -> str:
    """Describe the upload limits without words to translate."""
    return f"{' · '.join(SHOWN_KINDS)}; ≤ {MAX_UPLOAD_MB} MB, ≤ {MAX_SECONDS:g} s"
