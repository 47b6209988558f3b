"""Autoencoder of log-mels with discrete codes (VQ-VAE, arXiv 1711.00937).

A log-mel is cut into patches of 32 x 32 values. A code stands for 4 x 4 values.
"""

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn
from torch.nn import functional

from stylediff.mel import MelConfig

PATCH = 32  # height and width of a patch
STRIDE = 4  # values that one code covers per axis
GRID = PATCH // STRIDE  # codes of a patch per axis
BLOCK_PATCHES = 512  # coded at a time


class ResidualBlock(nn.Module):
    """Two convolutions with ReLUs before them, added to their input."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, width, 1)
        )

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + self.body(hidden)


def residual_blocks(width: int, hidden: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width, hidden) for _ in range(count)), nn.ReLU())


def build_encoder(channels: int, width: int, residual_width: int, blocks: int, code_dim: int) -> nn.Sequential:
    """Strided convolutions and residual blocks: 32 x 32 to 8 x 8."""
    return nn.Sequential(
        nn.Conv2d(channels, width // 2, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(width // 2, width, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        residual_blocks(width, residual_width, blocks),
        nn.Conv2d(width, code_dim, 1),
    )


def build_decoder(channels: int, width: int, residual_width: int, blocks: int, code_dim: int) -> nn.Sequential:
    """Mirror image of the encoder: 8 x 8 to 32 x 32."""
    return nn.Sequential(
        nn.Conv2d(code_dim, width, 3, padding=1),
        residual_blocks(width, residual_width, blocks),
        nn.ConvTranspose2d(width, width // 2, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(width // 2, channels, 4, 2, 1),
    )


def nearest_codes(latents: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Return the code of the nearest vector for each latent.

    Args:
        latents: (batch, code_dim, rows, columns).
        vectors: (size, code_dim).

    Returns:
        (batch, rows, columns) integers.
    """
    last = latents.movedim(1, -1)
    return torch.cdist(last.flatten(0, -2), vectors).argmin(1).reshape(last.shape[:-1])


def tile(mel: torch.Tensor) -> torch.Tensor:
    """Cut a log-mel (mels, frames) into patches (patches, 1, 32, 32).

    Frames beyond the last whole patch are left out.
    """
    bands, frames = (length // PATCH for length in mel.shape)
    cut = mel[:, : frames * PATCH].reshape(bands, PATCH, frames, PATCH)
    return cut.transpose(1, 2).reshape(-1, 1, PATCH, PATCH)


def untile(patches: torch.Tensor, bands: int) -> torch.Tensor:
    """Put patches of any size side by side.

    (patches, size, size) or (patches, 1, size, size) become (bands, frames).
    """
    size = patches.shape[-1]
    rows = bands // size
    return patches.reshape(rows, -1, size, size).transpose(1, 2).reshape(bands, -1)


class CodeModel(ModelMixin, ConfigMixin):
    """Encoder, codebook and decoder of log-mels.

    ``python -m train code-dictionary`` makes one of a trained VQ-VAE.

    Args:
        mel: fields of the MelConfig it was trained on.
        mean, deviation: of the training patches. The networks see standardised values.
        width, residual_width, blocks: channels of the convolutions, of the residual blocks inside, and their number.
        code_dim: values of a code's vector.
        size: number of codes.

    Examples:
        >>> import torch
        >>> from stylediff.code_model import CodeModel
        >>> model = CodeModel(width=8, residual_width=4, code_dim=4, size=16)
        >>> codes = model.encode(torch.zeros(256, 100))
        >>> codes.shape, model.decode(codes, 100).shape
        (torch.Size([64, 32]), torch.Size([256, 100]))
    """

    @register_to_config
    def __init__(
        self,
        mel: dict | None = None,
        mean: float = 0.0,
        deviation: float = 1.0,
        width: int = 64,
        residual_width: int = 32,
        blocks: int = 2,
        code_dim: int = 64,
        size: int = 512,
    ) -> None:
        super().__init__()
        self.mel = MelConfig(**(mel or {}))
        self.mean, self.deviation, self.size = mean, deviation, size
        self.encoder = build_encoder(1, width, residual_width, blocks, code_dim)
        self.decoder = build_decoder(1, width, residual_width, blocks, code_dim)
        self.vectors = nn.Parameter(torch.zeros(size, code_dim), requires_grad=False)

    @torch.no_grad()
    def encode(self, mel: torch.Tensor) -> torch.Tensor:
        """Codes of a log-mel, padded with silence to whole patches.

        Args:
            mel: (mels, frames) in nepers.

        Returns:
            (mels / 4, padded frames / 4) integers, low bands first.
        """
        padded = functional.pad(mel, (0, -mel.shape[-1] % PATCH), value=self.mel.log_floor)
        codes = [
            nearest_codes(self.encoder((part - self.mean) / self.deviation), self.vectors)
            for part in tile(padded).split(BLOCK_PATCHES)
        ]
        return untile(torch.cat(codes), mel.shape[0] // STRIDE)

    @torch.no_grad()
    def decode(self, codes: torch.Tensor, frames: int) -> torch.Tensor:
        """Log-mel (mels, frames) of codes, never below the floor.

        Args:
            codes: (mels / 4, padded frames / 4).
        """
        grids = codes.unfold(0, GRID, GRID).unfold(1, GRID, GRID).flatten(0, 1)
        patches = [
            self.decoder(self.vectors[part].movedim(-1, 1)) * self.deviation + self.mean
            for part in grids.split(BLOCK_PATCHES)
        ]
        whole = untile(torch.cat(patches), codes.shape[0] * STRIDE)
        return whole[:, :frames].clamp_min(self.mel.log_floor)
