"""Clips of recordings: sources of an evaluation, and examples of how each instrument really sounds."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stylediff.audio import AudioError
from train.data.recordings import SPLITS, Recording, RecordingError, cut_clips, list_recordings, load_recording


@dataclass(frozen=True)
class RecordedClip:
    """A few seconds of a recording.

    Attributes:
        name: ``violin/recording@seconds``, unique within a folder of recordings.
        instrument: instrument that plays, or None where it is not known.
        split: "train" or "held_out".
        waveform: (samples,), mono.
    """

    name: str
    instrument: str | None
    split: str
    waveform: torch.Tensor

    @property
    def file_stem(self) -> str:
        """The name as a file's."""
        return self.name.replace("/", "_").replace(" ", "_")


def clips_of(recording: Recording, sample_rate: int) -> list[RecordedClip]:
    """Clips of one recording in order of time; none if it cannot be read or is too short."""
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
    """An order of clips in which any first part is spread over the recording; it is always the same."""
    return [int(index) for index in np.random.default_rng(count).permutation(count)]


def choose_sources(recordings: list[Recording], limit: int | None, sample_rate: int) -> list[RecordedClip]:
    """Clips of each instrument, pieces taking turns from the longest on, at most ``limit`` an instrument.

    A larger limit only adds clips.
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
    """Clips of good recordings of one instrument, at most ``limit`` of each split, spread over them evenly."""
    good = [recording for recording in recordings if recording.instrument == instrument and recording.good_sound]
    chosen = []
    for split in SPLITS:
        clips = [clip for recording in good if recording.split == split for clip in clips_of(recording, sample_rate)]
        count = len(clips) if limit is None else min(limit, len(clips))
        chosen += [clips[index] for index in np.linspace(0, len(clips) - 1, count).round().astype(int)]
    return chosen


def recordings_of_split(folder: Path, split: str) -> list[Recording]:
    """Recordings below a folder that belong to a split, or every one for "all".

    Raises:
        RecordingError: there is none.
    """
    recordings = [recording for recording in list_recordings(folder) if split in ("all", recording.split)]
    if not recordings:
        raise RecordingError(f"no recording in {folder} belongs to the split {split!r}")
    return recordings
