"""Clips of recordings: sources, and examples of every instrument."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stylediff.audio import AudioError
from train.data.recordings import SPLITS, Recording, RecordingError, cut_clips, list_recordings, load_recording

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
