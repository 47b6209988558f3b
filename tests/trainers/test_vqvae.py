"""Trainer of the VQ-VAE, on pictures of three colours."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import command
from tests.helpers.patches import write_pictures
from train.data.patches import read_patches
from train.models.vqvae import VqVae
from train.trainers.settings import VqvaeSettings
from train.trainers.vqvae import build_model, sample_batch, train, validate, vqvae_loss

main = command("vqvae")
TINY = {"width": 8, "residual_width": 4, "blocks": 1, "code_dim": 4, "codebook_size": 16}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def settings(pictures: Path, out: Path, **changes: object) -> VqvaeSettings:
    values = TINY | {"steps": 2, "batch_size": 8, "log_every": 1, "validate_every": 1} | changes
    return VqvaeSettings(patches=pictures, out=out, precision="no", **values)


def test_batches_are_training_patches_and_some_are_mirrored(pictures: Path) -> None:
    patches = read_patches(pictures)
    batch = sample_batch(patches, patches.rows("train"), 16, torch.Generator().manual_seed(0))
    assert batch.shape == (16, 3, 32, 32)
    left_is_brighter = batch[..., :16].mean((1, 2, 3)) > batch[..., 16:].mean((1, 2, 3))
    assert 0 < int(left_is_brighter.sum()) < 16


def test_the_mean_patch_has_an_error_near_one(pictures: Path, tmp_path: Path) -> None:
    patches = read_patches(pictures)
    model = build_model(settings(pictures, tmp_path), patches)
    torch.nn.init.zeros_(model.decoder[-1].weight)
    torch.nn.init.zeros_(model.decoder[-1].bias)
    assert validate(model, patches, patches.rows("train"))["validation"] == pytest.approx(1, abs=0.01)
    loss, parts = vqvae_loss(model, patches.tensor(patches.rows("train")))
    assert float(loss.detach()) == pytest.approx(float(parts["error"] + parts["codebook_loss"]))


@pytest.mark.slow
def test_two_steps_leave_a_model_and_its_measures(pictures: Path, tmp_path: Path) -> None:
    trained = train(settings(pictures, tmp_path))
    loaded = VqVae.from_pretrained(tmp_path / "vqvae").eval()
    batch = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded(batch).patches, trained(batch).patches)
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert measured["steps"] == 2
    assert 1 <= measured["perplexity"] <= 16


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"quantizer": "loss"}, {"kmeans": True, "revive": 0.5}, {"quantizer": "fsq"}], ids=str
)
def test_a_resumed_run_equals_an_uninterrupted_one(options: dict, pictures: Path, tmp_path: Path) -> None:
    whole = train(settings(pictures, tmp_path / "whole", steps=3, **options)).state_dict()
    train(settings(pictures, tmp_path / "parts", steps=3, minutes=1e-9, **options))
    resumed = train(settings(pictures, tmp_path / "parts", steps=3, **options)).state_dict()
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


@pytest.mark.slow
def test_it_learns_to_reconstruct_colours(pictures: Path, tmp_path: Path) -> None:
    options = {"steps": 150, "batch_size": 16, "warmup_steps": 5, "log_every": 150, "validate_every": 0}
    model = train(settings(pictures, tmp_path, learning_rate=5e-3, **options))
    patches = read_patches(pictures)
    assert validate(model, patches, patches.rows("test"))["validation"] < 0.4


def test_errors_are_sentences(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert main(["--patches", str(tmp_path), *out]) == 2
    assert capsys.readouterr().err.startswith("error: no patches in")
    assert main(["--patches", str(pictures), *out, "--quantizer", "gumbel"]) == 2
    assert "quantizer is 'gumbel'" in capsys.readouterr().err
