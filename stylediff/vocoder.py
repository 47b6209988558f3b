"""Log-mels to waveforms by a trained network: ConvNeXt blocks and an inverse Fourier transform."""

import math
from functools import lru_cache

import librosa
import numpy as np
import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn

from stylediff.mel import MelConfig, mel_filters
from stylediff.public import public

LEVEL_SCALE = 4.0  # nepers above the floor that the network sees as 1


@lru_cache(maxsize=4)
def bin_weights(config: MelConfig, n_fft: int) -> torch.Tensor:
    """Weights that interpolate mel bands to the bins of a transform, shape (n_fft // 2 + 1, mels); rows sum to 1."""
    centres = librosa.mel_frequencies(config.n_mels + 2, fmin=config.fmin_hz, fmax=config.fmax_hz)[1:-1]
    bins = np.linspace(0, config.sample_rate / 2, n_fft // 2 + 1)
    weights = np.stack([np.interp(bins, centres, band) for band in np.eye(config.n_mels)], axis=1)
    return torch.from_numpy(weights).float()


@lru_cache(maxsize=4)
def bin_offsets(config: MelConfig, n_fft: int) -> torch.Tensor:
    """What to add to interpolated log-mels to make them log-magnitudes of a steady tone's bins, (n_fft // 2 + 1,)."""
    # A mel band is a weighted sum of bins. A filter narrower than a bin may hold none: its row sum is then 0.
    gains = mel_filters(config).sum(1).clamp_min(1e-3).log()
    return math.log(n_fft / config.n_fft) - bin_weights(config, n_fft) @ gains


def inverse_stft(spectrum: torch.Tensor, n_fft: int, hop_length: int) -> torch.Tensor:
    """Waveform of a short-time Fourier transform whose frame t is centred on sample ``(t + 0.5) * hop_length``.

    Windowed frames are overlapped, added and divided by the summed squared window (Griffin and Lim 1984, eq. 6).

    Args:
        spectrum: (batch, n_fft // 2 + 1, frames), complex.

    Returns:
        (batch, frames * hop_length).
    """
    frames = spectrum.shape[-1]
    pad = (n_fft - hop_length) // 2
    window = torch.hann_window(n_fft, device=spectrum.device)[:, None]
    pieces = torch.fft.irfft(spectrum, n_fft, dim=1) * window
    weights = window.square().expand(1, n_fft, frames)
    padded = (1, (frames - 1) * hop_length + n_fft)
    summed, weight = (
        nn.functional.fold(values, padded, (1, n_fft), stride=(1, hop_length))[:, 0, 0, pad : padded[1] - pad]
        for values in (pieces, weights)
    )
    return summed / weight


class ConvNextBlock(nn.Module):
    """ConvNeXt block in one dimension (Liu et al. 2022, figure 4), (batch, width, frames) to the same shape."""

    def __init__(self, width: int, expansion: int, initial_scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), initial_scale))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        branch = self.norm(self.depthwise(hidden).transpose(1, 2))
        branch = self.narrow(nn.functional.gelu(self.widen(branch)))
        return hidden + (self.scale * branch).transpose(1, 2)


@public
class Vocoder(ModelMixin, ConfigMixin):
    """Turns log-mels into sound, with Vocos's layout (Siuzdak 2023, arXiv 2306.00814).

    The network predicts the phase of each bin, and its magnitude relative to the one that the mel itself shows there,
    so that training starts from the right spectrum. Bands at the floor fade to exact silence.

    Args:
        mel: fields of the MelConfig it was trained on.
        blocks: ConvNeXt blocks.
        width: channels between blocks.
        expansion: channels inside a block, over ``width``.
        synthesis_n_fft: window of the inverse transform, samples; None is the mel's own. Shorter than the mel's, it
            keeps attacks sharp.
    """

    @register_to_config
    def __init__(
        self,
        mel: dict | None = None,
        blocks: int = 8,
        width: int = 288,
        expansion: int = 3,
        synthesis_n_fft: int | None = 1024,
    ) -> None:
        super().__init__()
        self.mel = MelConfig(**(mel or {}))
        self.n_fft = synthesis_n_fft or self.mel.n_fft
        if self.n_fft % self.mel.hop_length or self.n_fft < 2 * self.mel.hop_length or self.n_fft % 2:
            raise ValueError(
                f"synthesis_n_fft {self.n_fft} must be two or more hops of {self.mel.hop_length}, and even"
            )
        self.embed = nn.Conv1d(self.mel.n_mels, width, 7, padding=3)
        self.embed_norm = nn.LayerNorm(width)
        self.backbone = nn.ModuleList(ConvNextBlock(width, expansion, 1 / blocks) for _ in range(blocks))
        self.head_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.n_fft + 2)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=0.02)
        # A phase of pi on every other bin moves a frame's energy from its edge, where the window is 0, to its middle.
        nn.init.constant_(self.head.bias[self.n_fft // 2 + 2 :: 2], math.pi)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Waveform of log-mels.

        Args:
            mel: (batch, 1, mels, frames) in nepers.

        Returns:
            (batch, frames * hop_length), float32 whatever the weights are.
        """
        level = (mel[:, 0].float() - self.mel.log_floor).clamp_min(0)
        hidden = self.embed((level / LEVEL_SCALE).to(self.dtype))
        hidden = self.embed_norm(hidden.transpose(1, 2)).transpose(1, 2)
        for block in self.backbone:
            hidden = block(hidden)
        relative, phase = self.head(self.head_norm(hidden.transpose(1, 2))).transpose(1, 2).chunk(2, dim=1)
        with torch.autocast(mel.device.type, enabled=False):
            return self.synthesize(level, relative.float(), phase.float())

    def synthesize(self, level: torch.Tensor, relative: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
        """Waveform, (batch, frames * hop_length), of what the network predicts.

        Args:
            level: (batch, mels, frames), nepers above the floor.
            relative: (batch, n_fft // 2 + 1, frames), log-magnitude over the mel's own.
            phase: (batch, n_fft // 2 + 1, frames), radians.
        """
        level = bin_weights(self.mel, self.n_fft).to(level) @ level
        offsets = bin_offsets(self.mel, self.n_fft).to(level) + self.mel.log_floor
        loudest = math.log(self.n_fft / 2)  # magnitude of a full-scale constant under the window
        magnitude = (level + offsets[:, None] + relative).clamp_max(loudest).exp() * level.clamp_max(1)
        return inverse_stft(torch.polar(magnitude, phase), self.n_fft, self.mel.hop_length)
