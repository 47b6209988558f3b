"""Patches of log-mels: contents and labels."""

from pathlib import Path

import numpy as np
import pytest

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from stylediff.notes import Note
from tests.helpers.commands import command
from tests.helpers.patches import write_sounds
from train.data.mel_cache import read_cache
from train.data.mel_patches import onset_frames, pitch_at
from train.data.patches import read_patches

main = command("mel-patches")
MEL = MelConfig()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_sounds(tmp_path_factory.mktemp("sounds"))


def flags(sounds: tuple[Path, Path], out: Path) -> list[str]:
    return ["--cache", str(sounds[1]), "--data", str(sounds[0]), "--out", str(out), "--patches", "120"]


def test_patches_are_pieces_of_the_cache_under_the_right_labels(sounds: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(flags(sounds, tmp_path)) == 0
    read, cache = read_patches(tmp_path), read_cache(sounds[1], MEL)
    assert (read.kind, len(read)) == ("mel", 120)
    assert [len(read.rows(split)) for split in ("train", "validation", "test")] == [108, 6, 6]
    for number in range(len(read)):
        clip, band, start = (int(read.labels[name][number]) for name in ("clip", "band", "start"))
        piece = cache.mels[clip, 32 * band : 32 * band + 32, start : start + 32]
        np.testing.assert_array_equal(read.patches[number, 0], piece)
        assert piece.max() > MEL.log_floor + 3
        row = cache.clips[clip]
        assert INSTRUMENT_NAMES[read.labels["instrument"][number]] == row.instrument
        assert read.names["voice"][read.labels["voice"][number]] == row.voice
        assert (row.role, row.split) == ("target", ("train", "validation", "test")[read.splits[number]])
    counts = np.bincount(read.labels["instrument"])
    assert counts[counts > 0].tolist() == [40, 40, 40]
    assert set(read.labels["pitch"]) <= {-1, 60, 67}


def test_the_same_seed_gives_the_same_patches(sounds: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(flags(sounds, tmp_path / name)) == 0
    np.testing.assert_array_equal(*(read_patches(tmp_path / name).patches for name in ("a", "b")))


def test_an_onset_is_in_the_frame_in_which_the_note_starts() -> None:
    frame_s = MEL.seconds(1)
    notes = (Note(0.0, 1.0, 60, 80), Note(40.5 * frame_s, 1.0, 62, 80), Note(80 * frame_s, 1.0, 64, 80))
    assert np.flatnonzero(onset_frames(notes, 32, MEL)).tolist() == [8]
    assert np.flatnonzero(onset_frames(notes, 0, MEL)).tolist() == [0]


def test_pitch_is_that_of_a_single_note() -> None:
    notes = (Note(0.0, 1.0, 60, 80), Note(0.5, 1.0, 64, 80))
    assert [pitch_at(notes, time) for time in (0.2, 0.7, 1.5)] == [60, -1, -1]


def test_another_data_set_is_refused(
    sounds: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flags(sounds, tmp_path), "--data", str(tmp_path)]) == 2
    assert "is not the data set of the mel cache: it has no clip clips/0_0_target.flac" in capsys.readouterr().err
