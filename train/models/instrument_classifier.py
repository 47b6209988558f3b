"""Classifier of the instrument in a log-mel, used for evaluation only."""

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig

DYNAMIC_RANGE = 7.0  # nepers below the clip's peak; the rest is cut off


def conv_block(channels_in: int, channels_out: int, kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class InstrumentClassifier(ModelMixin, ConfigMixin):
    """Small convolutional network over log-mels of any length.

    Levels are relative to the loudest band of the clip, so loudness does not matter. Bands keep their positions until
    the last convolution, which spans all remaining ones; only time is pooled.

    Args:
        mel: fields of the MelConfig it was trained on.
        instruments: names of the classes.
        widths: channels of the four convolutions; the last are the features.
    """

    @register_to_config
    def __init__(
        self,
        mel: dict | None = None,
        instruments: tuple[str, ...] = INSTRUMENT_NAMES,
        widths: tuple[int, ...] = (24, 48, 96, 128, 192),
    ) -> None:
        super().__init__()
        self.mel = MelConfig(**(mel or {}))
        stem, second, third, fourth, features = widths
        self.body = nn.Sequential(
            conv_block(1, stem, (7, 5), (4, 2)),
            conv_block(stem, second, (3, 3), (2, 2)),
            conv_block(second, third, (3, 3), (2, 2)),
            conv_block(third, fourth, (3, 3), (2, 2)),
        )
        rows = self.mel.n_mels // 32
        self.collapse = nn.Sequential(nn.Conv2d(fourth, features, (rows, 1)), nn.ReLU())
        self.head = nn.Linear(features, len(instruments))

    def features(self, mel: torch.Tensor) -> torch.Tensor:
        """Penultimate activations of log-mels.

        Args:
            mel: (batch, 1, mels, frames) in nepers.

        Returns:
            (batch, widths[-1]).
        """
        relative = (mel - mel.amax(dim=(2, 3), keepdim=True)).clamp_min(-DYNAMIC_RANGE)
        hidden = self.body(2 * relative / DYNAMIC_RANGE + 1)
        return self.collapse(hidden).mean(dim=(2, 3))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Logits (batch, instruments) of log-mels (batch, 1, mels, frames)."""
        return self.head(self.features(mel))
