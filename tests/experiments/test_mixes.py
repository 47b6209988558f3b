"""Mixes of recordings, judged by a detector that gives every clip the same score."""

import json

import numpy as np
import pytest
import soundfile

from tests.helpers.tiny_pipeline import tiny_pipeline, with_detector
from train.__main__ import COMMANDS
from train.data.recordings import RecordingError
from train.experiments.mixes import RMS, SAMPLE_RATE, draw_clips, load_instruments

TONES = {"flute/fsd_145431_35e97db3": 880, "flute/fsd_159121_f5e20dce": 660, "cello/fsd_195283_d328db67": 220}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Tones of two instruments, under names that the table of recordings holds out."""
    folder = tmp_path_factory.mktemp("recordings")
    time = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    for name, hz in TONES.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * hz * time), SAMPLE_RATE)
    return folder


def test_instruments_of_a_mix_differ_and_it_has_a_level(recordings):
    instruments = load_instruments(recordings)
    assert {name: len(clips) for name, clips in instruments.items()} == {"flute": 2, "cello": 1}
    drawn = list(draw_clips(instruments, 2, 5))
    assert len(drawn) == 5
    for names, mix in drawn:
        assert len(set(names)) == 2
        assert float(mix.square().mean().sqrt()) == pytest.approx(RMS, rel=1e-3)


def test_one_instrument_is_not_enough(recordings):
    with pytest.raises(RecordingError, match="fewer than two instruments"):
        load_instruments(recordings / "flute")


@pytest.mark.parametrize(("score", "share"), [(1.0, 1.0), (-1.0, 0.0)])
def test_the_command_writes_the_shares(recordings, tmp_path, score, share):
    with_detector(score).save_pretrained(tmp_path / "model")
    arguments = ["--recordings", recordings, "--model", tmp_path / "model", "--clips", "3", "--out", tmp_path / "out"]
    assert COMMANDS["mixes"].run([str(argument) for argument in arguments]) == 0
    found = json.loads((tmp_path / "out" / "mixes.json").read_text())
    assert found["1"] == {"clips": 3, "share": share}
    assert found["2"] == {"clips": 3, "share": share}
    assert "called a mix" in (tmp_path / "out" / "mixes.md").read_text()


def test_a_model_without_a_detector_is_refused(recordings, tmp_path, capsys):
    tiny_pipeline().save_pretrained(tmp_path / "model")
    arguments = ["--recordings", str(recordings), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    assert COMMANDS["mixes"].run(arguments) == 2
    assert "the model has no mix detector" in capsys.readouterr().err
