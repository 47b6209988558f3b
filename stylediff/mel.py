"""Log-mel spectrograms: parameters, computation from waveforms, and inversion by Griffin-Lim."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache

import numpy as np
import torch

from stylediff.audio import limit_clicks, loudness_gain

BLOCK_FRAMES = 512
BEND_HZ, MEL_HZ = 1000.0, 200 / 3  # where Slaney's scale becomes logarithmic, and the size of a mel below
LEVEL_SCALE = 4.0  # nepers above the floor that the networks see as 1


@dataclass(frozen=True)
class MelConfig:
    """Parameters that all spectrograms of the project share.

    Attributes:
        sample_rate: Hz.
        n_fft: window and transform length, samples (periodic Hann).
        hop_length: samples between frames; a waveform of ``k * hop_length`` samples has exactly k frames,
            frame t centred on sample ``(t + 0.5) * hop_length``.
        n_mels: mel bands (Slaney scale and normalisation).
        fmin_hz, fmax_hz: edges of the mel bands.
        log_floor: smallest value of a log-mel, in nepers (natural log of mel magnitude): about 78 dB below the
            loudest band of a clip at -23 dBFS.

    Examples:
        >>> from stylediff.mel import MelConfig
        >>> config = MelConfig()
        >>> config.frames(5 * config.sample_rate)
        431
        >>> config.require_same(MelConfig(n_mels=80), "the vocoder")
        Traceback (most recent call last):
        ValueError: the vocoder was made with n_mels=80, but 256 is needed
    """

    sample_rate: int = 22050
    n_fft: int = 2048
    hop_length: int = 256
    n_mels: int = 256
    fmin_hz: float = 30.0
    fmax_hz: float = 11025.0
    log_floor: float = -7.0

    def __post_init__(self) -> None:
        if self.n_fft % self.hop_length or (self.n_fft - self.hop_length) % 2:
            raise ValueError(
                f"n_fft {self.n_fft} must be a multiple of hop_length {self.hop_length}, and their difference even"
            )
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate / 2:
            raise ValueError(f"need 0 <= fmin < fmax <= {self.sample_rate / 2} Hz, got {self.fmin_hz}, {self.fmax_hz}")

    @property
    def pad(self) -> int:
        """Samples added on each side before framing."""
        return (self.n_fft - self.hop_length) // 2

    def frames(self, samples: int) -> int:
        """Number of frames that cover a number of samples."""
        return -(-samples // self.hop_length)

    def seconds(self, frames: int) -> float:
        return frames * self.hop_length / self.sample_rate

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    def require_same(self, other: "MelConfig", owner: str) -> None:
        """Raise ValueError if ``other`` differs, naming the first differing field.

        ``owner`` is the name of what ``other`` belongs to.
        """
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if ours != theirs:
                raise ValueError(f"{owner} was made with {field.name}={theirs}, but {ours} is needed")


def mel_edges(config: MelConfig) -> np.ndarray:
    """Edges and centres of the mel bands in Hz, (mels + 2,).

    Band i reaches from value i to value i + 2; its centre is value i + 1.

    Slaney's scale: linear up to 1 kHz, logarithmic above (Slaney 1998, Auditory Toolbox, technical report 1998-010).
    The numbers are those of ``librosa.mel_frequencies``, whose import takes a second.
    """
    bend_mel, step = BEND_HZ / MEL_HZ, np.log(6.4) / 27

    def to_mel(hz: float) -> float:
        return hz / MEL_HZ if hz < BEND_HZ else bend_mel + np.log(hz / BEND_HZ) / step

    mels = np.linspace(to_mel(config.fmin_hz), to_mel(config.fmax_hz), config.n_mels + 2)
    return np.where(mels < bend_mel, MEL_HZ * mels, BEND_HZ * np.exp(step * (mels - bend_mel)))


@lru_cache(maxsize=4)
def mel_filters(config: MelConfig) -> torch.Tensor:
    """Mel filter bank of triangles of equal area.

    Its shape is (mels, n_fft // 2 + 1). The numbers are those of ``librosa.filters.mel``.
    """
    edges = mel_edges(config)
    bins = np.fft.rfftfreq(config.n_fft, 1 / config.sample_rate)
    distances, widths = edges[:, None] - bins, np.diff(edges)[:, None]
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    areas = (edges[2:] - edges[:-2])[:, None] / 2
    return torch.from_numpy((triangles * (1 / areas)).astype(np.float32))


def transform(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Short-time Fourier transform with centred frames.

    Frame t is centred on sample ``(t + 0.5) * hop_length``.

    Args:
        waveform: (batch, samples); zero-padded to a whole number of hops.

    Returns:
        (batch, n_fft // 2 + 1, frames), complex.
    """
    return transform_padded(pad_frames(waveform, config), config)


def pad_frames(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Pad a waveform (batch, samples) for its first and last frames."""
    missing = -waveform.shape[-1] % config.hop_length
    return torch.nn.functional.pad(waveform, (config.pad, config.pad + missing))


def transform_padded(padded: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Short-time Fourier transform of a padded waveform.

    The first frame starts with the first sample.
    """
    window = torch.hann_window(config.n_fft, device=padded.device, dtype=padded.dtype)
    return torch.stft(padded, config.n_fft, config.hop_length, window=window, center=False, return_complex=True)


def waveform_to_mel(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Log-mel spectrogram in nepers, never below ``config.log_floor``.

    Args:
        waveform: (batch, samples) at ``config.sample_rate``.

    Returns:
        (batch, 1, mels, frames).
    """
    return torch.cat(list(stream_mel(waveform, config)), dim=-1)


def stream_mel(waveform: torch.Tensor, config: MelConfig) -> Iterator[torch.Tensor]:
    """Yield the log-mel of ``waveform_to_mel`` in consecutive pieces.

    ``BLOCK_FRAMES`` are transformed at a time: the transform of a long waveform would take eight times its memory.
    """
    filters, padded = mel_filters(config).to(waveform), pad_frames(waveform, config)
    reach = config.n_fft - config.hop_length
    for start in range(0, padded.shape[-1] - reach, BLOCK_FRAMES * config.hop_length):
        block = padded[:, start : start + BLOCK_FRAMES * config.hop_length + reach]
        mel = filters @ transform_padded(block, config).abs()
        yield mel.clamp_min(float(np.exp(config.log_floor))).log().unsqueeze(1)


def at_working_level(waveform: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return (samples,) at working loudness without its clicks, and the gain.

    The gain is that of ``loudness_gain``.
    """
    gain = loudness_gain(waveform)
    return limit_clicks(waveform) * gain, gain


def normalized_mel(waveform: torch.Tensor, config: MelConfig) -> tuple[torch.Tensor, float]:
    """Return the log-mel of a waveform at working loudness, and the gain.

    Args:
        waveform: (samples,) at ``config.sample_rate``.

    Returns:
        (1, 1, mels, frames) in nepers, and the factor of ``loudness_gain``.
    """
    level, gain = at_working_level(waveform)
    return waveform_to_mel(level[None], config), gain


def is_sounding(mel: torch.Tensor, config: MelConfig) -> bool:
    """Return True if any value of a log-mel is above the floor."""
    return float(mel.max()) > config.log_floor


def griffin_lim(mel: torch.Tensor, config: MelConfig, iterations: int = 32) -> torch.Tensor:
    """Waveform whose log-mel is close to ``mel``, without trained weights.

    Magnitudes by non-negative least squares on the filter bank, phases by fast Griffin-Lim (Perraudin et al. 2013).

    Args:
        mel: (batch, 1, mels, frames).

    Returns:
        (batch, frames * hop_length).
    """
    import librosa  # slow to import, and only a pipeline without a vocoder needs it

    waveforms = []
    for log_mel in mel[:, 0].detach().cpu().float().numpy():
        # The floor means silence. Left in, it would become a bed of noise.
        magnitudes = np.where(log_mel <= config.log_floor + 1e-4, 0.0, np.exp(log_mel))
        linear = librosa.util.nnls(mel_filters(config).numpy(), magnitudes)
        samples = librosa.griffinlim(
            linear,
            n_iter=iterations,
            hop_length=config.hop_length,
            n_fft=config.n_fft,
            center=False,
            init="random",
            random_state=0,
        )
        waveforms.append(samples[config.pad : config.pad + log_mel.shape[-1] * config.hop_length])
    return torch.from_numpy(np.stack(waveforms)).to(mel)
