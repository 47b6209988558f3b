"""Trainer of the vocoder on a tiny data set: crops, loss, steps, resumption."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig, waveform_to_mel
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import cached_clip
from train.data.mel_cache import MelCache, create_cache, finish_cache, read_cache
from train.trainers.settings import VocoderSettings
from train.trainers.vocoder import Generator, build_models, crop_batch, train, vocoder_loss

main = command("vocoder")

MEL = MelConfig()
FRAMES = 24


@pytest.fixture
def settings(tmp_path: Path) -> VocoderSettings:
    """Settings of two tiny steps: one with discriminators, one also with decoded mels."""
    splits = ["train", "train", "validation"]
    rows = [
        cached_clip(n, "piano/own", FRAMES, file=f"{n}.flac", split=split, paired=False)
        for n, split in enumerate(splits)
    ]
    mels = create_cache(tmp_path / "cache", rows, MEL)
    generator = torch.Generator().manual_seed(0)
    for number, row in enumerate(rows):
        waveform = 0.1 * torch.randn(FRAMES * MEL.hop_length - 100, generator=generator)
        soundfile.write(tmp_path / row.file, waveform.numpy(), MEL.sample_rate)
        mels[number] = waveform_to_mel(waveform[None], MEL)[0, 0].numpy()
    mels.flush()
    finish_cache(tmp_path / "cache")
    torch.manual_seed(0)
    MelAutoencoder(latent_channels=2, block_out_channels=(16,), layers_per_block=1).save_pretrained(tmp_path / "vae")
    return VocoderSettings(
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        data=tmp_path,
        autoencoder=str(tmp_path / "vae"),
        steps=2,
        batch_size=2,
        crop_frames=8,
        context_frames=16,
        gan_start=0.0,
        decoded_start=0.5,
        blocks=1,
        width=16,
        discriminator_channels=2,
        precision="no",
        validate_every=1,
        log_every=1,
    )


def open_cache(settings: VocoderSettings) -> MelCache:
    return read_cache(settings.cache, MEL)


def test_crops_have_the_sound_of_their_mels(settings: VocoderSettings) -> None:
    settings = replace(settings, batch_size=8, crop_frames=16)
    generator = torch.Generator().manual_seed(0)
    mel, waveform = crop_batch(open_cache(settings), np.array([0, 1]), settings, None, generator)
    assert mel.shape == (8, 1, MEL.n_mels, 16)
    assert waveform.shape == (8, 16 * MEL.hop_length)
    # frames whose window is inside the crop
    inner = slice(4, 12)
    mel_of_waveform = waveform_to_mel(waveform, MEL)
    assert (mel_of_waveform[..., inner] - mel[..., inner]).abs().max() < 0.01


def test_attenuation_is_the_same_for_mel_and_sound(settings: VocoderSettings) -> None:
    cache, rows, settings = open_cache(settings), np.array([0]), replace(settings, detune_cents=0.0)
    plain = crop_batch(cache, rows, replace(settings, attenuation_db=0.0), None, torch.Generator().manual_seed(0))
    quiet = crop_batch(cache, rows, settings, None, torch.Generator().manual_seed(0))
    gain = (quiet[1] / plain[1]).nanmean(dim=1)
    assert (gain < 1).all()
    assert (gain >= 10 ** (-12 / 20)).all()
    shift = (quiet[0] - plain[0]).clamp_max(0).amin(dim=(1, 2, 3))
    torch.testing.assert_close(shift, gain.log(), atol=1e-3, rtol=1e-3)


def test_decoded_crops_are_cut_where_the_sound_is(settings: VocoderSettings) -> None:
    cache, rows = open_cache(settings), np.array([0, 1])
    settings = replace(settings, attenuation_db=0.0, detune_cents=0.0)
    vae = MelAutoencoder.from_pretrained(settings.autoencoder)
    # with an identity instead of the two networks, only the cropping remains
    vae.encode, vae.decode = (lambda mel: mel), (lambda latents: latents)
    true = crop_batch(cache, rows, settings, None, torch.Generator().manual_seed(1))
    decoded = crop_batch(cache, rows, settings, vae, torch.Generator().manual_seed(1))
    assert torch.equal(true[0], decoded[0])
    assert torch.equal(true[1], decoded[1])


def test_the_loss_leaves_discriminators_without_gradient(settings: VocoderSettings) -> None:
    vocoder, discriminators = build_models(settings, MEL)
    mel, target = crop_batch(open_cache(settings), np.array([0]), settings, None, torch.Generator().manual_seed(0))
    magnitude, waveform = Generator(vocoder)(mel, audible=True)
    loss, parts = vocoder_loss(magnitude, waveform, target, MEL, discriminators, settings)
    loss.backward()
    assert set(parts) == {"magnitude", "mel", "stft", "adversarial", "feature"}
    assert all(parameter.grad is None and parameter.requires_grad for parameter in discriminators.parameters())
    assert all(torch.isfinite(parameter.grad).all() for parameter in vocoder.parameters())
    expected = 5 * parts["magnitude"] + 5 * parts["mel"] + 2 * parts["stft"]
    expected += parts["adversarial"] + 2 * parts["feature"]
    assert math.isclose(float(loss.detach()), float(expected), rel_tol=1e-5)


def test_before_the_discriminators_only_magnitudes_are_trained(settings: VocoderSettings) -> None:
    vocoder, discriminators = build_models(settings, MEL)
    mel, target = crop_batch(open_cache(settings), np.array([0]), settings, None, torch.Generator().manual_seed(0))
    magnitude, waveform = Generator(vocoder)(mel, audible=False)
    assert waveform is None
    loss, parts = vocoder_loss(magnitude, waveform, target, MEL, discriminators, settings)
    assert float(loss.detach()) == pytest.approx(5 * float(parts["magnitude"]))


@pytest.mark.slow
def test_a_run_stopped_and_resumed_ends_bit_for_bit_the_same(
    settings: VocoderSettings, capsys: pytest.CaptureFixture
) -> None:
    whole = train(replace(settings, image_every=2))
    printed = capsys.readouterr().out
    assert "  validation 0." in printed or "  validation 1." in printed
    assert "validation, true mels: log-mel error" in printed
    assert "validation, decoded mels: log-mel error" in printed

    halves = replace(settings, out=settings.out.with_name("halves"))
    train(replace(halves, minutes=1e-9))
    assert torch.load(halves.out / "checkpoint.pt")["step"] == 1
    resumed = train(halves)

    begun, _ = build_models(settings, MEL)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    assert any(not torch.equal(weight, whole.state_dict()[name]) for name, weight in begun.state_dict().items())
    ours, theirs = (torch.load(out / "checkpoint.pt")["models"] for out in (settings.out, halves.out))
    for model in ("vocoder", "discriminator"):
        for name, weight in ours[model].items():
            assert torch.equal(weight, theirs[model][name]), name


@pytest.mark.slow
def test_without_an_autoencoder_mels_stay_true(settings: VocoderSettings, capsys: pytest.CaptureFixture) -> None:
    train(replace(settings, autoencoder="", steps=1, gan_start=1.0))
    assert "decoded mels" not in capsys.readouterr().out
    assert (settings.out / "vocoder" / "config.json").is_file()


def test_wrong_folders_are_reported(settings: VocoderSettings, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def refusal(data: Path, autoencoder: Path) -> str:
        folders = {"cache": settings.cache, "out": settings.out, "data": data, "autoencoder": autoencoder}
        tiny = ["--blocks", "1", "--width", "16", "--discriminator-channels", "2", "--crop-frames", "8"]
        tiny += ["--precision", "no"]  # as in other tests, because a process has one precision
        assert main([*tiny, *(word for name, path in folders.items() for word in (f"--{name}", str(path)))]) == 2
        return capsys.readouterr().err

    missing, other = tmp_path / "none", tmp_path / "other"
    assert f"error: cannot use the autoencoder in {missing}: " in refusal(settings.data, missing)
    mel = MelConfig(fmin_hz=50.0).to_dict()
    MelAutoencoder(mel=mel, block_out_channels=(16,), layers_per_block=1).save_pretrained(other)
    assert "it was made with fmin_hz=50.0, but 30.0 is needed" in refusal(settings.data, other)
    sentence = f"error: {missing} is not the data set of the mel cache: "
    assert sentence in refusal(missing, Path(settings.autoencoder))
