"""Trainer of the restorer, on noise that a constant gain removes."""

import json

import numpy as np
import pytest
import torch

from stylediff import MelEnhancer
from tests.helpers.commands import command
from train.data.damaged_clips import DAMAGED, TABLE, UNDAMAGED
from train.trainers.restorer import train
from train.trainers.settings import RestorerSettings

main = command("restorer")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Clips whose damage is 1 neper in the upper half of the bands."""
    folder = tmp_path_factory.mktemp("damaged")
    for split, count in (("train", 8), ("validation", 2)):
        clean = np.random.default_rng(0).uniform(-5, 0, (count, 256, 32)).astype(np.float16)
        damaged = clean.copy()
        damaged[:, 128:] += 1
        (folder / split).mkdir()
        np.save(folder / split / DAMAGED, damaged)
        np.save(folder / split / UNDAMAGED, clean)
        (folder / split / TABLE).write_text(json.dumps(["white"] * count))
    return folder


def settings(data, out, **changes):
    values = {"steps": 3, "batch_size": 2, "widths": (16, 16), "crop_frames": 16, "log_every": 1} | changes
    return RestorerSettings(data=data, out=out, precision="no", **values)


@pytest.mark.slow
def test_it_learns_and_reports_errors_by_kind(data, tmp_path, capsys):
    train(settings(data, tmp_path, steps=120, learning_rate=5e-3, average_decay=0.9, validate_every=60))
    errors = json.loads((tmp_path / "errors.json").read_text())
    assert errors["white"]["before"] == pytest.approx(0.5, abs=0.01)
    assert errors["white"]["after"] < 0.3
    assert "validation, white:" in capsys.readouterr().out
    assert isinstance(MelEnhancer.from_pretrained(tmp_path / "restorer"), MelEnhancer)


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_weights(data, tmp_path):
    whole = train(settings(data, tmp_path / "whole"))
    train(settings(data, tmp_path / "parts", steps=2))
    resumed = train(settings(data, tmp_path / "parts"))
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_folder_without_clips_is_reported(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "run the command damaged-clips first" in capsys.readouterr().err
