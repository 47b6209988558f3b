import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.helpers.files import ROOT
from tests.helpers.tiny_dataset import cached_clip
from train.data.mel_cache import CacheError, create_cache, finish_cache, read_cache
from train.trainers.autoencoder import autoencoder_loss, build_model, crop_batch, measure_latents, train
from train.trainers.loop import generator_at
from train.trainers.settings import AutoencoderSettings

main = command("autoencoder")

TINY = ["--steps", "2", "--batch-size", "2", "--crop-frames", "32", "--widths", "16", "16", "--layers", "1"]
TINY += ["--latent-channels", "4", "--precision", "no", "--log-every", "1", "--image-every", "2", "--warmup-steps", "1"]


@pytest.fixture
def settings(tiny_cache, tmp_path):
    return AutoencoderSettings(
        cache=tiny_cache,
        out=tmp_path / "run",
        steps=2,
        batch_size=2,
        crop_frames=32,
        widths=(16, 16),
        layers=1,
        latent_channels=4,
        precision="no",
    )


def weights(folder) -> dict[str, torch.Tensor]:
    return MelAutoencoder.from_pretrained(folder / "autoencoder").state_dict()


@pytest.mark.slow
def test_two_steps_change_the_weights_and_export_the_model(settings):
    before = build_model(settings, MelConfig()).state_dict()
    model = train(settings)
    assert not torch.equal(before["vae.decoder.conv_out.weight"], model.state_dict()["vae.decoder.conv_out.weight"])
    exported = weights(settings.out)
    assert all(torch.equal(value, exported[name]) for name, value in model.state_dict().items())
    assert json.loads((settings.out / "settings.json").read_text())["steps"] == 2


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_weights(settings, tmp_path):
    train(settings)
    parts = replace(settings, out=tmp_path / "parts")
    train(replace(parts, minutes=1e-9))
    assert torch.load(parts.out / "checkpoint.pt", weights_only=True)["step"] == 1
    train(parts)
    ours, theirs = weights(parts.out), weights(settings.out)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.slow
def test_exported_latents_have_zero_mean_and_unit_variance(settings):
    model = train(settings)
    cache = read_cache(settings.cache, MelConfig())
    with torch.no_grad():
        latents = model.encode(torch.stack([cache.tensor(int(row)) for row in cache.split("train")]))
    assert latents.shape[1] == 4 * settings.latent_fold**2
    latents = torch.nn.functional.pixel_shuffle(latents, settings.latent_fold)
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-3)
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3)


@pytest.mark.slow
def test_a_decoder_trained_alone_keeps_the_latents(settings, tmp_path, capsys):
    train(settings)
    begun = MelAutoencoder.from_pretrained(settings.out / "autoencoder")
    alone = replace(
        settings, out=tmp_path / "alone", initial=str(settings.out), decoder_only=True, validate_every=1, log_every=1
    )
    train(alone)
    assert capsys.readouterr().out.count("  validation ") == 2
    model = MelAutoencoder.from_pretrained(alone.out / "autoencoder")
    mel = read_cache(settings.cache, MelConfig()).tensor(0)[None]
    with torch.no_grad():
        latents = begun.encode(mel)
        assert torch.equal(model.encode(mel), latents)
        assert not torch.equal(model.decode(latents), begun.decode(latents))


def test_training_only_the_decoder_needs_an_encoder(tiny_cache, tmp_path, capsys):
    arguments = ["--cache", str(tiny_cache), "--out", str(tmp_path / "run"), "--decoder-only"]
    assert main(arguments) == 2
    assert "error: --decoder-only needs a trained encoder: name its pipeline with --initial" in (
        capsys.readouterr().err
    )


def test_the_loss_is_zero_for_a_perfect_reconstruction_and_grows_with_its_parts(settings):
    mel = torch.randn(2, 1, 256, 32)

    class Shifted(torch.nn.Module):
        def forward(self, mel, generator):
            return mel + 0.5, torch.tensor(2.0)

    loss, parts = autoencoder_loss(Shifted(), mel, settings, generator_at(0, 0, 0, 0))
    assert float(parts["l1"]) == pytest.approx(0.5, abs=1e-5)
    assert float(parts["edge"]) == pytest.approx(0.0, abs=1e-5)
    assert float(loss) == pytest.approx(0.5 + settings.kl_weight * 2.0, abs=1e-5)


def test_crops_lie_inside_their_clips(tmp_path):
    mel = MelConfig()
    rows = [cached_clip(n, "violin/x", frames, paired=False) for n, frames in enumerate((64, 128))]
    mels = create_cache(tmp_path, rows, mel)
    mels[0, :, :64], mels[0, :, 64:], mels[1] = 1.0, mel.log_floor, 2.0
    mels.flush()
    finish_cache(tmp_path)
    cache = read_cache(tmp_path, mel)
    crops = crop_batch(cache, cache.split("train"), 64, 32, torch.Generator().manual_seed(0))
    assert crops.shape == (64, 1, 256, 32)
    assert set(crops.flatten().tolist()) == {1.0, 2.0}
    model = build_model(AutoencoderSettings(cache=tmp_path, out=tmp_path, widths=(16, 16), layers=1), mel)
    measure_latents(model, cache, cache.split("train"), 2)  # clips of different lengths
    assert float(model.latents_std.min()) > 0


def test_a_missing_cache_or_split_is_reported(tmp_path, capsys):
    assert main(["--cache", str(tmp_path / "none"), "--out", str(tmp_path / "run")]) == 2
    assert "error: no finished mel cache in " in capsys.readouterr().err
    create_cache(tmp_path / "cache", [cached_clip(0, "piano/x", 64)], MelConfig())
    finish_cache(tmp_path / "cache")
    with pytest.raises(CacheError, match="no clip of the validation split"):
        train(AutoencoderSettings(cache=tmp_path / "cache", out=tmp_path / "run"))


def flat(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.slow
def test_two_processes_train_on_the_mean_of_their_gradients(settings, tmp_path):
    settings = replace(settings, out=tmp_path / "two", warmup_steps=1)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["-m", "train", "autoencoder", "--cache", str(settings.cache), "--out", str(settings.out), *TINY]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("step 2/2") == 1

    cache = read_cache(settings.cache, MelConfig())
    model = build_model(settings, MelConfig())
    start = flat(model)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=1e-4)
    for step in range(settings.steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate_at(step)
        optimizer.zero_grad()
        for process in range(2):
            generator = generator_at(settings.seed, step, 0, process)
            crops = crop_batch(cache, cache.split("train"), 2, 32, generator)
            (autoencoder_loss(model, crops, settings, generator)[0] / 2).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    expected = flat(model) - start
    together = MelAutoencoder.from_pretrained(settings.out / "autoencoder")
    moved = flat(together) - start
    # Two processes add in another order, and AdamW's first steps amplify that for gradients near zero.
    assert float(torch.cosine_similarity(moved, expected, dim=0)) > 0.99
