"""Training losses: values for known signals."""

import math

import pytest
import torch

from stylediff.mel import MelConfig, transform
from train.models.losses import (
    LEVEL_RANGE_DB,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    level_loss,
    magnitude_loss,
    magnitudes,
    mel_loss,
    stft_loss,
)

MEL = MelConfig()


def signal(seed: int, scale: float = 0.1) -> torch.Tensor:
    return scale * torch.randn(2, 8192, generator=torch.Generator().manual_seed(seed))


def test_equal_signals_have_no_loss() -> None:
    waveform = signal(0)
    assert stft_loss(waveform, waveform) == 0
    assert mel_loss(waveform, waveform, MEL) == 0
    assert magnitude_loss(transform(waveform, MEL).abs(), waveform, MEL) == 0


def test_losses_grow_with_noise() -> None:
    samples = torch.arange(8192)
    tone = 0.3 * torch.sin(2 * torch.pi * 440 / MEL.sample_rate * samples).expand(2, -1)
    levels = [0.0, 0.001, 0.01, 0.1]
    stft_losses = [float(stft_loss(tone + signal(1, level), tone)) for level in levels]
    mel_losses = [float(mel_loss(tone + signal(1, level), tone, MEL)) for level in levels]
    assert stft_losses == sorted(set(stft_losses))
    assert mel_losses == sorted(set(mel_losses))


def test_twice_the_level_is_an_error_of_log_two() -> None:
    waveform = signal(2)
    assert math.isclose(float(mel_loss(2 * waveform, waveform, MEL)), math.log(2), rel_tol=0.01)
    doubled = 2 * transform(waveform, MEL).abs()
    assert math.isclose(float(magnitude_loss(doubled, waveform, MEL)), math.log(2), rel_tol=0.01)
    # Spectral convergence of a doubled signal is 1.
    assert math.isclose(float(stft_loss(2 * waveform, waveform)), 1 + math.log(2), rel_tol=0.01)


def test_the_level_loss_ignores_inaudible_frames() -> None:
    mel = torch.full((1, 1, 256, 4), -2.0)
    mel[..., 3] = MEL.log_floor - 10
    louder = mel + torch.tensor([0.0, 0.5, 0.0, 0.5])
    assert float(level_loss(louder, mel)) == pytest.approx(0.5 / 4)
    softest = -2.0 - LEVEL_RANGE_DB * math.log(10) / 20
    mel[..., 3] = softest
    assert float(level_loss(louder, mel)) == pytest.approx(0.5 / 4)
    mel[..., 3] = softest + 1.0
    assert float(level_loss(louder, mel)) == pytest.approx(1.5 / 4)


def test_silence_gives_finite_losses_and_gradients() -> None:
    silence = torch.zeros(1, 8192, requires_grad=True)
    loss = stft_loss(silence, torch.zeros(1, 8192)) + stft_loss(silence, signal(3)[:1])
    (loss + mel_loss(silence, torch.zeros(1, 8192), MEL)).backward()
    assert torch.isfinite(silence.grad).all()


def test_magnitudes_stay_in_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        inside = magnitudes(signal(4), 1024)
    assert torch.equal(inside, magnitudes(signal(4), 1024))


def test_a_discriminator_has_a_loss_only_if_it_is_fooled() -> None:
    sure, unsure = torch.full((2, 1, 5), 2.0), torch.zeros(2, 1, 5)
    assert discriminator_loss([sure], [-sure]) == 0
    assert discriminator_loss([unsure], [unsure]) == 2
    assert discriminator_loss([-sure], [sure]) == 6


def test_the_generator_has_a_loss_if_it_is_recognised() -> None:
    assert adversarial_loss([torch.full((2, 3), 1.5)]) == 0
    assert adversarial_loss([torch.full((2, 3), -1.0), torch.full((2, 3), 1.0)]) == 1


def test_feature_loss_is_the_mean_distance_over_maps() -> None:
    maps = [[torch.zeros(2, 3), torch.zeros(2, 4)], [torch.zeros(2, 5)]]
    moved = [[torch.ones(2, 3), torch.zeros(2, 4)], [torch.full((2, 5), 2.0)]]
    assert feature_loss(maps, maps) == 0
    assert feature_loss(maps, moved) == pytest.approx(1.0)
