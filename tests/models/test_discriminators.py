"""Shapes and gradients of the discriminators."""

import pytest
import torch

from train.models.discriminators import (
    PERIODS,
    Discriminators,
    MelDiscriminator,
    PeriodDiscriminator,
    ResolutionDiscriminator,
    discriminator_step_loss,
    generator_losses,
)
from train.models.losses import RESOLUTIONS, discriminator_loss


def tiny() -> Discriminators:
    torch.manual_seed(0)
    return Discriminators(period_channels=2, resolution_channels=2)


def noise(seed: int, samples: int = 4096) -> torch.Tensor:
    return 0.1 * torch.randn(3, samples, generator=torch.Generator().manual_seed(seed))


def test_every_period_and_resolution_classifies_every_clip() -> None:
    (periods, period_maps), (resolutions, resolution_maps) = tiny()(noise(0))
    assert [logits.shape[-1] for logits in periods] == list(PERIODS)
    assert len(period_maps) == len(PERIODS)
    assert len(resolutions) == len(resolution_maps) == len(RESOLUTIONS)
    for logits in periods + resolutions:
        assert logits.shape[:2] == (3, 1)


@pytest.mark.parametrize("samples", [4095, 4096, 4099])
def test_any_length_is_accepted(samples: int) -> None:
    logits, features = PeriodDiscriminator(7, 2)(noise(1, samples))
    assert logits.shape[-1] == 7
    assert len(features) == 5


def test_clips_are_classified_independently() -> None:
    discriminators, batch = tiny(), noise(2)
    (together, _), _ = discriminators(batch)
    (alone, _), _ = discriminators(batch[1:2])
    for several, one in zip(together, alone, strict=True):
        torch.testing.assert_close(several[1:2], one)


def test_silence_gives_finite_logits_and_gradients() -> None:
    silence = torch.zeros(1, 4096, requires_grad=True)
    (periods, _), (resolutions, _) = tiny()(silence)
    sum(logits.sum() for logits in periods + resolutions).backward()
    assert torch.isfinite(silence.grad).all()


def test_gradients_reach_the_waveform() -> None:
    waveform = noise(3).requires_grad_()
    for discriminator in (PeriodDiscriminator(3, 2), ResolutionDiscriminator(512, 2)):
        (gradient,) = torch.autograd.grad(discriminator(waveform)[0].sum(), waveform)
        assert gradient.abs().max() > 0


def test_a_discriminator_learns_to_distinguish_tones_from_noise() -> None:
    torch.manual_seed(0)
    discriminator = ResolutionDiscriminator(1024, 2)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-2)
    tone = 0.1 * torch.sin(2 * torch.pi * 440 / 22050 * torch.arange(4096)).expand(3, -1)
    losses = []
    for step in range(10):
        loss = discriminator_loss([discriminator(tone)[0]], [discriminator(noise(step))[0]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def train_discriminator() -> tuple[MelDiscriminator, list[float]]:
    torch.manual_seed(0)
    discriminator = MelDiscriminator(4)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        loss = discriminator_step_loss(discriminator, smooth(), rough(), 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return discriminator, losses


def rough() -> torch.Tensor:
    return torch.randn(3, 2, 32, 32)


def smooth() -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(rough(), 3, 1, 1)


def test_a_discriminator_of_mels_learns_to_detect_blur_and_guides_the_generator() -> None:
    discriminator, losses = train_discriminator()
    assert losses[-1] < 0.5 * losses[0]
    fake = smooth().requires_grad_()
    adversarial, feature = generator_losses(discriminator, fake, rough(), 1.0)
    assert adversarial.item() > generator_losses(discriminator, rough(), rough(), 1.0)[0].item()
    assert feature.item() > 0
    (gradient,) = torch.autograd.grad(adversarial, fake)
    better, _ = generator_losses(discriminator, fake - gradient / gradient.abs().max(), rough(), 1.0)
    assert better.item() < adversarial.item()
    assert all(weight.requires_grad for weight in discriminator.parameters())


def test_the_logits_depend_on_the_band() -> None:
    torch.manual_seed(0)
    discriminator = MelDiscriminator(4)
    ((logits,), _) = discriminator(torch.zeros(1, 2, 64, 32))[0]
    assert float((logits[..., 3, 2] - logits[..., 5, 2]).abs()) > 1e-5


def test_discriminators_have_weights() -> None:
    discriminators, real, fake = tiny(), noise(4), noise(5)
    both = float(discriminator_step_loss(discriminators, fake, real, 1.0, 2.0))
    first, second = (
        float(discriminator_step_loss(discriminators, fake, real, *weights)) for weights in ((1.0, 0.0), (0.0, 1.0))
    )
    assert both == pytest.approx(first + 2 * second, rel=1e-5)
    with pytest.raises(ValueError, match="zip"):
        discriminator_step_loss(discriminators, fake, real, 1.0)
