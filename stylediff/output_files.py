"""Files of results: formats, precision and tags."""

import io
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from stylediff.audio import BLOCK_SAMPLES, resample
from stylediff.containers import LOSSLESS, check_format

FRAME_SAMPLES = 1024
VORBIS = "vorbis"
WRITE_ERRORS = (OSError, soundfile.LibsndfileError, AssertionError)  # an AssertionError if less was written
# Hz that a codec knows, of those that are common; another rate becomes the last of them.
RATES = {"libopus": (48_000,), "libmp3lame": (8000, 11_025, 16_000, 22_050, 24_000, 32_000, 48_000, 44_100)}


@dataclass(frozen=True)
class Compressed:
    """A format with loss, written by PyAV.

    Attributes:
        container, codec: names that PyAV knows.
        bit_rate: bits a second for one channel; 0 where the codec has none.
        sample_format: of the encoder's input.
    """

    container: str
    codec: str
    bit_rate: int = 0
    sample_format: str = "fltp"


COMPRESSED = {
    ".mp3": Compressed("mp3", "libmp3lame", 128_000),
    ".m4a": Compressed("ipod", "aac", 128_000),
    ".m4r": Compressed("ipod", "aac", 128_000),
    ".ogg": Compressed("ogg", VORBIS),
    ".opus": Compressed("ogg", "libopus", 96_000, "flt"),
}
SUBTYPES = {  # names of libsndfile
    "16": "PCM_16",
    "24": "PCM_24",
    "float": "FLOAT",
}


def describe_result(source: str, style: str, settings: str) -> dict[str, str]:
    """Tags of a result: title, and a comment with source and settings.

    Args:
        source: name of the source file.
        style: instrument, voice or reference clip that plays.
        settings: as ``TransferSettings.describe`` shows them.
    """
    return {"title": f"{Path(source).stem} ({style})", "comment": f"StyleDiff: {source} to {style}, {settings}"}


def write_result(
    path: Path, waveform: torch.Tensor, sample_rate: int, subtype: str | None = None, tags: Mapping[str, str] = {}
) -> None:
    """Write a result; the ending of its path decides the format.

    The file appears when it is complete. The same samples give the same bytes. 16-bit files are dithered.

    Args:
        waveform: (samples,) or (channels, samples), one or two channels; all but "float" are clipped to [-1, 1].
        subtype: see ``check_format``.
        tags: title and comment, by name.

    Raises:
        AudioError: see ``check_format``.
        OSError: the disk is full, or writing is not allowed there.
    """
    check_format(path.name, subtype)
    samples = np.atleast_2d(waveform.detach().cpu().float().numpy())
    allowed = LOSSLESS.get(path.suffix.lower())
    if allowed is None:
        write_compressed(path, samples, sample_rate, tags)
    else:
        write_lossless(path, samples, sample_rate, subtype or allowed[0], tags)


def write_lossless(
    path: Path, samples: np.ndarray, sample_rate: int, subtype: str, tags: Mapping[str, str] = {}
) -> None:
    """Write (channels, samples) as wav or flac.

    Errors are those of ``write_result``.
    """
    generator = np.random.default_rng(0)
    with (
        complete_file(path, WRITE_ERRORS) as unfinished,
        soundfile.SoundFile(unfinished, "w", sample_rate, len(samples), SUBTYPES[subtype]) as file,
    ):
        for name, text in tags.items():
            setattr(file, name, text)
        for start in range(0, samples.shape[1], BLOCK_SAMPLES):
            block = samples[:, start : start + BLOCK_SAMPLES]
            block = dither(block, generator) if subtype == "16" else block
            file.write((block if subtype == "float" else block.clip(-1, 1)).T)


def dither(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add triangular noise of one 16-bit step against distortion by rounding.

    Digital silence stays silent.
    """
    noise = generator.random(samples.shape, np.float32) - generator.random(samples.shape, np.float32)
    return np.where(samples == 0, samples, samples + noise / 2**15)


def write_compressed(path: Path, samples: np.ndarray, sample_rate: int, tags: Mapping[str, str] = {}) -> None:
    """Write (channels, samples) with a codec of PyAV.

    No time or program is noted in the file. Errors are those of ``write_result``.
    """
    import av  # slow to import

    kind = COMPRESSED[path.suffix.lower()]
    known = RATES.get(kind.codec, (sample_rate,))
    if sample_rate not in known:
        channels = [resample(torch.from_numpy(channel), sample_rate, known[-1]) for channel in samples]
        samples, sample_rate = torch.stack(channels).numpy(), known[-1]
    options = {"fflags": "+bitexact"}
    with (
        complete_file(path, (OSError, av.FFmpegError)) as unfinished,
        av.open(unfinished, "w", format=kind.container, options=options) as file,
    ):
        file.metadata.update(tags)
        if kind.codec == VORBIS:
            copy_vorbis(file, samples, sample_rate, tags)
        else:
            encode(file, kind, samples, sample_rate, tags)


@contextmanager
def complete_file(path: Path, errors: tuple[type[Exception], ...]) -> Iterator[str]:
    """Temporary name of a file, replaced when it is complete.

    Args:
        errors: what writing may raise.

    Raises:
        OSError: the disk is full, or writing is not allowed there.
    """
    unfinished = path.with_name(f".stylediff-{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        yield str(unfinished)
        unfinished.replace(path)
    except errors as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(f"cannot write {path.name}: the disk may be full, or closed to writing ({error})") from error


def encode(file: Any, kind: Compressed, samples: np.ndarray, sample_rate: int, tags: Mapping[str, str] = {}) -> None:
    """Encode (channels, samples) into an open file of PyAV."""
    import av

    layout = "mono" if len(samples) == 1 else "stereo"
    stream = file.add_stream(kind.codec, rate=sample_rate, layout=layout, format=kind.sample_format)
    stream.codec_context.options = {"flags": "+bitexact"}
    stream.metadata.update(tags if kind.container == "ogg" else {})
    if kind.bit_rate:
        stream.bit_rate = kind.bit_rate * len(samples)
    resampler = av.AudioResampler(format=kind.sample_format, layout=layout, rate=sample_rate)
    for start in range(0, samples.shape[1], FRAME_SAMPLES):
        block = np.ascontiguousarray(samples[:, start : start + FRAME_SAMPLES].clip(-1, 1), np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
        for ready in resampler.resample(frame):
            file.mux(stream.encode(ready))
    for ready in resampler.resample(None):
        file.mux(stream.encode(ready))
    file.mux(stream.encode(None))


def copy_vorbis(file: Any, samples: np.ndarray, sample_rate: int, tags: Mapping[str, str]) -> None:
    """Encode Vorbis by libsndfile and copy it into a file.

    PyAV's wheels come without libvorbis, and libsndfile writes no tags of one's own.
    """
    import av

    encoded = io.BytesIO()
    with soundfile.SoundFile(encoded, "w", sample_rate, len(samples), "VORBIS", format="OGG") as plain:
        for start in range(0, samples.shape[1], BLOCK_SAMPLES):
            plain.write(samples[:, start : start + BLOCK_SAMPLES].clip(-1, 1).T)
    encoded.seek(0)
    with av.open(encoded) as source:
        stream = file.add_stream_from_template(source.streams.audio[0])
        stream.metadata.update(tags)
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
