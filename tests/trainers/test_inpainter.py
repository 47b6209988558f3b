"""Trainer of the U-Net that fills gaps, on a tiny data set."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from stylediff import Inpainter
from stylediff.gap_filling import missing_frames
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.trainers.inpainter import GapSampler, train
from train.trainers.settings import InpainterSettings

main = command("inpainter")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Settings of a short run, with the caches and the pipeline that they name."""
    folder = tmp_path_factory.mktemp("inpainter")
    (folder / "data").mkdir()
    write_dataset(folder / "data")
    manifest = folder / "data" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"test"', '"validation"'))
    pipeline = tiny_pipeline()
    pipeline.save_pretrained(folder / "model")
    assert command("cache-mels")(["--data", str(folder / "data"), "--out", str(folder / "mels"), "--workers", "1"]) == 0
    places = ["--cache", str(folder / "mels"), "--autoencoder", str(folder / "model" / "autoencoder")]
    assert command("cache-latents")([*places, "--out", str(folder / "latents")]) == 0
    return folder, pipeline


def settings(folder, out, **changes):
    values = {"steps": 2, "batch_size": 2, "columns": (12,), "log_every": 1, "validate_every": 0} | changes
    paths = {"cache": folder / "mels", "latents": folder / "latents", "initial": str(folder / "model")}
    return InpainterSettings(**paths, out=out, precision="no", **values)


def test_the_mask_names_the_missing_frames():
    mask = missing_frames(slice(5, 18), torch.zeros(1, 3, 2, 4), 8)
    assert mask.shape == (1, 8, 2, 4)
    assert torch.equal(mask[0, :, 1].T.flatten(), ((torch.arange(32) >= 5) & (torch.arange(32) < 18)).float())


def test_gaps_lie_inside_and_only_they_are_changed(made):
    folder, pipeline = made
    sampler = GapSampler(settings(folder, folder), "train", pipeline.autoencoder.eval(), pipeline.style_encoder.eval())
    for draw in np.random.default_rng(0).random((50, 2)):
        gap = sampler.choose_gap(192, draw)
        assert 16 <= gap.start < gap.stop <= 176
    batch = sampler.batch(4, 12, torch.Generator().manual_seed(0))
    again = sampler.batch(4, 12, torch.Generator().manual_seed(0))
    assert torch.equal(batch.source, again.source)
    assert batch.target.shape == batch.source.shape
    assert batch.missing.shape[1] == pipeline.autoencoder.frame_stride
    assert (batch.missing.amax(dim=(1, 2, 3)) == 1).all()


@pytest.mark.slow
def test_it_trains_resumes_and_exports(made, tmp_path):
    folder, pipeline = made
    whole = train(settings(folder, tmp_path / "whole", validate_every=2))
    train(settings(folder, tmp_path / "parts", steps=1))
    resumed = train(settings(folder, tmp_path / "parts"))
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    saved = UNet2DConditionModel.from_pretrained(tmp_path / "whole" / "unet")
    assert saved.config.in_channels == pipeline.unet.config.in_channels + pipeline.autoencoder.frame_stride
    assert saved.conv_in.weight[:, -1].abs().sum() > 0
    built = Inpainter.from_pretrained(tmp_path / "whole" / "inpainter").build(pipeline.unet)
    assert torch.allclose(built.conv_in.weight, saved.conv_in.weight, atol=1e-6)


def test_a_folder_without_a_pipeline_is_reported(made, tmp_path, capsys):
    folder, _ = made
    arguments = ["--cache", folder / "mels", "--latents", folder / "latents", "--initial", tmp_path, "--out", tmp_path]
    assert main([str(argument) for argument in arguments]) == 2
    assert "cannot start from" in capsys.readouterr().err
