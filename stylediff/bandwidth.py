"""Full band: the sound above the model's highest frequency.

The networks work at 22,050 Hz. The upper band, from 10.8 to 21.8 kHz, gets its levels from a small network that sees
the log-mel, and its waveform from the octave below, shifted up, and from noise.
"""

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn
from torch.nn.functional import interpolate, pad

from stylediff.mel import LEVEL_SCALE, MelConfig
from stylediff.phase_reconstruction import overlap_add
from stylediff.public import public
from stylediff.windows import map_blocks

FACTOR = 2  # rate of the full band, relative to the model's
N_FFT, HOP_LENGTH = 2048, 512  # at that rate; a frame of the mel has one of these
FIRST_BIN, BAND_BINS, BANDS = 500, 32, 16
SHIFTS = (256, 512)  # bins; multiples of N_FFT / HOP_LENGTH, so that shifted frames keep fitting together
LEVEL_FLOOR = -9.0  # nepers: noise at -107 dBFS, below that of 16 bits
LOST = 0.06  # nepers by which frames that do not quite fit together are too quiet
NOISE_SHARE = 0.5  # of the power of the upper band
SEED = 0
BLOCK_FRAMES, MARGIN_FRAMES = 2048, 8  # made at a time, and seen on each side: a frame reaches over two others


@public
class BandExtender(ModelMixin, ConfigMixin):
    """Predicts the levels of the upper band from a log-mel.

    Args:
        mel: fields of the MelConfig it was trained on.
        width: channels.
        layers: residual layers, each with a convolution over five frames.

    Examples:
        >>> import torch
        >>> from stylediff import BandExtender
        >>> extender = BandExtender(width=16, layers=1)
        >>> extender(torch.zeros(1, 1, 256, 40)).shape
        torch.Size([1, 16, 40])
    """

    @register_to_config
    def __init__(self, mel: dict | None = None, width: int = 128, layers: int = 4) -> None:
        super().__init__()
        self.mel = MelConfig(**(mel or {}))
        self.enter = nn.Conv1d(self.mel.n_mels + BANDS + 1, width, 1)
        self.residuals = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, width, 5, padding=2), nn.GELU(), nn.Conv1d(width, width, 1))
            for _ in range(layers)
        )
        self.leave = nn.Conv1d(width, BANDS, 1)

    def forward(self, mel: torch.Tensor, hint: torch.Tensor | None = None) -> torch.Tensor:
        """Levels of the upper band, nepers.

        Args:
            mel: log-mels (batch, 1, mels, frames).
            hint: levels of the source's upper band, (batch, bands, frames); NaN in frames without one.

        Returns:
            (batch, bands, frames), never below ``LEVEL_FLOOR``.
        """
        lower = (mel[:, 0] - self.mel.log_floor) / LEVEL_SCALE
        if hint is None:
            hint = lower.new_full((len(lower), BANDS, lower.shape[-1]), torch.nan)
        known = ~hint.isnan()
        scaled = torch.where(known, (hint - LEVEL_FLOOR) / LEVEL_SCALE, 0)
        hidden = self.enter(torch.cat([lower, scaled, known[:, :1].to(lower)], dim=1))
        for layer in self.residuals:
            hidden = hidden + layer(nn.functional.gelu(hidden))
        return (LEVEL_FLOOR + LEVEL_SCALE * self.leave(hidden)).clamp_min(LEVEL_FLOOR)


def full_spectrum(waveform: torch.Tensor) -> torch.Tensor:
    """Spectra (bins, frames) of (samples,) at the full band's rate.

    There is one for each frame of the mel.
    """
    side = (N_FFT - HOP_LENGTH) // 2
    padded = pad(waveform, (side, side + -len(waveform) % HOP_LENGTH))
    window = torch.hann_window(N_FFT, device=waveform.device)
    return torch.fft.rfft(padded.unfold(0, N_FFT, HOP_LENGTH) * window).T


def from_spectrum(spectra: torch.Tensor, samples: int) -> torch.Tensor:
    """Invert ``full_spectrum``; (samples,)."""
    window = torch.hann_window(N_FFT, device=spectra.device)
    summed = overlap_add((torch.fft.irfft(spectra.T, N_FFT) * window)[None], HOP_LENGTH)[0]
    first = (N_FFT - HOP_LENGTH) // 2
    return summed[first : first + samples] / (window.square().sum() / HOP_LENGTH)


def band_power(upper: torch.Tensor) -> torch.Tensor:
    """Mean power of the bands of (BANDS * BAND_BINS, frames); (BANDS, frames)."""
    return upper.abs().square().reshape(BANDS, BAND_BINS, -1).mean(1)


def upper_levels(waveform: torch.Tensor) -> torch.Tensor:
    """Levels (BANDS, frames) of the upper band of a sound, nepers.

    Args:
        waveform: (samples,) at the full band's rate.
    """

    def measure(frames: slice) -> torch.Tensor:
        spectra = full_spectrum(waveform[frames.start * HOP_LENGTH : frames.stop * HOP_LENGTH])
        return 0.5 * band_power(spectra[FIRST_BIN : FIRST_BIN + BANDS * BAND_BINS]).clamp_min(1e-20).log()

    frames = -(-len(waveform) // HOP_LENGTH)
    return map_blocks(measure, frames, BLOCK_FRAMES, MARGIN_FRAMES).clamp_min(LEVEL_FLOOR)


def add_upper_band(waveform: torch.Tensor, levels: torch.Tensor, noise_share: float = NOISE_SHARE) -> torch.Tensor:
    """Add an upper band of given levels to a sound.

    Args:
        waveform: (samples,) at the full band's rate, without an upper band.
        levels: (BANDS, frames), nepers.
        noise_share: of the power of the band; the rest is the octave below.

    Returns:
        (samples,).
    """
    noise = torch.randn(len(waveform), generator=torch.Generator().manual_seed(SEED)).to(waveform)

    def make(part: slice) -> torch.Tensor:
        shown = levels[:, part.start // HOP_LENGTH : -(-part.stop // HOP_LENGTH)]
        return waveform[part] + upper_band(waveform[part], noise[part], shown, noise_share)

    return map_blocks(make, len(waveform), BLOCK_FRAMES * HOP_LENGTH, MARGIN_FRAMES * HOP_LENGTH)


def upper_band(waveform: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor, noise_share: float) -> torch.Tensor:
    """Upper band of given levels for a sound, (samples,).

    Args:
        waveform, noise: (samples,).
        levels: (BANDS, frames), nepers.
        noise_share: of the power of the band.
    """
    spectra = full_spectrum(waveform)
    half = FIRST_BIN + BANDS * BAND_BINS // 2
    last = FIRST_BIN + BANDS * BAND_BINS
    shifted = torch.cat(
        [spectra[FIRST_BIN - SHIFTS[0] : half - SHIFTS[0]], spectra[half - SHIFTS[1] : last - SHIFTS[1]]]
    )
    noisy = full_spectrum(noise)[FIRST_BIN:last]
    upper = (1 - noise_share) ** 0.5 * whiten(shifted) + noise_share**0.5 * whiten(noisy)
    frames = min(upper.shape[-1], levels.shape[-1])
    if frames == 0:
        return torch.zeros_like(waveform)
    wanted = interpolate(levels[None, :, :frames].transpose(1, 2), BANDS * BAND_BINS, mode="linear")[0].T
    complete = torch.zeros_like(spectra)
    complete[FIRST_BIN:last, :frames] = whiten(upper[:, :frames]) * (wanted + LOST).exp() * (wanted > LEVEL_FLOOR)
    return from_spectrum(complete, len(waveform))


def whiten(upper: torch.Tensor) -> torch.Tensor:
    """Give every band of (BANDS * BAND_BINS, frames) unit power.

    Silence stays silent.
    """
    power = band_power(upper).repeat_interleave(BAND_BINS, dim=0)
    return upper * power.clamp_min(1e-12).rsqrt()
