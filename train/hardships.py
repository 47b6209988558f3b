"""What real recordings suffer, as a fixed suite to test with; training draws its own from ``train.degradations``."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.signal
import soundfile
import torch

from stylediff.audio import resample
from train.degradations import add_reverb

MP3_COMPRESSION = 0.9  # of libsndfile, about 40 kbit/s for one channel at 22,050 Hz


@dataclass(frozen=True)
class Recording:
    """A source as a user would bring it.

    Attributes:
        waveform: (samples,) or (channels, samples).
        sample_rate: Hz.
        pace: how much faster it plays than the score says.
    """

    waveform: torch.Tensor
    sample_rate: int
    pace: float = 1.0


# Of a clean waveform (samples,) and its sample rate.
Hardship = Callable[[torch.Tensor, int], Recording]


def noise_of(length: int) -> torch.Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(0))


def rms(waveform: torch.Tensor) -> float:
    return float(waveform.square().mean().sqrt())


def put_in_room(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """A hall of 1.2 s, a third of what is heard."""
    wet = add_reverb(waveform.numpy().astype(np.float64), sample_rate, 1.2, 0.35, np.random.default_rng(0))
    return Recording(torch.from_numpy(wet).float(), sample_rate)


def put_through_telephone(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """300 to 3,400 Hz, the band of a telephone line (ITU-T G.712)."""
    sections = scipy.signal.butter(4, (300, 3400), "bandpass", fs=sample_rate, output="sos")
    return Recording(torch.from_numpy(scipy.signal.sosfilt(sections, waveform.numpy())).float(), sample_rate)


def add_noise(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """White noise 20 dB below."""
    return Recording(waveform + 0.1 * rms(waveform) * noise_of(len(waveform)), sample_rate)


def add_hum(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """Mains hum of 50 Hz and its odd harmonics, 26 dB below."""
    time = torch.arange(len(waveform)) / sample_rate
    hum = sum(torch.sin(2 * math.pi * 50 * n * time) / n for n in (1, 3, 5, 7))
    return Recording(waveform + 0.05 * rms(waveform) * hum / rms(torch.as_tensor(hum)), sample_rate)


def compress_as_mp3(waveform: torch.Tensor, sample_rate: int) -> Recording:
    file = io.BytesIO()
    soundfile.write(file, waveform.numpy(), sample_rate, format="MP3", compression_level=MP3_COMPRESSION)
    file.seek(0)
    samples, rate = soundfile.read(file, dtype="float32")
    return Recording(torch.from_numpy(samples), rate)


def tune_by(cents: float) -> Hardship:
    """Everything higher, by playing it that much faster."""
    pace = 2 ** (cents / 1200)

    def tune(waveform: torch.Tensor, sample_rate: int) -> Recording:
        return Recording(resample(waveform, round(sample_rate * pace), sample_rate), sample_rate, pace)

    return tune


def resample_to(rate: int) -> Hardship:
    return lambda waveform, sample_rate: Recording(resample(waveform, sample_rate, rate), rate)


def make_stereo(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """The right channel 0.4 ms later and 6 dB quieter, as from a source at the left."""
    late = torch.nn.functional.pad(waveform, (round(0.0004 * sample_rate), 0))[: len(waveform)]
    return Recording(torch.stack([waveform, 0.5 * late]), sample_rate)


def make_quiet(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """40 dB down, stored in 16 bits."""
    return Recording((waveform * 0.01 * 32768).round() / 32768, sample_rate)


CLEAN = "clean"
HARDSHIPS: dict[str, Hardship] = {
    CLEAN: Recording,
    "room": put_in_room,
    "telephone": put_through_telephone,
    "noise": add_noise,
    "hum": add_hum,
    "MP3": compress_as_mp3,
    "40 cents sharp": tune_by(40),
    "40 cents flat": tune_by(-40),
    "8 kHz": resample_to(8000),
    "96 kHz": resample_to(96000),
    "stereo": make_stereo,
    "quiet": make_quiet,
}
