"""Vocoder: a network predicts magnitudes from log-mels, and phases are reconstructed."""

from functools import lru_cache

import numpy as np
import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn

from stylediff.mel import LEVEL_SCALE, MelConfig, mel_edges, mel_filters
from stylediff.phase_reconstruction import SMALLEST, inverse_transform, refine_phases, track_phases
from stylediff.public import public
from stylediff.windows import crossfade

WINDOW_FRAMES = 1024  # longer mels are synthesized window by window
SHARED_FRAMES = 16  # overlap of two windows, with the same phases in both, for the crossfade
LOOSE_FRAMES = 16  # end of a window that is discarded, because the next one has more context there
FITS = 4  # multiplicative updates that make magnitudes agree with the mel


@lru_cache(maxsize=4)
def bin_weights(config: MelConfig) -> torch.Tensor:
    """Weights that interpolate mel bands to bins.

    Their shape is (n_fft // 2 + 1, mels); rows sum to 1.
    """
    centres = mel_edges(config)[1:-1]
    bins = np.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1)
    weights = np.stack([np.interp(bins, centres, band) for band in np.eye(config.n_mels)], axis=1)
    return torch.from_numpy(weights).float()


@lru_cache(maxsize=4)
def bin_offsets(config: MelConfig) -> torch.Tensor:
    """Offsets from interpolated log-mels to log-magnitudes of a steady tone.

    Their shape is (n_fft // 2 + 1,).
    """
    # A mel band is a weighted sum of bins. A filter narrower than a bin may contain none: its row sum is then 0.
    gains = mel_filters(config).sum(1).clamp_min(1e-3).log()
    return -bin_weights(config) @ gains


@lru_cache(maxsize=4)
def bin_shares(config: MelConfig) -> torch.Tensor:
    """Share of each mel filter in a bin.

    The shape is (n_fft // 2 + 1, mels); rows sum to 1, or to 0 where no filter reaches.
    """
    filters = mel_filters(config)
    return (filters / filters.sum(0).clamp_min(SMALLEST)).T.contiguous()


def fit_magnitudes(magnitude: torch.Tensor, target: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Fit magnitudes to a mel spectrogram by multiplicative updates.

    Source: Lee and Seung 2000.

    Args:
        magnitude: (batch, n_fft // 2 + 1, frames).
        target: (batch, mels, frames), linear magnitudes.

    Returns:
        Magnitudes in the same shape; 0 in bins that only silent bands cover.
    """
    filters, shares = mel_filters(config).to(magnitude), bin_shares(config).to(magnitude)
    for _ in range(FITS):
        ratio = target / (filters @ magnitude).clamp_min(SMALLEST)
        magnitude = magnitude * (shares @ ratio)
    return magnitude


class ConvNextBlock(nn.Module):
    """ConvNeXt block in one dimension.

    Source: Liu et al. 2022, figure 4. (batch, width, frames) keeps its shape.
    """

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
    """Synthesizes waveforms from log-mels, with the backbone of Vocos.

    Source: Siuzdak 2023, arXiv 2306.00814.

    The network predicts the magnitude of each bin relative to the interpolated mel, so that training starts from the
    right spectrum; the result is fitted to the mel. Phases are reconstructed from the magnitudes: partials are tracked,
    then a few Griffin-Lim iterations make the frames agree. Bands at the floor get the noise that usually lies below
    it, but frames with all bands at the floor are exactly silent.

    Args:
        mel: fields of the MelConfig it was trained on.
        blocks: ConvNeXt blocks.
        width: channels between blocks.
        expansion: channels inside a block, as a multiple of ``width``.
        refinements: Griffin-Lim iterations that refine the phases.
        hidden_share: magnitude of bands at the floor while others sound, as a share of the floor.

    Examples:
        >>> import torch
        >>> from stylediff import Vocoder
        >>> vocoder = Vocoder(blocks=1, width=16)
        >>> silence = torch.full((1, 1, 256, 64), -7.0)
        >>> waveform = vocoder(silence)
        >>> waveform.shape, bool(waveform.any())
        (torch.Size([1, 16384]), False)
    """

    @register_to_config
    def __init__(
        self,
        mel: dict | None = None,
        blocks: int = 8,
        width: int = 288,
        expansion: int = 3,
        refinements: int = 6,
        hidden_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.mel = MelConfig(**(mel or {}))
        self.embed = nn.Conv1d(self.mel.n_mels, width, 7, padding=3)
        self.embed_norm = nn.LayerNorm(width)
        self.backbone = nn.ModuleList(ConvNextBlock(width, expansion, 1 / blocks) for _ in range(blocks))
        self.head_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.mel.n_fft // 2 + 1)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Waveform of log-mels.

        Args:
            mel: (batch, 1, mels, frames) in nepers.

        Returns:
            (batch, frames * hop_length), float32 for weights of any precision.
        """
        step = WINDOW_FRAMES - SHARED_FRAMES - LOOSE_FRAMES
        sound = mel.new_empty(0)
        known: torch.Tensor | None = None
        for start in range(0, max(1, mel.shape[-1] - WINDOW_FRAMES + step), step):
            waveform, phasor = self.synthesize_window(mel[..., start : start + WINDOW_FRAMES], known)
            if start:
                kept = sound[..., : (start + SHARED_FRAMES) * self.mel.hop_length]
                sound = crossfade(kept, waveform, SHARED_FRAMES * self.mel.hop_length)
            else:
                sound = waveform
            known = phasor[..., step : step + SHARED_FRAMES]
        return sound

    def synthesize_window(
        self, mel: torch.Tensor, known: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Waveform (batch, frames * hop_length) of log-mels, and its phasors.

        Args:
            known: phasors of the first frames, which are not changed.
        """
        magnitude = self.predict_magnitudes(mel)
        phasor = self.find_phases(magnitude, known)
        return inverse_transform(magnitude * phasor, self.mel), phasor

    def predict_magnitudes(self, mel: torch.Tensor) -> torch.Tensor:
        """Predict magnitudes from log-mels.

        Log-mels (batch, 1, mels, frames) become float32 magnitudes (batch, n_fft // 2 + 1, frames).
        """
        level = (mel[:, 0].float() - self.mel.log_floor).clamp_min(0)
        hidden = self.embed((level / LEVEL_SCALE).to(self.dtype))
        hidden = self.embed_norm(hidden.transpose(1, 2)).transpose(1, 2)
        for block in self.backbone:
            hidden = block(hidden)
        relative = self.head(self.head_norm(hidden.transpose(1, 2))).transpose(1, 2)
        with torch.autocast(mel.device.type, enabled=False):
            shown = bin_weights(self.mel).to(level) @ level + bin_offsets(self.mel).to(level)[:, None]
            # The loudest magnitude is that of a full-scale constant under the window.
            log = (shown + self.mel.log_floor + relative.float()).clamp_max(float(np.log(self.mel.n_fft / 2)))
            shown_bands = level > 0
            share = torch.where(shown_bands, level.exp(), self.config.hidden_share)  # as a share of the floor
            target = share * shown_bands.any(dim=1, keepdim=True) * float(np.exp(self.mel.log_floor))
            return fit_magnitudes(log.exp(), target, self.mel)

    def synthesize(self, magnitude: torch.Tensor) -> torch.Tensor:
        """Synthesize a waveform from magnitudes.

        Magnitudes (batch, n_fft // 2 + 1, frames) become (batch, frames * hop_length).

        Gradients flow to the magnitudes; phases count as constants.
        """
        with torch.autocast(magnitude.device.type, enabled=False):
            return inverse_transform(magnitude * self.find_phases(magnitude), self.mel)

    @torch.no_grad()
    def find_phases(self, magnitude: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct phases and return complex unit phasors.

        Args:
            known: phasors of the first frames, which are not changed.
        """
        with torch.autocast(magnitude.device.type, enabled=False):
            if known is None:
                phase = track_phases(magnitude, self.mel)
            else:
                rest = track_phases(magnitude[..., known.shape[-1] :], self.mel, known[..., -1].angle())
                phase = torch.cat([known.angle(), rest], dim=-1)
            return refine_phases(magnitude, phase, self.mel, self.config.refinements, known)
