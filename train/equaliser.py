"""The equaliser that a model has to beat: one clip brought to another instrument's average spectrum."""

import torch

from stylediff.mel import MelConfig

GAIN_LIMIT_DB = 30.0
EQUALISER_OCTAVES = 1 / 3


def short_time_transform(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Complex spectrogram (n_fft // 2 + 1, frames) of a waveform (samples,), which ``torch.istft`` inverts."""
    window = torch.hann_window(config.n_fft)
    return torch.stft(waveform, config.n_fft, config.hop_length, window=window, return_complex=True)


def average_spectrum(waveforms: list[torch.Tensor], config: MelConfig) -> torch.Tensor:
    """Mean power of waveforms (samples,) in each bin of the transform, (n_fft // 2 + 1,)."""
    return torch.stack([short_time_transform(w, config).abs().square().mean(1) for w in waveforms]).mean(0)


def smooth_octaves(power: torch.Tensor, octaves: float) -> torch.Tensor:
    """A power spectrum (bins,) averaged over a window as wide as that share of an octave around each bin."""
    bins = torch.arange(len(power))
    reach = 2 ** (octaves / 2)
    low = (bins / reach).ceil().long()
    high = (bins * reach).floor().long().clamp_max(len(power) - 1) + 1
    total = torch.nn.functional.pad(power.double().cumsum(0), (1, 0))
    return ((total[high] - total[low]) / (high - low)).to(power)


def match_envelope(waveform: torch.Tensor, target_spectrum: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """The waveform equalised to another average spectrum: what one could do without any model.

    Every bin is scaled by the ratio of the two average spectra, as Ma, Reiss and Black (2013) equalise to a target,
    but smoothed as by a third-octave equaliser and limited to 30 dB either way; phases are kept. Narrower or wider
    smoothing comes less close to the target on average.

    Args:
        waveform: (samples,).
        target_spectrum: (n_fft // 2 + 1,) from ``average_spectrum``.

    Returns:
        (samples,).
    """
    transform = short_time_transform(waveform, config)
    source = smooth_octaves(transform.abs().square().mean(1), EQUALISER_OCTAVES)
    ratio = smooth_octaves(target_spectrum, EQUALISER_OCTAVES) / source.clamp_min(1e-20)
    limit = 10 ** (GAIN_LIMIT_DB / 20)
    gain = ratio.sqrt().clamp(1 / limit, limit)
    window = torch.hann_window(config.n_fft)
    return torch.istft(transform * gain[:, None], config.n_fft, config.hop_length, window=window, length=len(waveform))
