"""Recording conditions that are applied to clean source clips.

Rooms, equalisers, noise, limited bandwidth and coarse quantisation.
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import torch
from scipy.interpolate import CubicSpline

from train.data.mel_cache import CacheError, ClipArray


@dataclass(frozen=True)
class Degradation:
    """Differences of a source clip from a clean render.

    A field at its default changes nothing.

    Attributes:
        detune_cents: pitch offset, applied by the synthesizer as pitch bend.
        pedal: True if the sustain pedal is held throughout.
        expression: MIDI expression (controller 11), 0-127.
        reverb_s, reverb_mix: decay time (to -60 dB) and share of an artificial room.
        tilt_db: gain of the highest octave relative to the lowest.
        noise_db: level of added noise relative to the clip's RMS.
        lowpass_hz: bandwidth, limited as by lossy coding or cheap microphones.
        bits: resolution of the samples.
        ring_s: extra length of the notes of a struck or plucked instrument, as under a half-pressed pedal.
        plain: True for notes without gestures, as from a sequencer.

    Examples:
        >>> import numpy as np
        >>> from train.data.augmentation import Degradation, degrade
        >>> silence = np.zeros(22050, np.float32)
        >>> bool(degrade(silence, 22050, Degradation(lowpass_hz=3400, reverb_s=1.0), np.random.default_rng(0)).any())
        False
    """

    detune_cents: float = 0.0
    pedal: bool = False
    expression: int = 127
    reverb_s: float = 0.0
    reverb_mix: float = 0.0
    tilt_db: float = 0.0
    noise_db: float = -120.0
    lowpass_hz: float = 0.0
    bits: int = 16
    ring_s: float = 0.0
    plain: bool = False

    @property
    def controls(self) -> dict[int, int]:
        """MIDI controllers to set before the clip is rendered."""
        return {11: self.expression} | ({64: 127} if self.pedal else {})


def sample_degradation(rng: np.random.Generator) -> Degradation:
    """Sample a random degradation.

    Each kind occurs in a tenth to two thirds of the samples.
    """

    def draw(probability: float, low: float, high: float, otherwise: float) -> float:
        value = float(rng.uniform(low, high))
        return round(value, 2) if rng.random() < probability else otherwise

    return Degradation(
        detune_cents=draw(0.4, -50, 50, 0.0),
        pedal=bool(rng.random() < 0.25),
        expression=int(draw(0.3, 70, 127, 127)),
        reverb_s=draw(0.65, 0.2, 2.5, 0.0),
        reverb_mix=draw(1.0, 0.05, 0.6, 0.0),
        tilt_db=draw(0.5, -12, 8, 0.0),
        noise_db=draw(0.4, -60, -25, -120.0),
        lowpass_hz=draw(0.25, 3000, 9500, 0.0),
        bits=int(draw(0.1, 8, 12, 16)),
        ring_s=draw(0.3, 0.1, 0.8, 0.0),
        plain=bool(rng.random() < 0.25),
    )


def degrade(waveform: np.ndarray, sample_rate: int, how: Degradation, rng: np.random.Generator) -> np.ndarray:
    """Apply a degradation to a waveform (samples,) in float32.

    Pitch, pedal and expression are applied by the synthesizer instead.
    """
    out = waveform.astype(np.float64)
    if how.reverb_s > 0:
        out = add_reverb(out, sample_rate, how.reverb_s, how.reverb_mix, rng)
    if how.tilt_db:
        out = tilt_spectrum(out, sample_rate, how.tilt_db)
    if how.lowpass_hz > 0:
        sections = scipy.signal.butter(6, how.lowpass_hz, fs=sample_rate, output="sos")
        out = scipy.signal.sosfilt(sections, out)
    rms = np.sqrt(np.mean(out**2))
    if how.noise_db > -120:
        out = out + rng.standard_normal(len(out)) * rms * 10 ** (how.noise_db / 20)
    if how.bits < 16:
        step = np.abs(out).max() / 2 ** (how.bits - 1)
        out = np.round(out / max(step, 1e-12)) * step
    return out.astype(np.float32)


def add_reverb(
    waveform: np.ndarray, sample_rate: int, decay_s: float, mix: float, rng: np.random.Generator
) -> np.ndarray:
    """Convolve with exponentially decaying noise (Moorer 1979)."""
    time = np.arange(int(decay_s * sample_rate)) / sample_rate
    room = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay_s)
    wet = scipy.signal.fftconvolve(waveform, room / np.sqrt(np.sum(room**2)))[: len(waveform)]
    return (1 - mix) * waveform + mix * wet


def tilt_spectrum(waveform: np.ndarray, sample_rate: int, tilt_db: float) -> np.ndarray:
    """Tilt a spectrum along a straight line over log frequency.

    The gain is 0 dB at 50 Hz and ``tilt_db`` at the highest frequency.
    """
    spectrum = np.fft.rfft(waveform)
    hz = np.maximum(np.fft.rfftfreq(len(waveform), 1 / sample_rate), 50.0)
    gain_db = tilt_db * np.log2(hz / 50) / np.log2(sample_rate / 2 / 50)
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(waveform))


KNOTS = 6  # knots of a curve, evenly spaced over the bands
DEVIATION = 0.5  # deviation of a knot in nepers, 4 dB


@dataclass(frozen=True)
class EqualizedClips:
    """EQ-augmented clips of a mel cache, encoded.

    Attributes:
        rows: indices of the clips in the cache, (clips,).
        curves: nepers added to the bands, (clips, mels).
        latents: (clips, channels, rows, columns).
    """

    rows: np.ndarray
    curves: np.ndarray
    latents: ClipArray


def sample_eq_curves(count: int, seed: int, mels: int) -> np.ndarray:
    """Sample smooth curves over the bands, (count, mels) in nepers."""
    knots = np.random.default_rng(seed).normal(0.0, DEVIATION, (count, KNOTS))
    curves = CubicSpline(np.linspace(0, 1, KNOTS), knots, axis=1)(np.linspace(0, 1, mels))
    return curves.astype(np.float32)


def apply_eq(mels: torch.Tensor, curves: torch.Tensor, floor: float) -> torch.Tensor:
    """Add equaliser curves to log-mels at unchanged energy.

    Log-mels have the shape (..., mels, frames), curves (..., mels).

    Args:
        floor: log-mels of silence, which stays silent.
    """
    level = mels.float()
    changed = level + curves[..., None]
    energies = [torch.logsumexp(2 * clip, dim=(-2, -1), keepdim=True) for clip in (level, changed)]
    changed = changed + 0.5 * (energies[0] - energies[1])
    return torch.where(level > floor, changed.clamp_min(floor), floor)


def save_equalized(folder: Path, clips: EqualizedClips) -> None:
    """Write equalized clips beside a latent cache.

    ``colours.npz`` is written last and marks the clips as complete.
    """
    delete_equalized(folder)
    np.save(folder / "coloured.npy", clips.latents)
    scratch = folder / "colours.part.npz"
    np.savez(scratch, rows=clips.rows, curves=clips.curves)
    os.replace(scratch, folder / "colours.npz")


def delete_equalized(folder: Path) -> None:
    """Delete the EQ-augmented clips beside a latent cache, if any."""
    for name in ("colours.npz", "coloured.npy"):
        (folder / name).unlink(missing_ok=True)


def read_equalized(folder: Path) -> EqualizedClips | None:
    """Read the EQ-augmented clips beside a latent cache, if any.

    Raises:
        CacheError: the clips are damaged.
    """
    if not (folder / "colours.npz").is_file():
        return None
    try:
        with np.load(folder / "colours.npz") as file:
            rows, curves = file["rows"], file["curves"]
        return EqualizedClips(rows, curves, np.load(folder / "coloured.npy", mmap_mode="r"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CacheError(
            f"the EQ-augmented clips in {folder} are damaged: rerun the command cache-equalized ({error})"
        ) from error
