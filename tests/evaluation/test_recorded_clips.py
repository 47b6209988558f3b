import numpy as np
import pytest
import soundfile
import torch

from train.data.recordings import HELD_OUT, RecordingError, list_recordings, split_of
from train.evaluation.recorded_clips import (
    RecordedClip,
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
