"""Damaged clips: noises, codecs, and pairs from a tiny data set."""

import numpy as np
import pytest

from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import write_dataset
from train.common.files import FolderError
from train.data.damaged_clips import CODECS, KINDS, NOISES, RATE, align, damage, make_noise, read_damaged, through_codec

main = command("damaged-clips")
TIME_S = np.arange(2 * RATE) / RATE
TONE = 0.2 * np.sin(2 * np.pi * 440 * TIME_S) * np.exp(-TIME_S)


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_unit_power(kind):
    assert (make_noise(kind, 2 * RATE, np.random.default_rng(0)) ** 2).mean() == pytest.approx(1)


@pytest.mark.parametrize("ending", CODECS)
def test_a_codec_keeps_the_tone_in_its_place(ending):
    coded = through_codec(TONE, ending, 1000 * CODECS[ending][1])
    assert coded.shape == TONE.shape
    assert not np.array_equal(coded, TONE)
    inner = slice(2000, -4000)
    assert np.corrcoef(coded[inner], TONE[inner])[0, 1] > 0.99


@pytest.mark.parametrize("lag", [0, 700, -700])
def test_a_shift_is_undone(lag):
    noise = np.random.default_rng(0).standard_normal(RATE)
    moved = np.concatenate([np.zeros(lag), noise]) if lag >= 0 else noise[-lag:]
    aligned = align(moved, noise)
    assert aligned.shape == noise.shape
    assert np.array_equal(aligned[1000:-1000], noise[1000:-1000])


def test_clean_clips_stay_and_others_are_changed():
    for kind in KINDS:
        is_same = np.array_equal(damage(TONE, kind, np.random.default_rng(1)), TONE)
        assert is_same == (kind == "clean")


@pytest.mark.slow
def test_pairs_are_written_once_and_the_same_by_any_number_of_workers(tmp_path):
    (tmp_path / "data").mkdir()
    write_dataset(tmp_path / "data")
    manifest = tmp_path / "data" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"test"', '"validation"'))
    assert command("cache-mels")(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "mels")]) == 0
    common = ["--cache", str(tmp_path / "mels"), "--data", str(tmp_path / "data"), "--clips", "3"]
    for name, workers in (("a", "1"), ("b", "2")):
        assert main([*common, "--out", str(tmp_path / name), "--workers", workers]) == 0
    clips, again = (read_damaged(tmp_path / name, "train") for name in "ab")
    assert clips.kinds == again.kinds
    assert np.array_equal(clips.damaged, again.damaged)
    assert clips.damaged.shape == clips.clean.shape
    assert clips.damaged.shape[1] == MelConfig().n_mels
    assert len(read_damaged(tmp_path / "a", "validation").kinds) == 1
    written = (tmp_path / "a" / "train" / "damaged.npy").stat().st_mtime_ns
    assert main([*common, "--out", str(tmp_path / "a"), "--workers", "1"]) == 0
    assert (tmp_path / "a" / "train" / "damaged.npy").stat().st_mtime_ns == written


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FolderError, match="run the command damaged-clips first"):
        read_damaged(tmp_path, "train")
