"""Audio files to waveforms and back."""

import logging
import math
import os
import threading
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from stylediff.containers import AudioError, MissingFileError
from stylediff.decoding import Sound, decode
from stylediff.waveform import PEAK_LIMIT, TARGET_RMS, mix_channels, remove_rumble, robust_level
from stylediff.waveform import SILENCE_RMS as SILENCE_RMS

LOG = logging.getLogger(__name__)
MIN_SECONDS = 0.5
BLOCK_SAMPLES = 65_536  # libsndfile overflows its stack where much is written at once
NEAR_SILENCE_RMS = 10 ** (-70 / 20)


def read_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Samples of an audio file as stored.

    A warning is logged if a part could not be read.

    Args:
        path: a file with one of the endings in ``stylediff.containers.SUFFIXES``, or another that PyAV opens.

    Returns:
        float32 samples of shape (channels, samples) and the sample rate in Hz.

    Raises:
        AudioError: missing file, unknown format, or no samples in it.
    """
    sound = read_sound(path)
    if sound.note:
        LOG.warning("%s: %s", Path(path).name, sound.note)
    return sound.samples, sound.sample_rate


def read_part(path: str | Path, start_s: float, length_s: float | None) -> tuple[np.ndarray, int, float]:
    """Samples and sample rate of a part, and the file's seconds.

    Arguments and errors are those of ``read_sound``.
    """
    sound = read_sound(path, start_s, length_s)
    return sound.samples, sound.sample_rate, sound.file_seconds


def read_sound(path: str | Path, start_s: float = 0.0, length_s: float | None = None) -> Sound:
    """Read a part of an audio file.

    Args:
        start_s, length_s: where the part begins and how long it is at most; None is up to the end.

    Raises:
        AudioError: as ``read_audio``, and if the file ends before the part begins.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise MissingFileError(f"no such file: {path.name}")
        sound = decode(path, start_s, length_s)
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "it is too large for the memory of this machine"
        raise AudioError(f"{path.name} cannot be read: {reason}", "unreadable", name=path.name) from error
    except ValueError as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError(f"{path.name} cannot be read: {error}") from error  # a name with a null character
    if sound.samples.shape[1] > 0:
        return sound
    if start_s >= sound.file_seconds > 0:
        length, start = f"{sound.file_seconds:.1f}", f"{start_s:g}"
        late = f"the clip is {length} s long; it cannot start at second {start}"
        raise AudioError(late, "late_start", length=length, start=start)
    raise AudioError(f"{path.name} holds no samples", "no_samples", name=path.name)


def write_audio(path: str | Path, waveform: torch.Tensor, sample_rate: int) -> None:
    """Write a waveform as 16-bit audio.

    The waveform has the shape (samples,) or (channels, samples); the file's ending decides the format. The
    file appears when it is complete.

    Raises:
        AudioError: the ending names no format that can be written, or there is no such folder.
        OSError: the disk is full, or writing is not allowed there.
    """
    path = Path(path)
    if not soundfile.check_format(path.suffix[1:], "PCM_16"):
        raise AudioError(f"cannot write {path.name}: name it .wav or .flac")
    if not path.parent.is_dir():
        raise AudioError(f"cannot write {path.name}: no such folder: {path.parent}")
    samples = waveform.detach().cpu().float().numpy()
    write_samples(path, samples.T, sample_rate, "PCM_16")


def write_samples(path: Path, samples: np.ndarray, sample_rate: int, subtype: str) -> None:
    """Write samples (samples,) or (samples, channels) to a file.

    The file appears when it is complete. Floats are clipped to [-1, 1], but for the subtype "FLOAT".

    Raises:
        OSError: the disk is full, or writing is not allowed there.
    """
    unfinished = path.with_name(f".stylediff-{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        channels, clips = math.prod(samples.shape[1:]), samples.dtype.kind == "f" and subtype != "FLOAT"
        with soundfile.SoundFile(unfinished, "w", sample_rate, channels, subtype) as file:
            for start in range(0, len(samples), BLOCK_SAMPLES):
                block = samples[start : start + BLOCK_SAMPLES]
                file.write(block.clip(-1, 1) if clips else block)
        unfinished.replace(path)
    except (soundfile.LibsndfileError, AssertionError, OSError) as error:  # an AssertionError if less was written
        unfinished.unlink(missing_ok=True)
        raise OSError(f"cannot write {path.name}: the disk may be full, or closed to writing ({error})") from error


def check_finite(samples: np.ndarray | torch.Tensor) -> None:
    """Check that all samples are finite.

    Raises:
        AudioError: one is not.
    """
    values = torch.as_tensor(samples)
    if values.numel() and not all(map(torch.isfinite, values.aminmax())):
        raise AudioError("clip holds samples that are not finite numbers (NaN or infinity)", "not_finite")


def to_mono(waveform: torch.Tensor | np.ndarray, sample_rate: int, target_rate: int) -> torch.Tensor:
    """Mono waveform at another sample rate.

    Channels are mixed (``mix_channels``), resampled with soxr's high-quality setting, and freed of a constant offset
    and rumble.

    Args:
        waveform: (samples,) or (channels, samples).

    Returns:
        (round(samples * target_rate / sample_rate),) float32.

    Raises:
        AudioError: shorter than half a second, not finite, of whole numbers, or of another shape.
    """
    waveform = check_waveform(waveform, sample_rate)
    mono = mix_channels(waveform.float().reshape(-1, waveform.shape[-1]))
    return remove_rumble(resample(mono, sample_rate, target_rate), target_rate)


def too_short(seconds: float) -> AudioError:
    """Return the error for a clip that is too short."""
    length = f"{seconds:.2f}"
    message = f"clip is {length} s; at least {MIN_SECONDS} s is needed"
    return AudioError(message, "too_short", length=length, least=MIN_SECONDS)


def check_waveform(waveform: torch.Tensor | np.ndarray, sample_rate: int) -> torch.Tensor:
    """Return a waveform as a tensor.

    Raises:
        AudioError: it cannot be used.
    """
    if isinstance(waveform, np.ndarray) and waveform.dtype.kind in "fiu":
        waveform = torch.from_numpy(np.ascontiguousarray(waveform))
    if not isinstance(waveform, torch.Tensor) or not waveform.is_floating_point():
        kind = getattr(waveform, "dtype", type(waveform).__name__)
        raise AudioError(f"audio must be floating-point samples in [-1, 1], got {kind}")
    shape = tuple(waveform.shape)
    if waveform.ndim not in (1, 2) or 0 in shape[:-1] or sample_rate <= 0:
        raise AudioError(f"audio must be (samples,) or (channels, samples), got {shape}")
    if waveform.ndim == 2 and shape[-1] < MIN_SECONDS * sample_rate <= shape[0]:
        raise AudioError(
            f"audio must be (channels, samples), got {shape}, which looks transposed; pass its transpose (.T)"
        )
    if shape[-1] < MIN_SECONDS * sample_rate:
        raise too_short(shape[-1] / sample_rate)
    check_finite(waveform)
    return waveform


def resample(waveform: torch.Tensor, sample_rate: float, target_rate: float) -> torch.Tensor:
    """Resample a waveform (samples,) with soxr.

    Returns (round(samples * target_rate / sample_rate),).
    """
    if sample_rate == target_rate:
        return waveform
    length = round(len(waveform) * target_rate / sample_rate)
    resampled = torch.from_numpy(soxr.resample(waveform.cpu().numpy(), sample_rate, target_rate, quality="HQ"))
    return fit_length(resampled, length).to(waveform.device)


def fit_length(waveform: torch.Tensor, samples: int) -> torch.Tensor:
    """The waveform cut or zero-padded at its end to (..., samples)."""
    return torch.nn.functional.pad(waveform[..., :samples], (0, max(0, samples - waveform.shape[-1])))


def at_level(waveform: torch.Tensor, gain: float, sample_rate: float, target_rate: int, samples: int) -> torch.Tensor:
    """Undo a gain, resample, and cut or pad to an exact length.

    Returns (samples,) in [-1, 1].

    Where it would not fit into that range it becomes quieter as a whole, and is not clipped.
    """
    return limit_peak(fit_length(resample(waveform / gain, sample_rate, target_rate), samples))


def limit_peak(waveform: torch.Tensor) -> torch.Tensor:
    """Lower a waveform as a whole if its peak exceeds ``PEAK_LIMIT``."""
    peak = max(abs(float(end)) for end in waveform.aminmax())
    return waveform * (PEAK_LIMIT / peak) if peak > PEAK_LIMIT else waveform


def loudness_gain(waveform: torch.Tensor) -> float:
    """Return the gain to -23 dBFS RMS over the sounding part.

    It causes no clipping but of clicks and bumps (see ``robust_level``). Silence and hiss below -70 dBFS get 1.
    """
    rms, peak = robust_level(waveform)
    return min(TARGET_RMS / rms, PEAK_LIMIT / peak) if rms > NEAR_SILENCE_RMS else 1.0


def limit_clicks(waveform: torch.Tensor) -> torch.Tensor:
    """Cut clicks and bumps of a waveform (samples,) at its usual peak."""
    _, peak = robust_level(waveform)
    return waveform.clamp(-peak, peak) if peak else waveform
