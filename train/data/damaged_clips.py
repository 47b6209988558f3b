"""Pairs of damaged and clean log-mels, for training the restorer.

    python -m train damaged-clips --cache MELS --data DATA --out DIR

Clean clips of the cache get steady noise, crackle or the losses of a codec at a low bit rate. Both log-mels are at the
loudness of the damaged clip, as in use.
"""

import argparse
import io
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy.signal
import torch
from tqdm import tqdm

from stylediff.audio import loudness_gain
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.output_files import COMPRESSED, encode
from train.common.cli import run_command
from train.common.files import FolderError, lock_settings, write_atomically
from train.common.parallel import parallel_map
from train.data.mel_cache import CacheError, MelCache, read_cache
from train.data.recordings import load_recording

RATE = MelConfig().sample_rate
CLEAN = "clean"
NOISES = ("white", "pink", "coloured", "hum", "crackle")
CODECS = {".mp3": (8, 32), ".m4a": (8, 24), ".opus": (6, 12)}  # kbit/s, lowest and highest; more leaves no cutoff
KINDS = (CLEAN, *NOISES, *CODECS)
SHARES = (0.1, *[0.45 / len(NOISES)] * len(NOISES), *[0.45 / len(CODECS)] * len(CODECS))  # of the clips
SNR_DB = (-3.0, 35.0)
DAMAGED, UNDAMAGED, TABLE = "damaged.npy", "clean.npy", "clips.json"


@dataclass(frozen=True)
class DamagedClips:
    """Pairs of one split.

    Attributes:
        damaged, clean: log-mels (clips, mels, frames).
        kinds: of the damage, one of ``KINDS``.
    """

    damaged: np.ndarray
    clean: np.ndarray
    kinds: list[str]


def make_noise(kind: str, samples: int, rng: np.random.Generator, hum_hz: float | None = None) -> np.ndarray:
    """Noise of unit power, (samples,).

    Args:
        kind: one of ``NOISES``.
        hum_hz: frequency of hum; None draws one near 50 or 60 Hz.
    """
    time_s = np.arange(samples) / RATE
    noise = rng.standard_normal(samples)
    if kind == "pink":
        shaped = np.fft.rfft(noise)
        noise = np.fft.irfft(shaped / np.sqrt(np.maximum(1, np.arange(len(shaped)))), samples)
    if kind == "coloured":
        low, high = np.sort(rng.uniform(20, 10_500, 2))
        band = scipy.signal.butter(1, [low, high + 500], "bandpass", fs=RATE, output="sos")
        noise = scipy.signal.sosfilt(band, noise) + 0.03 * noise
    if kind == "hum":
        hz = rng.choice([50.0, 60.0]) + rng.uniform(-0.2, 0.2) if hum_hz is None else hum_hz
        noise = sum((np.sin(2 * np.pi * hz * n * time_s + n) / n for n in (1, 2, 3, 5, 7, 9)), np.zeros(samples))
    if kind == "crackle":
        noise = np.zeros(samples)
        places = rng.integers(100, samples - 100, max(1, samples // RATE * 8))
        noise[places] = rng.choice([-1.0, 1.0], len(places)) * (1 + rng.random(len(places)))
    return noise / np.sqrt((noise**2).mean())


def through_codec(waveform: np.ndarray, ending: str, bit_rate: int) -> np.ndarray:
    """Encode and decode (samples,), aligned with the input.

    Args:
        ending: one of ``CODECS``.
        bit_rate: bits a second.
    """
    import av
    import soxr

    kind = replace(COMPRESSED[ending], bit_rate=bit_rate)
    rate = 48_000 if kind.codec == "libopus" else RATE
    samples = waveform if rate == RATE else soxr.resample(waveform, RATE, rate)
    encoded = io.BytesIO()
    with av.open(encoded, "w", format=kind.container) as file:
        encode(file, kind, samples[None].astype(np.float32), rate)
    encoded.seek(0)
    with av.open(encoded) as file:
        resampler = av.AudioResampler("fltp", "mono", RATE)
        frames = [ready for frame in file.decode(audio=0) for ready in resampler.resample(frame)]
        frames += resampler.resample(None)
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return align(decoded, waveform)


def align(moved: np.ndarray, waveform: np.ndarray) -> np.ndarray:
    """Shift (samples,) to where it resembles a waveform most."""
    length = len(moved) + len(waveform)
    spectrum = np.fft.rfft(moved, length) * np.fft.rfft(waveform, length).conj()
    lag = int(np.fft.irfft(spectrum, length).argmax())
    lag = lag - length if lag > length // 2 else lag
    shifted = moved[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag), moved])
    return np.pad(shifted, (0, max(0, len(waveform) - len(shifted))))[: len(waveform)]


def damage(waveform: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Damage (samples,) with a random strength."""
    if kind in NOISES:
        scale = np.sqrt((waveform**2).mean()) * 10 ** (-rng.uniform(*SNR_DB) / 20)
        return waveform + scale * make_noise(kind, len(waveform), rng)
    if kind in CODECS:
        low, high = CODECS[kind]
        return through_codec(waveform, kind, 1000 * int(np.exp(rng.uniform(np.log(low), np.log(high)))))
    return waveform


def make_pair(number: int, files: list[Path], samples: int, seed: int) -> tuple[int, str, np.ndarray]:
    """Damage a clip.

    Returns its number, the kind, and log-mels (2, mels, frames) of the damaged and the clean clip.
    """
    rng = np.random.default_rng([seed, number])
    whole = load_recording(files[number], RATE).double().numpy()[:samples]
    whole = np.pad(whole, (0, samples - len(whole)))
    kind = str(rng.choice(KINDS, p=SHARES))
    both = torch.from_numpy(np.stack([damage(whole, kind, rng), whole])).float()
    mels = waveform_to_mel(both * loudness_gain(both[0]), MelConfig())[:, 0]
    return number, kind, mels.numpy().astype(np.float16)


def choose_clips(cache: MelCache, data: Path, split: str, count: int, seed: int) -> list[Path]:
    """Choose clean clips of a split.

    Raises:
        CacheError: the split has none.
    """
    rows = [row for row in cache.split(split) if cache.clips[row].role == "target"]
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    return [data / cache.clips[row].file for row in chosen]


def damage_clips(args: argparse.Namespace) -> None:
    """Write pairs of the training and of the validation split."""
    lock_settings(args.out, {name: str(getattr(args, name)) for name in ("cache", "data", "clips", "seed")})
    config = MelConfig()
    cache = read_cache(args.cache, config)
    frames = cache.mels.shape[-1]
    for split, count in (("train", args.clips), ("validation", max(1, args.clips // 10))):
        folder = args.out / split
        if (folder / TABLE).is_file():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        files = choose_clips(cache, args.data, split, count, args.seed)
        shape = (len(files), config.n_mels, frames)
        arrays = [
            np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.float16, shape=shape)
            for name in (DAMAGED, UNDAMAGED)
        ]
        kinds = [CLEAN] * len(files)
        job = partial(make_pair, files=files, samples=frames * config.hop_length, seed=args.seed)
        pairs = parallel_map(job, range(len(files)), args.workers, 8)
        for number, kind, mels in tqdm(pairs, total=len(files), desc=split):
            arrays[0][number], arrays[1][number], kinds[number] = mels[0], mels[1], kind
        for array in arrays:
            array.flush()
        write_atomically(folder / TABLE, json.dumps(kinds))


def read_damaged(folder: Path, split: str) -> DamagedClips:
    """Open the pairs of a split.

    Raises:
        FolderError: they are not there.
    """
    place = folder / split
    try:
        damaged, clean = (np.load(place / name, mmap_mode="r") for name in (DAMAGED, UNDAMAGED))
        return DamagedClips(damaged, clean, json.loads((place / TABLE).read_text()))
    except (OSError, ValueError) as error:
        raise FolderError(f"no damaged clips in {place}: run the command damaged-clips first ({error})") from error


def main(args: argparse.Namespace) -> int:
    return run_command(partial(damage_clips, args), CacheError, FolderError, OSError, ValueError)
