"""Small discriminators of waveforms and of log-mels.

Waveforms are classified by period (HiFi-GAN) and by resolution (UnivNet), log-mels by patches.
"""

import itertools

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from stylediff.mel import LEVEL_SCALE
from train.models.losses import RESOLUTIONS, adversarial_loss, discriminator_loss, feature_loss, magnitudes

PERIODS = (2, 3, 5, 7, 11)

# logits and feature maps of each discriminator
DiscriminatorOutput = tuple[list[torch.Tensor], list[list[torch.Tensor]]]


class ConvolutionStack(nn.Module):
    """Convolutions with leaky ReLU, and one to a single channel."""

    def __init__(self, shapes: list[tuple[int, int, tuple[int, int], tuple[int, int]]]) -> None:
        """Build a layer for each (inputs, outputs, kernel, stride)."""
        super().__init__()
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2)))
            for inputs, outputs, kernel, stride in shapes
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits and the feature maps of all earlier layers.

        Logits have the shape (batch, 1, height, width).
        """
        features = []
        for layer in self.layers[:-1]:
            image = nn.functional.leaky_relu(layer(image), 0.1)
            features.append(image)
        return self.layers[-1](image), features


class PeriodDiscriminator(nn.Module):
    """Discriminator of the waveform folded into rows of ``period`` samples.

    Source: Kong et al. 2020, arXiv 2010.05646, figure 2.
    """

    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, channels, 2 * channels, 4 * channels, 8 * channels]
        shapes = [(a, b, (5, 1), (3, 1)) for a, b in itertools.pairwise(widths)]
        shapes += [(widths[-1], widths[-1], (5, 1), (1, 1)), (widths[-1], 1, (3, 1), (1, 1))]
        self.stack = ConvolutionStack(shapes)

    def forward(self, waveform: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        missing = -waveform.shape[-1] % self.period
        padded = nn.functional.pad(waveform[:, None], (0, missing), mode="reflect")
        return self.stack(padded.reshape(len(waveform), 1, -1, self.period))


class ResolutionDiscriminator(nn.Module):
    """Discriminator of a log-magnitude spectrogram with window ``n_fft``.

    Source: Jang et al. 2021, arXiv 2106.07889, section 2.2.
    """

    def __init__(self, n_fft: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        wide = 2 * channels
        self.stack = ConvolutionStack(
            [
                (1, channels, (7, 3), (2, 1)),
                (channels, channels, (5, 3), (2, 1)),
                (channels, wide, (5, 3), (2, 1)),
                (wide, wide, (3, 3), (2, 1)),
                (wide, wide, (3, 3), (1, 1)),
                (wide, 1, (3, 3), (1, 1)),
            ]
        )

    def forward(self, waveform: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        # Logarithms make quiet partials count; the floor is 60 dB below a loud tone.
        spectrogram = magnitudes(waveform, self.n_fft).clamp_min(0.1).log()
        return self.stack(spectrogram[:, None])


class Discriminators(nn.Module):
    """All waveform discriminators as one model.

    Args:
        period_channels, resolution_channels: channels of the first layers.
    """

    def __init__(self, period_channels: int = 16, resolution_channels: int = 16) -> None:
        super().__init__()
        self.by_period = nn.ModuleList(PeriodDiscriminator(period, period_channels) for period in PERIODS)
        self.by_resolution = nn.ModuleList(ResolutionDiscriminator(n, resolution_channels) for n in RESOLUTIONS)

    def forward(self, waveform: torch.Tensor) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        """Return logits and feature maps of all discriminators.

        The period discriminators come first, then the resolution discriminators.

        Args:
            waveform: (batch, samples).
        """
        periods = [discriminator(waveform) for discriminator in self.by_period]
        resolutions = [discriminator(waveform) for discriminator in self.by_resolution]
        return split(periods), split(resolutions)


class MelDiscriminator(nn.Module):
    """Discriminator of log-mel patches beside the source's log-mel.

    The band's position is an input too. Source: Isola et al. 2017, arXiv 1611.07004, section 3.2.

    Args:
        channels: channels of the first layer.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        wide = 2 * channels
        self.stack = ConvolutionStack(
            [
                (3, channels, (5, 5), (2, 2)),
                (channels, wide, (5, 5), (2, 2)),
                (wide, wide, (5, 5), (2, 2)),
                (wide, wide, (3, 3), (1, 1)),
                (wide, 1, (3, 3), (1, 1)),
            ]
        )

    def forward(self, pair: torch.Tensor) -> tuple[DiscriminatorOutput]:
        """Return logits and feature maps.

        Args:
            pair: log-mels (batch, 2, mels, frames), the one to classify and the source.
        """
        height = torch.linspace(-1, 1, pair.shape[-2]).to(pair)[:, None].expand_as(pair[:, :1])
        return (split([self.stack(torch.cat([pair / LEVEL_SCALE, height], dim=1))]),)


def split(outputs: list[tuple[torch.Tensor, list[torch.Tensor]]]) -> DiscriminatorOutput:
    """Separate the logits of all discriminators from their features."""
    return [logits for logits, _ in outputs], [features for _, features in outputs]


def discriminator_step_loss(
    discriminators: nn.Module, generated: torch.Tensor, target: torch.Tensor, *weights: float
) -> torch.Tensor:
    """Loss of the discriminators on generated and real examples, (batch, ...).

    Args:
        weights: weight of each output of ``discriminators``.
    """
    # One pass over both: distributed training allows one forward before each backward.
    losses = []
    for weight, (logits, _) in zip(weights, discriminators(torch.cat([target, generated])), strict=True):
        real, fake = zip(*(both.chunk(2) for both in logits), strict=True)
        losses.append(weight * discriminator_loss(list(real), list(fake)))
    return torch.stack(losses).sum()


def generator_losses(
    discriminators: nn.Module, generated: torch.Tensor, target: torch.Tensor, *weights: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adversarial and feature-matching losses of the generator.

    The discriminators get no gradient.

    Args:
        weights: weight of each output of ``discriminators``.
    """
    discriminators.requires_grad_(False)
    with torch.no_grad():
        real = discriminators(target)
    fake = discriminators(generated)
    discriminators.requires_grad_(True)
    outputs = list(zip(weights, real, fake, strict=True))
    adversarial = [weight * adversarial_loss(logits) for weight, _, (logits, _) in outputs]
    feature = [weight * feature_loss(theirs, ours) for weight, (_, theirs), (_, ours) in outputs]
    return torch.stack(adversarial).sum(), torch.stack(feature).sum()
