"""Ringtones as files: formats, tags and names."""

import io
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from stylediff.audio import AudioError

FRAME_SAMPLES = 1024
BLOCK_SAMPLES = 65_536  # libsndfile overflows its stack where much is written at once
VORBIS = "vorbis"
LONGEST_NAME = 60


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        container, codec: names that PyAV knows.
        sample_format: of the encoder's input.
        bit_rate: bits a second for one channel; 0 where the codec has none.
    """

    container: str
    codec: str
    sample_format: str
    bit_rate: int = 0


FORMATS = {
    ".m4r": Format("ipod", "aac", "fltp", 128_000),
    ".ogg": Format("ogg", VORBIS, "fltp"),
    ".mp3": Format("mp3", "libmp3lame", "fltp", 128_000),
    ".wav": Format("wav", "pcm_s16le", "s16"),
}


def check_tone_path(path: Path, is_forced: bool) -> None:
    """Check that a ringtone may be written to a path.

    Raises:
        AudioError: another ending, no such folder, or a file that is there already.
    """
    if path.suffix.lower() not in FORMATS:
        raise AudioError(f"cannot write {path.name}: name it {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise AudioError(f"cannot write {path.name}: no such folder: {path.parent}")
    if path.exists() and not is_forced:
        raise AudioError(f"{path.name} is there already: choose another name, or replace it with --force")


def write_tone(path: Path, samples: np.ndarray, sample_rate: int, title: str, is_loop: bool = False) -> None:
    """Write a ringtone; the ending of its path decides the format.

    The same samples give the same bytes: no time or program is noted in the file.

    Args:
        samples: (channels, samples) in [-1, 1], one or two channels.
        is_loop: True notes in an ogg that Android repeats it without a gap.

    Raises:
        OSError: the disk is full, or writing is not allowed there.
    """
    import av  # slow to import

    kind = FORMATS[path.suffix.lower()]
    tags = {"title": title} | ({"ANDROID_LOOP": "true"} if is_loop and kind.container == "ogg" else {})
    try:
        with av.open(str(path), "w", format=kind.container, options={"fflags": "+bitexact"}) as file:
            file.metadata.update(tags)
            if kind.codec == VORBIS:
                copy_vorbis(file, samples, sample_rate, tags)
            else:
                encode(file, kind, samples, sample_rate)
    except av.FFmpegError as error:
        raise OSError(f"cannot write {path.name}: the disk may be full, or closed to writing ({error})") from error


def encode(file: Any, kind: Format, samples: np.ndarray, sample_rate: int) -> None:
    """Encode (channels, samples) into an open file of PyAV."""
    import av

    layout = "mono" if len(samples) == 1 else "stereo"
    stream = file.add_stream(kind.codec, rate=sample_rate, layout=layout, format=kind.sample_format)
    stream.codec_context.options = {"flags": "+bitexact"}
    if kind.bit_rate:
        stream.bit_rate = kind.bit_rate * len(samples)
    resampler = av.AudioResampler(format=kind.sample_format, layout=layout, rate=sample_rate)
    for start in range(0, samples.shape[1], FRAME_SAMPLES):
        block = np.ascontiguousarray(samples[:, start : start + FRAME_SAMPLES], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
        for ready in resampler.resample(frame):
            file.mux(stream.encode(ready))
    for ready in resampler.resample(None):
        file.mux(stream.encode(ready))
    file.mux(stream.encode(None))


def copy_vorbis(file: Any, samples: np.ndarray, sample_rate: int, tags: dict[str, str]) -> None:
    """Encode Vorbis by libsndfile and copy it into a file.

    PyAV's wheels come without libvorbis, and libsndfile writes no tags of one's own.
    """
    import av

    encoded = io.BytesIO()
    with soundfile.SoundFile(encoded, "w", sample_rate, len(samples), "VORBIS", format="OGG") as plain:
        for start in range(0, samples.shape[1], BLOCK_SAMPLES):
            plain.write(samples[:, start : start + BLOCK_SAMPLES].T)
    encoded.seek(0)
    with av.open(encoded) as source:
        stream = file.add_stream_from_template(source.streams.audio[0])
        stream.metadata.update(tags)
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)


def read_title(path: Path) -> str | None:
    """Return the title noted in an audio file, or None."""
    import av

    try:
        with av.open(str(path)) as file:
            tags = file.metadata | (file.streams.audio[0].metadata if file.streams.audio else {})
    except (av.FFmpegError, UnicodeDecodeError):
        return None
    return next((value.strip() for name, value in tags.items() if name.lower() == "title" and value.strip()), None)


def title_from(stem: str) -> str:
    """Return a title from a file's name, as "Für Elise" from "03_-_für_elise"."""
    words = re.sub(r"[_\s]+", " ", stem)
    words = re.sub(r"^\d{1,3}\s*[-.)]*\s+", "", words).strip(" -.")
    return (words[:1].upper() + words[1:])[:LONGEST_NAME].strip() or "Ringtone"


def tone_name(title: str, instrument: str | None) -> str:
    """Return the name of a ringtone, as "Für Elise (violin)".

    It holds no sign that a file system refuses.
    """
    safe = re.sub(r'[\x00-\x1f<>:"/\\|?*\s]+', " ", title).strip(" .") or "Ringtone"
    return f"{safe} ({instrument})" if instrument else safe
