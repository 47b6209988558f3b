"""Read damaged copies of audio files: each must be read or refused with a sentence.

python -m tests.tools.mutate_audio --files 50000 [--seed 0] [--keep FOLDER]

Prints a table of container and codec kinds. The exit code is 1 if a file ended in another exception, took more than
``SECONDS`` or ``MIB``, or ended the process.
"""

import argparse
import collections
import multiprocessing
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
import soundfile

SECONDS, MIB = 5.0, 1024
RATE, CLIP_S = 16000, 3
# Kind: ending, and PyAV's encoder or libsndfile's format and subtype.
KINDS = {
    "WAV, 16 bit": ("wav", ("WAV", "PCM_16")),
    "WAV, float": ("wav", ("WAV", "FLOAT")),
    "WAV, IMA ADPCM": ("wav", ("WAV", "IMA_ADPCM")),
    "W64": ("w64", ("W64", "PCM_16")),
    "AIFF": ("aiff", ("AIFF", "PCM_24")),
    "AU": ("au", ("AU", "PCM_16")),
    "CAF": ("caf", ("CAF", "PCM_16")),
    "FLAC": ("flac", ("FLAC", "PCM_16")),
    "Ogg Vorbis": ("ogg", ("OGG", "VORBIS")),
    "Ogg Opus": ("opus", ("OGG", "OPUS")),
    "MP3": ("mp3", ("MP3", "MPEG_LAYER_III")),
    "MP4, AAC": ("m4a", "aac"),
    "MP4, ALAC": ("mp4", "alac"),
    "CAF, ALAC": ("caf", "alac"),
    "ADTS AAC": ("aac", "aac"),
    "WebM Opus": ("webm", "libopus"),
    "Matroska MP3": ("mka", "libmp3lame"),
    "ASF WMA": ("wma", "wmav2"),
    "AMR": ("amr", "libopencore_amrnb"),
}


def encode(
    path: Path, encoder: str, waveform: np.ndarray, sample_rate: int, container_format: str | None = None
) -> None:
    """Write a waveform (samples,) with PyAV."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=sample_rate, layout="mono")
        if encoder == "wmav2":
            stream.bit_rate = 24_000
        frame = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=sample_rate, frame_size=stream.frame_size or 1024
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(piece):
                container.mux(packet)


def write_seeds(folder: Path) -> dict[str, Path]:
    """Write a healthy file of each kind, and return their paths."""
    time_s = np.arange(CLIP_S * RATE) / RATE
    waveform = 0.3 * np.sin(2 * np.pi * 440 * time_s) + np.random.default_rng(0).normal(0, 0.05, len(time_s))
    paths = {}
    for kind, (ending, how) in KINDS.items():
        path = paths[kind] = folder / f"{kind.replace(', ', '_').replace(' ', '_')}.{ending}"
        if isinstance(how, tuple):
            soundfile.write(path, waveform, RATE, format=how[0], subtype=how[1])
        else:
            narrow = how == "libopencore_amrnb"
            encode(path, how, waveform[::2] if narrow else waveform, RATE // 2 if narrow else RATE)
    return paths


def flip_bits(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 4, 64))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content)) :]


def change_header(content: bytearray, draw: random.Random) -> None:
    """Overwrite a field among the first bytes, or near a name of four letters, with a value that tempts."""
    value = draw.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, draw.getrandbits(32)))
    layout = draw.choice(("<I", ">I", "<H", ">H", "B", "<Q", ">Q"))
    size = struct.calcsize(layout)
    place = draw.randrange(min(len(content), draw.choice((64, 512))))
    content[place : place + size] = struct.pack(layout, value & (2 ** (8 * size) - 1))


def insert(content: bytearray, draw: random.Random) -> None:
    place, length = draw.randrange(len(content)), draw.choice((1, 3, 64, 5000))
    content[place:place] = draw.choice((bytes(length), draw.randbytes(length), bytes(content[:length])))


def remove(content: bytearray, draw: random.Random) -> None:
    place = draw.randrange(len(content))
    del content[place : place + draw.choice((1, 7, 512))]


MUTATIONS = (flip_bits, cut, change_header, change_header, insert, remove)


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Return a damaged copy."""
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if damaged:
            draw.choice(MUTATIONS)(damaged, draw)
    return bytes(damaged)


def memory_mib(field: str) -> float:
    """Return a field of this process's status, ``VmHWM`` (peak), ``VmRSS`` (now) or ``VmData``, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def work(connection: Connection) -> None:
    """Read the files whose paths arrive, and answer with the outcome of each."""
    from stylediff.audio import AudioError, read_sound

    limit = int((memory_mib("VmData") + MIB + 256) * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    connection.send("ready")
    while True:
        path, start_s, length_s = connection.recv()
        Path("/proc/self/clear_refs").write_text("5")
        before = memory_mib("VmRSS")
        try:
            sound = read_sound(path, start_s, length_s)
            outcome = "read" if sound.samples.size else "no samples"
        except AudioError as error:
            outcome = "no memory" if isinstance(error.__cause__, MemoryError) else "refused"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        if memory_mib("VmHWM") - before > MIB:
            outcome = f"over {MIB} MiB"
        connection.send(outcome)


class Reader:
    """A process that reads files, started anew when it hangs or ends."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.connection, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=work, args=(other,), daemon=True)
        self.process.start()
        other.close()
        self.connection.recv()

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def read(self, path: Path, start_s: float, length_s: float | None) -> str:
        """Return the outcome of one file: "read", "refused", or what went wrong."""
        self.connection.send((path, start_s, length_s))
        try:
            if self.connection.poll(SECONDS):
                return self.connection.recv()
            outcome = f"over {SECONDS:g} s"
        except EOFError:
            self.process.join()
            outcome = f"process ended with {self.process.exitcode}"
        self.stop()
        self.start()
        return outcome


def run(files: int, seed: int, keep: Path | None = None) -> dict[str, collections.Counter[str]]:
    """Read damaged files, and count the outcomes of each kind.

    Args:
        keep: folder that files with a wrong outcome are copied to.
    """
    outcomes: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in KINDS}
    reader = Reader()
    with tempfile.TemporaryDirectory() as folder:
        seeds = {kind: (path, path.read_bytes()) for kind, path in write_seeds(Path(folder)).items()}
        for number in range(files):
            draw = random.Random(f"{seed} {number}")
            kind = list(KINDS)[number % len(KINDS)]
            healthy, content = seeds[kind]
            path = healthy.with_name(f"damaged{healthy.suffix}")
            path.write_bytes(mutate(content, draw))
            outcome = reader.read(path, *draw.choice(((0.0, None), (0.0, None), (0.5, 0.5))))
            outcomes[kind][outcome] += 1
            if keep and outcome not in ("read", "refused"):
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, keep / f"{seed}_{number}{healthy.suffix}")
    reader.stop()
    return outcomes


def count_wrong(outcomes: dict[str, collections.Counter[str]]) -> collections.Counter[str]:
    """Return the outcomes that must not be, and how often they were."""
    total = sum(outcomes.values(), collections.Counter())
    return collections.Counter({name: count for name, count in total.items() if name not in ("read", "refused")})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that went wrong")
    args = parser.parse_args()
    started = time.monotonic()
    outcomes = run(args.files, args.seed, args.keep)
    print("| kind | files | read | refused | wrong |\n|---|---|---|---|---|")
    for kind, counts in outcomes.items():
        wrong = counts.total() - counts["read"] - counts["refused"]
        print(f"| {kind} | {counts.total()} | {counts['read']} | {counts['refused']} | {wrong} |")
    wrong = count_wrong(outcomes)
    for name, count in wrong.most_common():
        print(f"{count} x {name}")
    print(f"{args.files} files, {wrong.total()} wrong, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
