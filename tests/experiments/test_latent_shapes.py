"""Comparison of latent shapes: commands, and the table of finished shapes."""

import argparse
import json
from pathlib import Path

import pytest
import soundfile
import torch

from stylediff import StyleEncoder, StyleTransferPipeline
from stylediff.mel import MelConfig
from tests.helpers.commands import command, settings_from
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.mel_cache import read_cache
from train.experiments.commands import SHAPES
from train.experiments.latent_shapes import build_jobs
from train.models.instrument_classifier import InstrumentClassifier
from train.trainers.autoencoder import build_model
from train.trainers.settings import AutoencoderSettings

main = command("latent-shapes")

MEL = MelConfig()


@pytest.mark.parametrize("shape", [*SHAPES, "8x32x56q35"])
def test_a_shape_names_the_latents_of_its_autoencoder(shape: str, tmp_path: Path) -> None:
    channels, rows, columns = map(int, shape.partition("q")[0].split("x"))
    folders = dict.fromkeys(("out", "cache", "vocoder"), tmp_path)
    stages = build_jobs(shape, argparse.Namespace(**folders, clips=10, minutes=2.0))
    settings = settings_from(AutoencoderSettings, stages[0].flags())
    assert settings.budget_minutes == 2.0
    model = build_model(settings, MEL)
    with torch.no_grad():
        mel = torch.zeros(1, 1, MEL.n_mels, columns * MEL.n_mels // rows)
        assert model.vae.encode(model.fold(mel)).latent_dist.mode().shape == (1, channels, rows, columns)
        assert model.encode(mel).shape == (1, channels * (rows // 16) ** 2, 16, 28)
        assert (model.config.levels == 35) == ("q35" in shape)
    made = stages[0].result.parent
    assert stages[1].settings["autoencoder"] == made, "the trained autoencoder encodes"
    assert stages[3].settings["autoencoder"] == made, "the trained autoencoder is exported"


@pytest.fixture
def finished(tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments for two shapes whose commands have run, with tiny components."""
    monkeypatch.setattr("train.evaluation.embeddings.WINDOW_FRAMES", 16)
    style = StyleEncoder(voices=["piano/Pure-0", "violin/Pure-40"], tokens=2, width=16)
    pipeline = StyleTransferPipeline(**tiny_pipeline().components | {"style_encoder": style})
    for shape in ("4x32x56", "16x16x28"):
        folder = tmp_path / "out" / shape
        pipeline.save_pretrained(folder / "model")
        for result in ("autoencoder/autoencoder/config.json", "latents/latents.npy", "denoiser/unet/config.json"):
            (folder / result).parent.mkdir(parents=True)
            (folder / result).write_text("")
        for run, steps in {"autoencoder": 11, "denoiser": 7}.items():
            torch.save({"step": steps}, folder / run / "checkpoint.pt")
        names = ("autoencoder", "latents", "denoiser", "pipeline")
        (folder / "finished.json").write_text(json.dumps(dict.fromkeys(names, 1.0)))
    torch.manual_seed(0)
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    for row in read_cache(tiny_cache, MEL).clips:
        path = tmp_path / row.file
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * torch.randn(row.frames * MEL.hop_length).numpy(), MEL.sample_rate)
    folders = {"cache": tiny_cache, "data": tmp_path, "vocoder": tmp_path, "out": tmp_path / "out"}
    arguments = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    arguments += ["--classifier", str(tmp_path / "classifier"), "--pairs", "2"]
    return [*arguments, "--shapes", "4x32x56", "16x16x28"]


@pytest.mark.slow
def test_finished_shapes_are_only_measured(finished: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(finished) == 0
    first, second = json.loads((tmp_path / "out" / "latents.json").read_text())
    assert (first.pop("shape"), second.pop("shape")) == ("4 x 32 x 56", "16 x 16 x 28")
    assert first == pytest.approx(second), "they are the same weights"
    assert (first["autoencoder_steps"], first["denoiser_steps"]) == (11, 7)
    assert first["error"] > 0
    assert first["bits"] > 0
    assert first["error"] != first["noisy_error"]
    assert 0 <= first["frame_f"] <= 1
    assert "| 4 x 32 x 56 | " in capsys.readouterr().out


def test_a_missing_cache_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folders = {"cache": tmp_path, "data": tmp_path, "vocoder": tmp_path, "out": tmp_path}
    assert main([word for name, path in folders.items() for word in (f"--{name}", str(path))]) == 2
    assert capsys.readouterr().err.startswith("error: ")
