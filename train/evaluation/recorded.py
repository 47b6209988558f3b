"""Recordings in the evaluation: sources, references and the systems that play them."""

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stylediff.audio import AudioError, fit_length
from stylediff.instruments import get_instrument
from stylediff.mel import MelConfig
from train.data.recordings import SPLITS, Recording, RecordingError, cut_clips, list_recordings, load_recording
from train.data.transcription import Transcription
from train.evaluation.embeddings import frechet_distance
from train.evaluation.runner import load_model, load_players
from train.evaluation.systems import Players

ALL = "all"
ENOUGH_EXAMPLES = 24  # smallest number for a Fréchet distance to one split


@dataclass(frozen=True)
class RecordedClip:
    """A few seconds of a recording.

    Attributes:
        name: ``violin/recording@seconds``, unique in a folder of recordings.
        instrument: instrument that plays, or None if unknown.
        split: "train" or "held_out".
        waveform: (samples,), mono.
    """

    name: str
    instrument: str | None
    split: str
    waveform: torch.Tensor

    @property
    def file_stem(self) -> str:
        """The name as a file name."""
        return self.name.replace("/", "_").replace(" ", "_")


def clips_of(recording: Recording, sample_rate: int) -> list[RecordedClip]:
    """Return the clips of one recording in order of time.

    An unreadable or too short recording has none.
    """
    try:
        waveform = load_recording(recording.path, sample_rate)
    except AudioError:
        return []
    clips = []
    for start, samples in cut_clips(waveform, sample_rate):
        name = f"{recording.name}@{start / sample_rate:.1f}"
        clips.append(RecordedClip(name, recording.instrument, recording.split, waveform[start : start + samples]))
    return clips


def spread_order(count: int) -> list[int]:
    """Order of clips in which every beginning covers the whole recording."""
    return [int(index) for index in np.random.default_rng(count).permutation(count)]


def choose_sources(recordings: list[Recording], limit: int | None, sample_rate: int) -> list[RecordedClip]:
    """Choose source clips of each instrument, at most ``limit`` each.

    Pieces take turns, the longest first.

    A larger limit adds clips and keeps the others.
    """
    chosen = []
    for instrument in dict.fromkeys(recording.instrument for recording in recordings):
        pieces: dict[str, list[RecordedClip]] = {}
        for recording in recordings:
            if recording.instrument == instrument:
                clips = clips_of(recording, sample_rate)
                pieces.setdefault(recording.piece, []).extend(clips[index] for index in spread_order(len(clips)))
        longest_first = sorted(pieces.values(), key=len, reverse=True)
        turns = itertools.chain.from_iterable(itertools.zip_longest(*longest_first))
        chosen += [clip for clip in turns if clip is not None][:limit]
    return chosen


def choose_examples(
    recordings: list[Recording], instrument: str, limit: int | None, sample_rate: int
) -> list[RecordedClip]:
    """Choose clips of good recordings of one instrument.

    There are at most ``limit`` per split, spread evenly.
    """
    good = [recording for recording in recordings if recording.instrument == instrument and recording.good_sound]
    chosen = []
    for split in SPLITS:
        clips = [clip for recording in good if recording.split == split for clip in clips_of(recording, sample_rate)]
        count = len(clips) if limit is None else min(limit, len(clips))
        chosen += [clips[index] for index in np.linspace(0, len(clips) - 1, count).round().astype(int)]
    return chosen


def examples_of_split(examples: list[RecordedClip], split: str) -> list[RecordedClip]:
    """Examples of a split if it has enough, else of both splits."""
    chosen = [clip for clip in examples if split in (ALL, clip.split)]
    return chosen if len(chosen) >= ENOUGH_EXAMPLES else examples


def recordings_of_split(folder: Path, split: str) -> list[Recording]:
    """Return the recordings of a split, or all of them for "all".

    Raises:
        RecordingError: there are none.
    """
    recordings = [recording for recording in list_recordings(folder) if split in (ALL, recording.split)]
    if not recordings:
        raise RecordingError(f"{folder} has no recording in the split {split!r}")
    return recordings


DRY = "dry"
SOURCE, REPLAYED, OURS = "source", "transcribed, replayed", "ours, default"
RECORDINGS = "recordings of the target"
SAMPLE_RATE = MelConfig().sample_rate


@dataclass(frozen=True)
class Setting:
    """Settings of the model; None means the model's default.

    Attributes:
        voice: voice of the target, ``instrument/soundfont-program``.
        steps: denoising steps.
        noise: scale of the noise (temperature).
        start: share of the noise levels at which refinement starts.
        enhance: whether the enhancer is used.
        dynamics: how far the output's loudness follows the source's.
        room: room that is added to the dry output.
        like: whether the style comes from a recording of the target instead of its name.
    """

    voice: str | None = None
    steps: int | None = None
    noise: float | None = None
    start: float | None = None
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
        parts += [] if self.start is None else [f"from {self.start:g}"]
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
            "refine_from": self.start,
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


DIMENSIONS = 16
PATCHES_PER_DIMENSION = 4  # covariances of fewer clips are meaningless
FEWEST_CLIPS = 4
HALVINGS = 10


class RecordedReference:
    """Features of clips of one instrument, reduced to their principal components.

    Args:
        clips: features of each clip, (patches, 200).

    Raises:
        ValueError: fewer than four clips.
    """

    def __init__(self, clips: Sequence[np.ndarray]) -> None:
        if len(clips) < FEWEST_CLIPS:
            raise ValueError(f"a reference needs at least {FEWEST_CLIPS} clips, got {len(clips)}")
        self.clips = [np.asarray(clip, dtype=np.float64) for clip in clips]

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of all patches, (200,)."""
        return np.concatenate(self.clips).mean(0)

    @cached_property
    def axes(self) -> np.ndarray:
        """Principal components of all patches, (200, dimensions).

        There are 16, or fewer if there are few patches.
        """
        patches = np.concatenate(self.clips)
        dimensions = max(1, min(DIMENSIONS, len(patches) // PATCHES_PER_DIMENSION))
        return np.linalg.svd(patches - self.mean, full_matrices=False)[2][:dimensions].T

    def project(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Project the patches of clips, (patches, dimensions)."""
        return (np.concatenate(clips) - self.mean) @ self.axes

    def distance(self, clips: Sequence[np.ndarray]) -> float:
        """Fréchet distance of clips to the reference.

        Each clip has features (patches, 200). The distance grows as clips become fewer, so compare only systems with
        equally many clips.

        Raises:
            ValueError: fewer than two patches.
        """
        return frechet_distance(self.project(clips), self.project(self.clips))

    @cached_property
    def floor(self) -> float:
        """Fréchet distance between two halves of the reference.

        It is the mean over ten random splits.
        """
        random, distances = np.random.default_rng(0), []
        for _ in range(HALVINGS):
            order = random.permutation(len(self.clips))
            halves = order[: len(order) // 2], order[len(order) // 2 :]
            first, second = (self.project([self.clips[index] for index in half]) for half in halves)
            distances.append(frechet_distance(first, second))
        return float(np.mean(distances))
