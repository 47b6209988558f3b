"""Decode files: libsndfile where it is right, FFmpeg where it is better."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from stylediff.containers import DEMUXERS, AudioError, is_misread, refusal

LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000
BLOCK_FRAMES = 65_536
SKIPPED_S = 10.0  # before a part; less is decoded
PREROLL_S = 2.0  # decoded before a part that does not begin with the file: decoders remember a few frames
SHORTEST_GAP_S = 0.02  # less is the rounding of times
LONGEST_GAP_S = 30.0  # silence in place of packets that are missing
KEPT_SHARE = 0.9  # of what one decoder reads, another must read too before its silence is preferred
COUNTED_PACKETS = 20_000  # after a part, to learn the length of the file
FAILURES_IN_A_ROW = 1_000
# Containers with an index or with times on their packets, so that the last packet is found at once.
INDEXED = {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "caf", "flac", "wav", "w64", "aiff", "asf"}


@dataclass(frozen=True)
class Sound:
    """A part of a file.

    Attributes:
        samples: (channels, samples), float32.
        sample_rate: Hz.
        file_seconds: length of the whole file, as far as it can be decoded.
        is_whole_known: False if the file is at least that long.
        lost_seconds: parts in between that could not be read; FFmpeg puts silence there.
    """

    samples: np.ndarray
    sample_rate: int
    file_seconds: float
    is_whole_known: bool = True
    lost_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Length of the part."""
        return self.samples.shape[1] / self.sample_rate

    @property
    def note(self) -> str:
        """Sentence about what could not be read; empty if all could."""
        return f"{max(self.lost_seconds, 0.1):.1f} s could not be read" if self.lost_seconds else ""


def decode(path: Path, start_s: float, length_s: float | None) -> Sound:
    """Decode a part of a file.

    Raises:
        AudioError: nothing in it can be decoded.
        OSError: it cannot be opened.
    """
    if is_misread(path):
        found = decode_ffmpeg(path, start_s, length_s) or decode_sndfile(path, start_s, length_s)[0]
    else:
        found, is_complete = decode_sndfile(path, start_s, length_s)
        if not is_complete:
            other = decode_ffmpeg(path, start_s, length_s)
            found = other if found is None or (other is not None and is_better(other, found)) else found
    if found is None:
        raise refusal(path)
    return found


def is_better(one: Sound, other: Sound) -> bool:
    """Return True if one reading of a damaged file is longer.

    Of two that are equally long, the one that knows more of the file is better.
    """
    gained = (one.seconds, one.file_seconds) > (other.seconds, other.file_seconds)
    return gained and one.seconds - one.lost_seconds > KEPT_SHARE * other.seconds


def check_format(sample_rate: int, channels: int) -> None:
    """Refuse a file whose numbers cannot be those of a recording."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        rate, allowed = f"{sample_rate:,}", f"{LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz can be read"
        limits = {"rate": rate, "lowest": f"{LOWEST_RATE:,}", "highest": f"{HIGHEST_RATE:,}"}
        raise AudioError(f"the sample rate is {rate} Hz; {allowed}", "sample_rate", **limits)
    if channels < 1:
        raise AudioError("the file has no channels", "no_channels")


def decode_sndfile(path: Path, start_s: float, length_s: float | None) -> tuple[Sound | None, bool]:
    """Decode with libsndfile.

    Returns:
        The sound, or None if libsndfile does not know the file, and False if it is not all that its header claims.

    Raises:
        AudioError: a sample rate that is none.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate, claimed = file.samplerate, file.frames
            check_format(rate, file.channels)
            first = min(claimed, round(start_s * rate))
            end = claimed if length_s is None else min(claimed, first + round(length_s * rate))
            pieces = list(read_blocks(file, first, end))
            samples = np.concatenate([np.zeros((file.channels, 0), np.float32), *pieces], axis=1)
            frames = count_frames(file, first + samples.shape[1], claimed)
    except (
        soundfile.LibsndfileError,
        TypeError,
        MemoryError,
        OverflowError,
    ):  # a TypeError for .raw, which has no rate
        return None, False
    is_complete = first + samples.shape[1] >= end and frames >= claimed
    lost = end - first - samples.shape[1] if frames >= claimed else 0
    return Sound(samples, rate, frames / rate, lost_seconds=lost / rate), is_complete


def read_blocks(file: soundfile.SoundFile, first: int, end: int) -> Iterator[np.ndarray]:
    """Yield (channels, samples) up to an end, or to where reading fails."""
    try:
        if first:
            file.seek(first)
        while first < end:
            block = file.read(min(BLOCK_FRAMES, end - first), dtype="float32", always_2d=True)
            yield block.T
            if len(block) == 0:
                return
            first += len(block)
    except soundfile.LibsndfileError:
        return


def count_frames(file: soundfile.SoundFile, known: int, claimed: int) -> int:
    """Return how many frames a file has, given those its header claims.

    The frames up to ``known`` were read.
    """
    if known >= claimed or sum(piece.shape[1] for piece in read_blocks(file, claimed - 1, claimed)):
        return claimed
    return known + sum(piece.shape[1] for piece in read_blocks(file, known, claimed))


def decode_ffmpeg(path: Path, start_s: float, length_s: float | None) -> Sound | None:
    """Decode with PyAV; None if it finds no sound.

    The first track that can be decoded is used.

    Raises:
        AudioError: a sample rate that is none.
    """
    import av  # needed for few files, and slow to import

    options = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": "file", "ignore_length": "1"}
    track = 0
    while True:
        try:
            with av.open(str(path), options=options, metadata_errors="ignore") as container:
                tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
                if track >= len(tracks):
                    return None
                sound = Track(container, tracks[track]).read(start_s, length_s)
        except (av.FFmpegError, MemoryError, OverflowError, UnicodeError):
            return None
        if sound is not None:
            return sound
        track += 1


@dataclass
class Track:
    """One audio track of a container, decoded packet by packet.

    Attributes:
        container, stream: of PyAV.
        position: samples so far, from the beginning of the file; also those that were skipped.
        lost: of these, samples that are silent because they could not be decoded.
        origin: time of the first sample, in the track's units.
        failed: True since a packet failed, until one succeeds.
        missing: samples of the packets that failed since.
        has_jumped: True since packets were passed over, until one is decoded.
    """

    container: Any
    stream: Any
    position: int = 0
    lost: int = 0
    origin: int | None = None
    failed: bool = False
    missing: int = 0
    has_jumped: bool = False
    resampler: Any = None
    pieces: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rate = self.stream.rate or 0
        self.channels = self.stream.channels
        check_format(self.rate, self.channels)
        self.layout = self.stream.layout.name
        self.unit = float(self.stream.time_base or 1 / self.rate)

    def read(self, start_s: float, length_s: float | None) -> Sound | None:
        """Decode a part; None if no packet can be decoded."""
        self.first = round(start_s * self.rate)
        self.end = None if length_s is None else self.first + round(length_s * self.rate)
        packets = self.packets()
        may_skip = self.first > SKIPPED_S * self.rate and self.container.format.name != "ogg"
        decoded = 0
        for packet in packets:
            for frame in self.decode(packet):
                decoded += frame.samples
                self.place(frame)
                self.keep(self.planar(frame))
            if self.end is not None and self.position >= self.end:
                break
            if decoded and may_skip:
                self.skip(packets)
                may_skip = False
        else:
            self.keep(self.flush())
        if decoded == 0:
            return None
        whole, is_known = self.measure(packets)
        return Sound(self.join(self.pieces), self.rate, whole / self.rate, is_known, self.lost / self.rate)

    def join(self, pieces: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros((self.channels, 0), np.float32), *pieces], axis=1)

    def packets(self) -> Iterator[Any]:
        """Yield the track's packets, and None at the end.

        Damaged packets do not end it.
        """
        import av

        failures = 0
        while failures < FAILURES_IN_A_ROW:
            try:
                for packet in self.container.demux(self.stream):
                    failures = 0
                    if packet.size:
                        yield packet
                break
            except (av.EOFError, av.OSError, MemoryError):
                break
            except av.FFmpegError:
                self.failed = True
                failures += 1
        yield None

    def decode(self, packet: Any) -> list[Any]:
        """Return the frames of a packet.

        A packet that cannot be decoded counts as missing.
        """
        import av

        try:
            return self.stream.codec_context.decode(packet)
        except (av.FFmpegError, ValueError, MemoryError):
            self.failed = True
            if packet is not None:
                length = round((packet.duration or 0) * self.unit * self.rate)
                self.missing += length or self.stream.codec_context.frame_size or 0
            return []

    def place(self, frame: Any) -> None:
        """Put silence in place of what is missing before a frame.

        So time stays right.
        """
        if self.origin is None:
            self.origin = frame.pts
        elif frame.pts is not None and self.has_jumped:
            self.position, self.missing = self.samples_at(frame.pts), 0
        elif self.failed or self.container.format.name == "ogg":  # damaged pages of Ogg are dropped without an error
            late = 0 if frame.pts is None else self.samples_at(frame.pts) - self.position
            silence = max(self.missing, late if late > SHORTEST_GAP_S * self.rate else 0)
            silence = min(silence, round(LONGEST_GAP_S * self.rate))
            self.keep(np.zeros((self.channels, silence), np.float32))
            self.lost += silence
            self.missing = 0
        self.failed = self.has_jumped = False

    def samples_at(self, time: int) -> int:
        """Return the position of a time in the track's units."""
        return round((time - (self.origin or 0)) * self.unit * self.rate)

    def keep(self, piece: np.ndarray) -> None:
        """Append what lies in the part that is wanted."""
        begin = max(0, self.first - self.position)
        stop = piece.shape[1] if self.end is None else max(0, self.end - self.position)
        self.position += piece.shape[1]
        if begin < min(stop, piece.shape[1]):
            self.pieces.append(piece[:, begin:stop])

    def planar(self, frame: Any) -> np.ndarray:
        """Return the samples of a frame, (channels, samples).

        They have the rate and the channels of the track.
        """
        import av

        if frame.sample_rate == self.rate and frame.layout.nb_channels == self.channels:
            return planar_float(frame)
        if self.resampler is None:
            self.resampler = av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
        try:
            parts = [part.to_ndarray() for part in self.resampler.resample(frame)]
        except ValueError:  # the frames have changed again
            self.resampler = None
            return self.join([])
        return self.join(parts)

    def flush(self) -> np.ndarray:
        parts = [] if self.resampler is None else [part.to_ndarray() for part in self.resampler.resample(None)]
        return self.join(parts)

    def skip(self, packets: Iterator[Any]) -> None:
        """Pass over packets that end before the part, without decoding them."""
        if self.origin is None:
            return
        goal = self.first - round(PREROLL_S * self.rate)
        if self.container.format.name in INDEXED:
            self.container.seek(int((goal / self.rate + self.origin * self.unit) * 1e6))
        for packet in packets:
            if packet is None or packet.pts is None or self.samples_at(packet.pts + (packet.duration or 0)) >= goal:
                break
        self.stream.codec_context.flush_buffers()
        self.has_jumped = True

    def measure(self, packets: Iterator[Any]) -> tuple[int, bool]:
        """Return the file's length in samples, and if it is exact.

        Packets after the part are counted, and not decoded.
        """
        last = self.last_end(islice(packets, COUNTED_PACKETS))
        if next(packets, None) is None:
            return max(last, self.position), True
        claimed = self.container.duration or 0
        if self.container.format.name in INDEXED and claimed:
            self.container.seek(max(0, claimed - round(PREROLL_S * 1e6)))
            return max(self.last_end(self.packets()), last), True
        return max(round(claimed / 1e6 * self.rate), last), False

    def last_end(self, packets: Iterable[Any]) -> int:
        """Return where the last of some packets ends, in samples.

        In chained files time begins anew.
        """
        end = offset = 0
        for packet in packets:
            if packet is not None and packet.pts is not None:
                here = offset + self.samples_at(packet.pts + (packet.duration or 0))
                offset += end if here < end - self.rate else 0
                end = max(end, here)
        return end


def planar_float(frame: Any) -> np.ndarray:
    """Return the samples of a frame as float32 of shape (channels, samples)."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "u":
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / 2.0 ** (8 * samples.dtype.itemsize - 1)
    return samples.astype(np.float32)
