"""Remove noise, and fill in what a codec lost.

The restorer, a MelEnhancer that was trained on damaged clips, predicts the log-mel of the clean sound. From the moments
that it holds for noise comes the power of the noise in each bin, and from that Wiener gains with a decision-directed
estimate of the sound (Ephraim and Malah 1984). The restorer's own gains join them. Phases stay. What a codec lost comes
from the vocoder, which is given the predicted log-mel.
"""

from collections.abc import Callable
from functools import lru_cache

import librosa
import numpy as np
import scipy.ndimage
import torch

from stylediff.audio import fit_length, resample, to_mono
from stylediff.checkpoint import SHIPPED
from stylediff.denoising import Noise, frame_length, spectrogram, subtract_hum
from stylediff.enhancer import MelEnhancer
from stylediff.mel import MelConfig, mel_edges, normalized_mel
from stylediff.windows import map_blocks, map_windows

WINDOW_FRAMES, OVERLAP_FRAMES = 448, 64
LOWEST_GAIN = 10 ** (-24 / 20)
NOISY_GAIN = 0.5  # moments to which the restorer gives less are noise
FEWEST_NOISY = 0.05  # share of moments from which a bin's noise is taken; others are interpolated
SMOOTH_BINS = 9
SMOOTHING = 0.92  # of the decision-directed estimate
RESTORER_SHARE = 0.25  # exponent of the restorer's own gains
BLOCK_FRAMES, MARGIN_FRAMES = 2048, 64  # of the spectrum, made at a time
LEAST_LOSS = 0.5  # nepers; smaller differences are errors of the prediction

Vocoder = Callable[[torch.Tensor], torch.Tensor]  # log-mels to waveforms at the model's rate


@lru_cache(maxsize=1)
def load_restorer() -> MelEnhancer:
    """Load the restorer that ships."""
    return MelEnhancer.from_pretrained(SHIPPED / "restorer", torch_dtype=torch.float32).eval()


def hint_of(mel: torch.Tensor, is_coded: bool) -> torch.Tensor:
    """Second input of the restorer, which names the kind of damage.

    It is silence for a codec's damage, else the log-mel itself. Otherwise one network could not learn both: it must
    raise what is quiet after a codec, and lower it in noise.
    """
    return torch.full_like(mel, MelConfig().log_floor) if is_coded else mel


@torch.no_grad()
def predict_clean(
    restorer: MelEnhancer, waveform: torch.Tensor, sample_rate: int, is_coded: bool = False
) -> tuple[torch.Tensor, np.ndarray, float]:
    """Predict the log-mel of the clean sound.

    Returns it, (1, 1, mels, frames), its difference from that of the sound, (mels, frames) in nepers, and the gain by
    which the sound was made louder.

    Args:
        waveform: (channels, samples).
        is_coded: True if a codec did the damage, False for noise.
    """
    mel, gain = normalized_mel(to_mono(waveform, sample_rate, restorer.mel.sample_rate), restorer.mel)
    clean = map_windows(lambda part: restorer(part, hint_of(part, is_coded)), mel, WINDOW_FRAMES, OVERLAP_FRAMES)
    return clean, (clean - mel)[0, 0].double().numpy(), gain


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


class HissReducer:
    """Reduces the hiss of one sound.

    Args:
        restorer: predicts the clean sound.
        waveform: (channels, samples) in [-1, 1].
        sample_rate: Hz.
        amount: 0 to 1; the most that is removed, in parts of 24 dB.
    """

    def __init__(self, restorer: MelEnhancer, waveform: torch.Tensor, sample_rate: int, amount: float) -> None:
        self.waveform, self.sample_rate, self.amount, self.mel = waveform, sample_rate, amount, restorer.mel
        self.n_fft = frame_length(sample_rate)
        self.hop = self.n_fft // 4
        self.hz = np.fft.rfftfreq(self.n_fft, 1 / sample_rate)
        self.change = predict_clean(restorer, waveform, sample_rate)[1]

    def spectra(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Spectra and the restorer's gains for a slice.

        Their shapes are (channels, bins, columns) and (bins, columns).
        """
        samples = self.waveform[:, part].double().numpy()
        seconds = (part.start + self.hop * np.arange(1 + samples.shape[1] // self.hop)) / self.sample_rate
        gains = np.exp(np.minimum(0, spread(self.change, self.mel, self.hz, seconds)))
        return spectrogram(samples, self.sample_rate), gains

    def noise_power(self) -> np.ndarray:
        """Power of the noise, (channels, bins); 0 where there is none."""
        channels, samples = self.waveform.shape
        total, count, columns = np.zeros((channels, len(self.hz))), np.zeros(len(self.hz)), 0
        for first in range(0, samples, BLOCK_FRAMES * self.hop):
            spectra, gains = self.spectra(slice(first, min(samples, first + BLOCK_FRAMES * self.hop)))
            is_noise = gains < NOISY_GAIN
            total += (np.abs(spectra) ** 2 * is_noise).sum(-1)
            count += is_noise.sum(-1)
            columns += gains.shape[1]
        is_known = count > FEWEST_NOISY * columns
        if not is_known.any():
            return np.zeros_like(total)
        bins = np.arange(len(self.hz))
        logs = np.log(total[:, is_known] / count[is_known] + 1e-16)
        whole = np.stack([np.interp(bins, bins[is_known], channel) for channel in logs])
        return np.exp(scipy.ndimage.uniform_filter1d(whole, SMOOTH_BINS, axis=1))

    def make(self, part: slice, noise: np.ndarray) -> torch.Tensor:
        """Clean a slice; (channels, samples).

        Args:
            noise: of ``noise_power``.
        """
        spectra, gains = self.spectra(part)
        lowest = LOWEST_GAIN**self.amount
        wiener = wiener_gains(np.abs(spectra) ** 2, noise, lowest)
        spectra *= np.maximum(lowest, wiener * gains ** (RESTORER_SHARE * self.amount))
        length = part.stop - part.start
        made = librosa.istft(spectra, n_fft=self.n_fft, length=length)
        return torch.from_numpy(made).to(self.waveform.dtype)

    def reduce(self) -> torch.Tensor:
        """Return the sound with less hiss, (channels, samples)."""
        noise = self.noise_power()
        block, margin = BLOCK_FRAMES * self.hop, MARGIN_FRAMES * self.hop
        return map_blocks(lambda part: self.make(part, noise), self.waveform.shape[1], block, margin)


def wiener_gains(power: np.ndarray, noise: np.ndarray, lowest: float) -> np.ndarray:
    """Wiener gains with a decision-directed estimate of the sound.

    Source: Ephraim and Malah 1984, eq. 51.

    Args:
        power: of the noisy sound, (channels, bins, columns).
        noise: power of the noise, (channels, bins).
        lowest: least gain.
    """
    posterior = power / np.maximum(noise, 1e-16)[..., None]
    gains, clean = np.empty_like(power), posterior[..., 0]
    for column in range(power.shape[-1]):
        prior = SMOOTHING * clean + (1 - SMOOTHING) * np.maximum(posterior[..., column] - 1, 0)
        gains[..., column] = np.maximum(prior / (1 + prior), lowest)
        clean = gains[..., column] ** 2 * posterior[..., column]
    return gains


def fill_lost(
    restorer: MelEnhancer, vocoder: Vocoder, waveform: torch.Tensor, sample_rate: int, amount: float
) -> torch.Tensor:
    """Add what a codec lost.

    The vocoder makes sound of the predicted clean log-mel. Of it comes what the sound lacks, which is mostly above the
    codec's cutoff. Nothing is made above the bands of the log-mel.

    Args:
        waveform: (channels, samples) in [-1, 1].
        sample_rate: Hz.
        amount: 0 to 1, scale of what is added.

    Returns:
        Like ``waveform``.
    """
    config = restorer.mel
    clean, change, gain = predict_clean(restorer, waveform, sample_rate, is_coded=True)
    share = np.where(change > LEAST_LOSS, np.sqrt(1 - np.exp(-2 * np.maximum(change, 0))), 0)
    with torch.no_grad():
        made = resample(vocoder(clean)[0] / gain, config.sample_rate, sample_rate)
    made = fit_length(made, waveform.shape[1])
    n_fft = frame_length(sample_rate)
    hop = n_fft // 4
    hz = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    in_bands = (hz <= config.fmax_hz)[:, None]

    def make(part: slice) -> torch.Tensor:
        spectra = spectrogram(made[part].double().numpy(), sample_rate)
        seconds = (part.start + hop * np.arange(spectra.shape[-1])) / sample_rate
        spectra *= in_bands * spread(share, config, hz, seconds)
        return torch.from_numpy(librosa.istft(spectra, n_fft=n_fft, length=part.stop - part.start))[None]

    lost = map_blocks(make, waveform.shape[1], BLOCK_FRAMES * hop, MARGIN_FRAMES * hop).to(waveform.dtype)
    levels = waveform.square().mean(1, keepdim=True).sqrt()
    return waveform + amount * lost * levels / levels.mean().clamp_min(1e-12)


def remove_noise(
    waveform: torch.Tensor, sample_rate: int, noise: Noise, amount: float, vocoder: Vocoder | None = None
) -> torch.Tensor:
    """Remove steady noise, and fill in what a codec lost.

    Where nothing was found, or the amount is 0, every sample stays as it is.

    Args:
        waveform: (channels, samples) in [-1, 1].
        sample_rate: Hz.
        noise: what ``find_noise`` found.
        amount: 0 to 1.
        vocoder: None fills in nothing.
    """
    if amount == 0:
        return waveform
    cleaned = waveform
    if noise.hum_hz is not None:
        cleaned = waveform.clone()
        for channel in cleaned:
            channel -= amount * torch.from_numpy(subtract_hum(channel.double().numpy(), sample_rate, noise.hum_hz))
    if noise.snr_db is not None:
        cleaned = HissReducer(load_restorer(), cleaned, sample_rate, amount).reduce()
    if noise.cutoff_hz is not None and vocoder is not None:
        cleaned = fill_lost(load_restorer(), vocoder, cleaned, sample_rate, amount)
    return cleaned
