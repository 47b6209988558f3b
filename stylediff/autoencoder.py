"""Autoencoder between log-mels and normalised latents.

Scaling, patchifying and padding happen only here.
"""

import torch
from diffusers import AutoencoderKL, ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import nn

from stylediff.mel import MelConfig
from stylediff.public import public


@public
class MelAutoencoder(ModelMixin, ConfigMixin):
    """Autoencoder of log-mel spectrograms.

    A mel is scaled and patchified: each block of ``fold_mels`` x ``fold_frames`` values becomes channels, so that no
    convolution runs at full resolution. The result goes through diffusers' AutoencoderKL (Rombach et al. 2022, section
    3.1). Latents are normalised to zero mean and unit variance per channel.

    Args:
        mel: fields of the MelConfig it was trained on.
        fold_mels, fold_frames: size of the blocks that become channels.
        latent_fold: side of the square blocks of latents that become channels, which reduces the denoiser's work; 1
            leaves the latents unchanged.
        latent_channels: channels of the network's latents, before they are patchified again.
        block_out_channels: widths of the levels; every level but the last halves both axes.
        layers_per_block: residual blocks per level.
        mel_mean, mel_std: scaling of log-mels, in nepers.
        levels: number of values that a latent can have, odd (finite scalar quantisation, Mentzer et al. 2023, arXiv
            2309.15505); 0 leaves latents continuous, with a Kullback-Leibler loss.

    Raises:
        ValueError: an even number of levels.

    Examples:
        >>> import torch
        >>> from stylediff import MelAutoencoder
        >>> autoencoder = MelAutoencoder(latent_channels=4, block_out_channels=(16, 16), layers_per_block=1)
        >>> latents = autoencoder.encode(torch.full((1, 1, 256, 64), -7.0))
        >>> latents.shape
        torch.Size([1, 4, 32, 8])
        >>> autoencoder.decode(latents).shape
        torch.Size([1, 1, 256, 64])
    """

    @register_to_config
    def __init__(
        self,
        mel: dict | None = None,
        fold_mels: int = 4,
        fold_frames: int = 4,
        latent_fold: int = 1,
        latent_channels: int = 16,
        block_out_channels: tuple[int, ...] = (128, 192),
        layers_per_block: int = 2,
        mel_mean: float = -4.0,
        mel_std: float = 2.5,
        levels: int = 0,
    ) -> None:
        super().__init__()
        if levels and levels % 2 == 0:
            raise ValueError(f"levels must be odd, got {levels}")
        self.mel = MelConfig(**(mel or {}))
        folded = fold_mels * fold_frames
        self.vae = AutoencoderKL(
            in_channels=folded,
            out_channels=folded,
            down_block_types=("DownEncoderBlock2D",) * len(block_out_channels),
            up_block_types=("UpDecoderBlock2D",) * len(block_out_channels),
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            latent_channels=latent_channels,
            norm_num_groups=16,
            mid_block_add_attention=False,
        )
        self.register_buffer("latents_mean", torch.zeros(latent_channels))
        self.register_buffer("latents_std", torch.ones(latent_channels))

    @property
    def mel_stride(self) -> int:
        """Mel bands a latent row covers."""
        return self.config.fold_mels * self.config.latent_fold * 2 ** (len(self.config.block_out_channels) - 1)

    @property
    def frame_stride(self) -> int:
        """Frames a latent column covers."""
        return self.config.fold_frames * self.config.latent_fold * 2 ** (len(self.config.block_out_channels) - 1)

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.config.latent_channels * self.config.latent_fold**2

    @property
    def latent_rows(self) -> int:
        return self.mel.n_mels // self.mel_stride

    def latent_columns(self, frames: int) -> int:
        """Number of latent columns that cover a number of frames."""
        return -(-frames // self.frame_stride)

    def fold(self, mel: torch.Tensor) -> torch.Tensor:
        """Patchify log-mels for the network.

        Nepers of the shape (batch, 1, mels, frames) become (batch, folded, mels / f, frames / f).

        Frames are padded at the end with silence to a whole number of latent columns.
        """
        missing = -mel.shape[-1] % self.frame_stride
        padded = nn.functional.pad(mel, (0, missing), value=self.mel.log_floor)
        batch, _, mels, frames = padded.shape
        rows, columns = self.config.fold_mels, self.config.fold_frames
        blocks = padded.reshape(batch, mels // rows, rows, frames // columns, columns)
        folded = blocks.permute(0, 2, 4, 1, 3).reshape(batch, rows * columns, mels // rows, frames // columns)
        return (folded - self.config.mel_mean) / self.config.mel_std

    def unfold(self, folded: torch.Tensor) -> torch.Tensor:
        """Invert ``fold``, except for the padding."""
        rows, columns = self.config.fold_mels, self.config.fold_frames
        batch, _, height, width = folded.shape
        blocks = folded.reshape(batch, rows, columns, height, width).permute(0, 3, 1, 4, 2)
        mel = blocks.reshape(batch, 1, height * rows, width * columns)
        return mel * self.config.mel_std + self.config.mel_mean

    def bound(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents between the lowest and the highest level; unchanged without levels."""
        return torch.tanh(latents) * (self.config.levels // 2) if self.config.levels else latents

    def snap(self, latents: torch.Tensor) -> torch.Tensor:
        """Round bounded latents to levels; gradients pass straight through."""
        if not self.config.levels:
            return latents
        half = self.config.levels // 2
        return latents + (latents.round().clamp(-half, half) - latents).detach()

    @apply_forward_hook
    def encode(self, mel: torch.Tensor) -> torch.Tensor:
        """Normalised latents of log-mels.

        Args:
            mel: (batch, 1, mels, frames).

        Returns:
            (batch, channels, rows, columns), the mode of the posterior, or its nearest levels.
        """
        latents = self.snap(self.bound(self.vae.encode(self.fold(mel)).latent_dist.mode()))
        normalised = (latents - self.latents_mean[:, None, None]) / self.latents_std[:, None, None]
        return nn.functional.pixel_unshuffle(normalised, self.config.latent_fold)

    @apply_forward_hook
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Log-mels of normalised latents, never below the floor.

        Args:
            latents: (batch, channels, rows, columns).

        Returns:
            (batch, 1, mels, columns * frame_stride).
        """
        normalised = nn.functional.pixel_shuffle(latents, self.config.latent_fold)
        latents = self.snap(normalised * self.latents_std[:, None, None] + self.latents_mean[:, None, None])
        return self.unfold(self.vae.decode(latents).sample).clamp_min(self.mel.log_floor)

    def forward(self, mel: torch.Tensor, generator: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruction of log-mels through a sampled latent, for training.

        Returns:
            The reconstruction, (batch, 1, mels, frames) without the floor applied, and the posterior's
            Kullback-Leibler divergence from the standard normal, averaged over latent values. With levels it is 0.
        """
        posterior = self.vae.encode(self.fold(mel)).latent_dist
        if self.config.levels:
            latents = self.snap(self.bound(posterior.mode()))
            return self.unfold(self.vae.decode(latents).sample)[..., : mel.shape[-1]], latents.new_zeros(())
        reconstruction = self.unfold(self.vae.decode(posterior.sample(generator)).sample)
        return reconstruction[..., : mel.shape[-1]], posterior.kl().mean() / posterior.mean[0].numel()
