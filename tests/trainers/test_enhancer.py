import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from stylediff import MelAutoencoder, MelEnhancer, StyleEncoder, StyleTransferPipeline
from stylediff.mel import MelConfig
from stylediff.settings import MAX_STEPS
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.common.precision import fast_autocast
from train.data.latent_cache import record_origin
from train.data.mel_cache import CacheError, read_cache
from train.data.transfer_cache import read_transfers
from train.trainers.enhancer import EnhancerData, enhancer_loss, train
from train.trainers.loop import generator_at
from train.trainers.settings import EnhancerSettings

main = command("enhancer")
encode = command("cache-latents")
generate = command("cache-transfers")

VOICES = ["piano/Pure-0", "violin/Pure-40"]


@pytest.fixture(scope="module")
def folders(tiny_cache, tmp_path_factory):
    """A tiny model with the cache's voices, the cache's latents, and ten transferred pairs."""
    folder = tmp_path_factory.mktemp("generated")
    style = {"style_encoder": StyleEncoder(voices=VOICES, tokens=2, width=16)}
    StyleTransferPipeline(**(tiny_pipeline().components | style)).save_pretrained(folder / "model")
    cache = ["--cache", str(tiny_cache)]
    autoencoder = ["--autoencoder", str(folder / "model" / "autoencoder")]
    assert encode([*cache, *autoencoder, "--out", str(folder / "latents")]) == 0
    arguments = ["--model", str(folder / "model"), *cache, "--latents", str(folder / "latents")]
    arguments += ["--pairs", "8", "--held-out", "2", "--steps", "1", "2"]
    assert generate([*arguments, "--out", str(folder / "pairs")]) == 0
    assert generate([*arguments, "--out", str(folder / "again")]) == 0
    return folder


@pytest.fixture
def settings(tiny_cache, folders, tmp_path):
    return EnhancerSettings(
        cache=tiny_cache,
        generated=folders / "pairs",
        autoencoder=str(folders / "model" / "autoencoder"),
        out=tmp_path / "run",
        steps=2,
        batch_size=2,
        crop_columns=4,
        widths=(16, 16),
        precision="no",
        warmup_steps=1,
    )


def load(folder) -> dict[str, torch.Tensor]:
    return MelEnhancer.from_pretrained(folder / "enhancer").state_dict()


def test_a_tiny_budget_makes_one_batch_of_pairs(tiny_cache, folders, tmp_path):
    arguments = ["--model", str(folders / "model"), "--cache", str(tiny_cache), "--latents", str(folders / "latents")]
    arguments += ["--pairs", "8", "--batch-size", "3", "--steps", "1", "--budget-minutes", "1e-9"]
    assert generate([*arguments, "--out", str(tmp_path / "few")]) == 0
    few = read_transfers(tmp_path / "few")
    assert (len(few.targets), few.held_out) == (4, 1)


def test_generated_pairs_are_reproducible_and_of_the_same_music(folders, tiny_cache):
    made, rows = read_transfers(folders / "pairs"), read_cache(tiny_cache, MelConfig()).clips
    assert made.latents.shape == (10, 4, 32, 8)
    assert made.held_out == 2
    for number, (source, target) in enumerate(zip(made.sources, made.targets, strict=True)):
        assert rows[source].group == rows[target].group
        assert rows[source].voice != rows[target].voice
        assert rows[target].split == ("train" if number < 8 else "validation")
    assert np.isfinite(made.latents).all()
    np.testing.assert_array_equal(made.latents, read_transfers(folders / "again").latents)


@pytest.mark.slow
def test_two_steps_train_and_export_averaged_weights(settings, capsys):
    train(settings)
    average = torch.load(settings.out / "checkpoint.pt", weights_only=True)["averages"]["enhancer"]["shadow_params"]
    weights = list(MelEnhancer.from_pretrained(settings.out / "enhancer").parameters())
    assert all(torch.equal(ours, shadow) for ours, shadow in zip(weights, average, strict=True))
    assert any(float(value.detach().abs().max()) > 0 for value in weights[-2:])
    assert "nepers, " in capsys.readouterr().out


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_weights(settings, tmp_path):
    train(settings)
    parts = replace(settings, out=tmp_path / "parts")
    train(replace(parts, minutes=1e-9))
    assert torch.load(parts.out / "checkpoint.pt", weights_only=True)["step"] == 1
    train(parts)
    theirs = load(settings.out)
    assert all(torch.equal(value, theirs[name]) for name, value in load(parts.out).items())


def test_the_loss_of_a_perfect_output_is_zero_and_of_the_input_its_error(settings, folders, tiny_cache):
    pipeline = StyleTransferPipeline.from_pretrained(folders / "model")
    cache = read_cache(tiny_cache, MelConfig())
    data = EnhancerData(cache, read_transfers(settings.generated), pipeline.autoencoder)
    batch = data.crop(settings, generator_at(0, 0, 0, 0))
    assert batch.generated.shape == batch.source.shape == batch.target.shape == (2, 1, 256, 32)

    loss, parts = enhancer_loss(batch.target, batch, settings)
    assert float(loss) == 0
    loss, parts = enhancer_loss(batch.generated, batch, settings)
    assert float(loss) > float(parts["l1"]) == float(parts["l1_before"]) > 0
    assert float(parts["l1_left"]) == 1.0


@pytest.mark.slow
def test_a_discriminator_learns_beside_the_enhancer(settings, tmp_path):
    adversarial = replace(settings, adversarial_weight=0.1)
    train(adversarial)
    state = torch.load(adversarial.out / "checkpoint.pt", weights_only=True)
    assert set(state["models"]) == {"enhancer", "discriminator"}
    train(replace(settings, out=tmp_path / "alone"))
    theirs = load(tmp_path / "alone")
    assert any(not torch.equal(value, theirs[name]) for name, value in load(adversarial.out).items())
    parts = replace(adversarial, out=tmp_path / "parts")
    train(replace(parts, minutes=1e-9))
    train(parts)
    again = torch.load(parts.out / "checkpoint.pt", weights_only=True)["models"]["discriminator"]
    assert all(torch.equal(value, again[name]) for name, value in state["models"]["discriminator"].items())


def test_samples_of_true_latents_are_the_target_encoded_and_decoded(settings, folders, tiny_cache):
    pipeline = StyleTransferPipeline.from_pretrained(folders / "model")
    cache = read_cache(tiny_cache, MelConfig())
    data = EnhancerData(cache, read_transfers(settings.generated), pipeline.autoencoder)
    batch = data.crop(replace(settings, true_share=1.0), generator_at(0, 0, 0, 0))
    with torch.no_grad(), fast_autocast(torch.device("cpu")):
        expected = pipeline.autoencoder.decode(pipeline.autoencoder.encode(batch.target)).float()
    torch.testing.assert_close(batch.generated, expected)


def test_missing_pairs_are_reported(tiny_cache, tmp_path, capsys):
    with pytest.raises(CacheError, match="no generated latents"):
        read_transfers(tmp_path)
    arguments = ["--cache", str(tiny_cache), "--generated", str(tmp_path), "--autoencoder", str(tmp_path)]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert "no generated latents" in capsys.readouterr().err


def test_a_missing_autoencoder_or_one_of_other_mels_is_reported(tiny_cache, folders, tmp_path, capsys):
    arguments = ["--cache", str(tiny_cache), "--generated", str(folders / "pairs"), "--out", str(tmp_path / "run")]
    arguments += ["--autoencoder", str(tmp_path / "other")]
    assert main(arguments) == 2
    assert "error: cannot use the autoencoder in " in capsys.readouterr().err
    mel = MelConfig(fmin_hz=50.0).to_dict()
    MelAutoencoder(mel=mel, block_out_channels=(16,), layers_per_block=1).save_pretrained(tmp_path / "other")
    assert main(arguments) == 2
    assert "it was made with fmin_hz=50.0, but 30.0 is needed" in capsys.readouterr().err


@pytest.mark.slow
def test_pairs_that_cannot_be_generated_are_reported(tiny_cache, folders, tmp_path, capsys):
    def refusal(latents) -> str:
        arguments = ["--model", str(folders / "model"), "--cache", str(tiny_cache), "--latents", str(latents)]
        arguments += ["--pairs", "1", "--steps", "1", "--out", str(tmp_path / "pairs")]
        with pytest.raises(SystemExit, match="2"):
            generate([*arguments, "--held-out", "0"])
        assert "--pairs and --held-out must be at least 1" in capsys.readouterr().err
        with pytest.raises(SystemExit, match="2"):
            generate([*arguments, "--batch-size", "0"])
        assert "--batch-size must be at least 1" in capsys.readouterr().err
        assert generate(arguments) == 2
        return capsys.readouterr().err

    assert "error: no latents in " in refusal(tmp_path / "none")
    shutil.copytree(folders / "latents", tmp_path / "latents")
    np.save(tmp_path / "latents" / "latents.npy", np.load(folders / "latents" / "latents.npy")[:8])
    (tmp_path / "latents" / "autoencoder.json").unlink()
    assert "error: the validation split has no clip in a known voice" in refusal(tmp_path / "latents")
    record_origin(tmp_path / "latents", MelAutoencoder(block_out_channels=(16,), layers_per_block=1), ())
    assert "error: another autoencoder made the latents in " in refusal(tmp_path / "latents")
    for steps in ("0", str(MAX_STEPS + 1)):
        unusual = ["--cache", str(tiny_cache), "--latents", "none", "--out", str(tmp_path), "--steps", steps]
        assert generate(unusual) == 2
        assert "--steps must be 1 to 500" in capsys.readouterr().err
    assert not (tmp_path / "pairs").exists()


def test_generated_latents_of_other_clips_or_autoencoders_are_refused(tiny_cache, folders):
    rows = read_cache(tiny_cache, MelConfig()).clips
    pipeline = StyleTransferPipeline.from_pretrained(folders / "model")
    made = read_transfers(folders / "pairs")
    made.require_origin(rows, pipeline.autoencoder)
    with pytest.raises(CacheError, match="to other clips than this mel cache's"):
        made.require_origin(rows[1:], pipeline.autoencoder)
    other = MelAutoencoder(block_out_channels=(16,), layers_per_block=1)
    with pytest.raises(CacheError, match="to other latents than this autoencoder's"):
        made.require_origin(rows, other)


def test_pairs_without_their_keys_are_reported(folders, tmp_path):
    shutil.copytree(folders / "pairs", tmp_path / "pairs")
    (tmp_path / "pairs" / "pairs.json").write_text("{}")
    with pytest.raises(CacheError, match=r"no generated latents in .*sources"):
        read_transfers(tmp_path / "pairs")
