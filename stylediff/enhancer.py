"""Enhancer of generated mel spectrograms, applied before the vocoder."""

import torch
from diffusers import ModelMixin, UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn

from stylediff.mel import LEVEL_SCALE, MelConfig
from stylediff.public import public


@public
class MelEnhancer(ModelMixin, ConfigMixin):
    """Corrects a generated log-mel in one pass.

    It also sees the source's log-mel, which shows which notes sound when.

    It has the place of GuideDiff in Huang et al. (2024, arXiv 2404.14771), between the generated spectrogram and the
    vocoder. The network is diffusers' UNet2DModel at a constant timestep on patchified spectrograms. It starts as the
    identity.

    Args:
        mel: fields of the MelConfig it was trained on.
        fold: blocks of that many bands and frames become channels.
        widths: channels of the levels; every level but the last halves both axes.
        layers: residual blocks per level.

    Examples:
        >>> import torch
        >>> from stylediff import MelEnhancer
        >>> enhancer = MelEnhancer(widths=(16, 16))
        >>> generated, source = torch.rand(2, 1, 1, 256, 64)
        >>> torch.equal(enhancer(generated, source), generated)  # the identity before training
        True
    """

    @register_to_config
    def __init__(
        self, mel: dict | None = None, fold: int = 4, widths: tuple[int, ...] = (48, 64, 96), layers: int = 1
    ) -> None:
        super().__init__()
        self.mel = MelConfig(**(mel or {}))
        levels = len(widths)
        self.unet = UNet2DModel(
            in_channels=2 * fold**2,
            out_channels=fold**2,
            block_out_channels=tuple(widths),
            layers_per_block=layers,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            norm_num_groups=16,
            add_attention=False,
        )
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    @property
    def frame_multiple(self) -> int:
        """The network's inputs are padded to a multiple of this many frames."""
        return self.config.fold * 2 ** (len(self.config.widths) - 1)

    def forward(self, generated: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Corrected log-mels, never below the floor.

        Args:
            generated, source: log-mels (batch, 1, mels, frames), aligned.

        Returns:
            Corrected log-mels in the shape of ``generated``.
        """
        frames = generated.shape[-1]
        pair = (torch.cat([generated, source], dim=1) - self.mel.log_floor) / LEVEL_SCALE
        padded = nn.functional.pad(pair, (0, -frames % self.frame_multiple))
        folded = nn.functional.pixel_unshuffle(padded, self.config.fold)
        correction = nn.functional.pixel_shuffle(self.unet(folded, 0).sample, self.config.fold)[..., :frames]
        return (generated + LEVEL_SCALE * correction).clamp_min(self.mel.log_floor)
