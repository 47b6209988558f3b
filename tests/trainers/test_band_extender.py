"""Trainer of the upper band's network, on levels that follow from the mel."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stylediff.bandwidth import BANDS, LEVEL_FLOOR, BandExtender
from tests.helpers.commands import command
from train.data.full_band import FIRST_RECORDING, read_full_band, save_clips
from train.trainers.band_extender import calibrate, measure_error, pick_hints, sample_batch, train
from train.trainers.settings import BandExtenderSettings

main = command("band-extender")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    rng = np.random.default_rng(0)
    for number, split in enumerate(["train"] * 6 + ["validation"]):
        loud = rng.uniform(-4, 0, (2, 1, 1))
        clips = [
            (np.full((256, 40), level[0, 0], np.float16), np.full((BANDS, 40), level[0, 0] - 2, np.float16))
            for level in loud
        ]
        save_clips(folder / f"{number:06d}.npz", split, clips, ["violin/Pure-40", "piano/Pure-0"])
    save_clips(folder / "recording_0000.npz", "train", clips[:1], ["some recording"])
    return folder


def settings(data, out, **changes):
    values = {"steps": 2, "batch_size": 8, "crop_frames": 16, "width": 16, "layers": 1, "log_every": 1} | changes
    return BandExtenderSettings(data=data, out=out, precision="no", **values)


def test_hints_come_from_other_clips_of_the_same_notes(data):
    clips = read_full_band(data, "train")
    hints = pick_hints(clips, np.arange(len(clips.groups)), np.full(len(clips.groups), 0.9))
    assert hints.tolist() == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, -1]


def test_a_batch_has_mels_hints_and_levels(data, tmp_path):
    clips = read_full_band(data, "train")
    mels, hints, levels = sample_batch(clips, settings(data, tmp_path), torch.Generator().manual_seed(0))
    assert mels.shape == (8, 1, 256, 16)
    assert hints.shape == levels.shape == (8, BANDS, 16)
    assert torch.allclose(levels, mels[:, 0, :BANDS] - 2, atol=0.01)
    some = ~hints.isnan().all(dim=(1, 2))
    assert 0 < some.sum() < 8


def test_calibration_leaves_no_bias_and_does_nothing_without_sound(data):
    torch.manual_seed(0)
    model, clips = BandExtender(width=16, layers=1), read_full_band(data, "train")
    with torch.no_grad():
        model.leave.weight.zero_()
        model.leave.bias.fill_(1.0)
    calibrate(model, clips)
    is_recorded = clips.groups >= FIRST_RECORDING
    biases = [
        measure_error(model, clips, rows=np.flatnonzero(chosen))["bias"] for chosen in (is_recorded, ~is_recorded)
    ]
    assert np.mean(biases) == pytest.approx(0, abs=0.01)
    before = model.leave.bias.detach().clone()
    calibrate(model, replace(clips, levels=np.full_like(clips.levels, LEVEL_FLOOR)))
    assert torch.equal(model.leave.bias, before)


@pytest.mark.slow
def test_it_learns_levels_from_mels(data, tmp_path):
    model = train(settings(data, tmp_path / "run", steps=150, warmup_steps=5, learning_rate=5e-3))
    with torch.no_grad():
        made = model(torch.full((1, 1, 256, 40), -1.0))
    assert (made + 3).abs().mean() < 0.5
    saved = BandExtender.from_pretrained(tmp_path / "run" / "band_extender")
    assert torch.equal(saved(torch.zeros(1, 1, 256, 40)), model(torch.zeros(1, 1, 256, 40)))
    assert made.min() >= LEVEL_FLOOR


def test_errors_are_sentences(data, tmp_path, capsys):
    assert main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "a")]) == 2
    assert "no clips of the train split" in capsys.readouterr().err
    assert main(["--data", str(data), "--out", str(tmp_path / "b"), "--crop-frames", "99"]) == 2
    assert "crop_frames must be at most 40, got 99" in capsys.readouterr().err
