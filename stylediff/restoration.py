"""Restore noisy and badly coded sound with a network.

The restorer, a MelEnhancer that was trained on damaged clips, predicts the log-mel of the clean sound. Its differences
from the log-mel of the clip become gains of the clip's own spectrum, so phases stay. Where a codec left less than a
gain can raise, the vocoder's sound of the predicted log-mel is added.
"""

from collections.abc import Callable

import librosa
import numpy as np
import torch

from stylediff.audio import fit_length, resample, to_mono
from stylediff.enhancer import MelEnhancer
from stylediff.mel import MelConfig, mel_edges, normalized_mel
from stylediff.windows import map_blocks, map_windows

WINDOW_FRAMES, OVERLAP_FRAMES = 448, 64
LOWEST_GAIN, HIGHEST_GAIN = -2.8, 0.7  # nepers, -24 and 6 dB
FRAME_S = 0.046
BLOCK_FRAMES, MARGIN_FRAMES = 2048, 8  # of the spectrum, made at a time

Vocoder = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def predict_clean(restorer: MelEnhancer, mel: torch.Tensor) -> torch.Tensor:
    """Log-mel of the clean sound, in the shape (1, 1, mels, frames) of ``mel``."""
    return map_windows(lambda part: restorer(part, part), mel, WINDOW_FRAMES, OVERLAP_FRAMES)


def spread(values: np.ndarray, config: MelConfig, hz: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Interpolate values of a log-mel's bands and frames to a spectrum.

    Args:
        values: (mels, frames).
        hz: frequencies, (bins,); those above the bands get the highest band's values.
        seconds: times, (columns,).

    Returns:
        (bins, columns).
    """
    centres = mel_edges(config)[1:-1]
    by_band = np.stack([np.interp(hz, centres, band) for band in np.eye(len(centres))], axis=1)
    places = np.clip(seconds * config.sample_rate / config.hop_length - 0.5, 0, values.shape[1] - 1)
    left = places.astype(int)
    share = places - left
    right = np.minimum(left + 1, values.shape[1] - 1)
    return by_band @ (values[:, left] * (1 - share) + values[:, right] * share)


def restore(
    waveform: torch.Tensor, sample_rate: int, restorer: MelEnhancer, amount: float, vocoder: Vocoder | None = None
) -> torch.Tensor:
    """Restore a sound.

    Args:
        waveform: (channels, samples) in [-1, 1].
        sample_rate: Hz.
        amount: 0 to 1; scales the gains in nepers, and what is added.
        vocoder: makes sound of a log-mel; without it nothing is added.

    Returns:
        Like ``waveform``.
    """
    config = restorer.mel
    mel, gain = normalized_mel(to_mono(waveform, sample_rate, config.sample_rate), config)
    clean = predict_clean(restorer, mel)
    change = (clean - mel).clamp(LOWEST_GAIN, HIGHEST_GAIN)
    missing = (1 - (2 * (mel + change - clean)).exp()).clamp_min(0).sqrt()[0, 0].double().numpy()
    gains = amount * change[0, 0].double().numpy()
    samples = waveform.shape[-1]
    filling = None
    if vocoder is not None and missing.any():
        with torch.no_grad():
            filling = fit_length(resample(vocoder(clean)[0] / gain, config.sample_rate, sample_rate), samples)
    n_fft = 2 ** round(np.log2(FRAME_S * sample_rate))
    hop = n_fft // 4
    hz = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    in_bands = (hz <= config.fmax_hz)[:, None]

    def make(part: slice) -> torch.Tensor:
        seconds = (part.start + hop * np.arange(1 + (part.stop - part.start) // hop)) / sample_rate
        raised = np.exp(spread(gains, config, hz, seconds))
        added = None if filling is None else amount * in_bands * spread(missing, config, hz, seconds)
        made = []
        for channel in waveform[:, part].double().numpy():
            spectra = raised * librosa.stft(channel, n_fft=n_fft, hop_length=hop)
            if filling is not None:
                spectra += added * librosa.stft(filling[part].double().numpy(), n_fft=n_fft, hop_length=hop)
            made.append(librosa.istft(spectra, n_fft=n_fft, hop_length=hop, length=len(channel)))
        return torch.from_numpy(np.stack(made)).to(waveform.dtype)

    return map_blocks(make, samples, BLOCK_FRAMES * hop, MARGIN_FRAMES * hop)
