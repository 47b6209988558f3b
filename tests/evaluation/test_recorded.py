"""Recordings in the evaluation."""

import numpy as np
import pytest
import soundfile
import torch

from train.data.recordings import HELD_OUT, RecordingError, list_recordings, split_of
from train.evaluation.recorded import (
    RecordedClip,
    RecordedReference,
    choose_examples,
    choose_sources,
    examples_of_split,
    recordings_of_split,
)

RATE = 16000


def name_in(split: str, start: str) -> str:
    """A file name whose piece belongs to a split."""
    return next(f"{start} {number}" for number in range(100) if split_of(f"{start} {number}") == split)


@pytest.fixture
def folder(tmp_path):
    """Held out: a long and a short piano recording and a violin. For training: a violin."""
    for split, start, seconds in (
        (HELD_OUT, "piano/long", 30.0),
        (HELD_OUT, "piano/short", 6.0),
        (HELD_OUT, "violin/a", 12.0),
        ("train", "violin/b", 12.0),
    ):
        instrument, name = start.split("/")
        path = tmp_path / instrument / f"{name_in(split, name)}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(np.arange(round(seconds * RATE)) * 0.1), RATE)
    return tmp_path


def test_pieces_take_turns_and_a_larger_limit_only_adds(folder):
    recordings = recordings_of_split(folder, HELD_OUT)
    few, more = (choose_sources(recordings, limit, RATE) for limit in (2, 4))
    assert [clip.instrument for clip in few] == ["piano", "piano", "violin", "violin"]
    assert [clip.name.split()[0] for clip in few[:2]] == ["piano/long", "piano/short"]
    assert {clip.name for clip in few} < {clip.name for clip in more}
    assert len({clip.name for clip in choose_sources(recordings, None, RATE)}) == 5 + 1 + 2
    assert all(clip.split == HELD_OUT for clip in more)
    assert few[0].file_stem.startswith("piano_long_")
    assert len(few[0].waveform) == 5.5 * RATE


def test_examples_are_of_one_instrument_and_of_both_splits(folder):
    recordings = list_recordings(folder)
    examples = choose_examples(recordings, "violin", None, RATE)
    assert sorted(clip.split for clip in examples) == [HELD_OUT, HELD_OUT, "train", "train"]
    assert len(choose_examples(recordings, "violin", 1, RATE)) == 2
    assert choose_examples(recordings, "harp", None, RATE) == []


def test_too_few_examples_of_a_split_are_filled_up_from_the_other():
    clips = [RecordedClip(f"flute/{n}", "flute", "train" if n < 10 else HELD_OUT, torch.zeros(1)) for n in range(40)]
    assert examples_of_split(clips, HELD_OUT) == clips[10:]
    assert examples_of_split(clips, "train") == clips
    assert examples_of_split(clips, "all") == clips


def test_an_empty_split_is_reported(folder):
    assert len(recordings_of_split(folder, "all")) == 4
    for recording in recordings_of_split(folder, "train"):
        recording.path.unlink()
    with pytest.raises(RecordingError, match="has no recording in the split 'train'"):
        recordings_of_split(folder, "train")


def clips(count: int, seed: int, offset: float = 0.0, spread: float = 1.0) -> list[np.ndarray]:
    """Features of clips of three patches: three dimensions vary, the others are constant."""
    values = np.zeros((count, 3, 200))
    values[..., :3] = offset + spread * np.random.default_rng(seed).standard_normal((count, 3, 3))
    return list(values)


def test_the_distance_grows_with_a_shift_of_the_mean():
    reference = RecordedReference(clips(60, 0))
    assert reference.axes.shape == (200, 16)
    assert reference.distance(reference.clips) == pytest.approx(0, abs=1e-6)
    assert reference.distance(clips(60, 1)) < 0.3
    near, far = (reference.distance(clips(60, 1, offset)) for offset in (1.0, 2.0))
    assert near == pytest.approx(3, rel=0.2)  # three dimensions, each shifted by 1
    assert far == pytest.approx(12, rel=0.2)


def test_the_floor_is_between_zero_and_another_instrument():
    reference = RecordedReference(clips(24, 0))
    assert 0 < reference.floor < 0.5 < reference.distance(clips(24, 1, 1.0))
    assert RecordedReference(clips(24, 0)).floor == reference.floor


def test_a_small_reference_has_fewer_dimensions():
    assert RecordedReference(clips(8, 0)).axes.shape == (200, 6)


def test_too_few_clips_are_refused():
    with pytest.raises(ValueError, match="at least 4 clips, got 3"):
        RecordedReference(clips(3, 0))
