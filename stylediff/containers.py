"""Kinds of audio files, and headers that cannot be trusted."""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from stylediff.errors import ReasonedError

# Endings that are offered wherever a file is chosen; tests/stylediff/test_decoding.py reads one of each.
SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".m4a", ".m4b", ".m4r", ".mp4", ".mov",
    ".3gp", ".aac", ".amr", ".webm", ".mka", ".mkv", ".wma", ".caf", ".w64", ".au", ".mp2", ".ac3", ".wv", ".tta",
)  # fmt: skip
# Errors beside ValueError that reading or converting a file may raise; each ends that file, and not the others.
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError)
KINDS = "wav, flac, mp3, ogg, opus, aiff, m4a, mp4, webm and others"
# Endings of results: the precisions of formats without loss, the usual one first, and formats with loss.
LOSSLESS = {".wav": ("16", "24", "float"), ".flac": ("16", "24")}
LOSSY = (".mp3", ".m4a", ".ogg", ".opus")
# Formats of FFmpeg that hold sound. Playlists are left out: they name other files and addresses.
DEMUXERS = (
    "aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "eac3", "flac",
    "flv", "iff", "loas", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "nut",
    "ogg", "rm", "tak", "tta", "voc", "w64", "wav", "wv",
)  # fmt: skip
# First bytes of files that are often taken for sound.
OTHER_KINDS = (
    (b"MThd", "midi", "MIDI: it holds notes, not sound"),
    (b"%PDF", "pdf", "a PDF document"),
    (b"\x89PNG", "picture", "a picture"),
    (b"\xff\xd8\xff", "picture", "a picture"),
    (b"GIF8", "picture", "a picture"),
    (b"PK\x03\x04", "zip", "a zip archive; unpack it first"),
    (b"#EXTM3U", "playlist", "a playlist: it names files, and holds no sound"),
    (b"[playlist]", "playlist", "a playlist: it names files, and holds no sound"),
    (b"<!DOCTYPE", "web_page", "a web page; the download did not give the sound"),
    (b"<html", "web_page", "a web page; the download did not give the sound"),
    (b"version https://git-lfs", "lfs", "a pointer to a file that Git LFS has not fetched"),
)
HEAD_BYTES = 64
UNKNOWN_SIZE = 0xFFFFFFFF
LONGEST_TRAILER = 4096  # bytes after the data of a WAV file that are no samples
CHUNK_HEADER, PAGE_HEADER = 8, 27  # bytes
REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class AudioError(ReasonedError):
    """A clip that cannot be used.

    The message says what was found and what is allowed.
    Its translation is ``error_REASON`` in the page's texts.
    """


class MissingFileError(AudioError):
    """A clip whose file is not there."""


def check_format(name: str, subtype: str | None = None) -> None:
    """Check that results can be written to files of this name.

    Args:
        subtype: precision; None means the usual one.

    Raises:
        AudioError: another ending, or a precision that the format does not have.
    """
    ending = Path(name).suffix.lower()
    if ending not in LOSSLESS and ending not in LOSSY:
        raise AudioError(f"cannot write {name}: name it {', '.join([*LOSSLESS, *LOSSY[:-1]])} or {LOSSY[-1]}")
    allowed = LOSSLESS.get(ending, ())
    if subtype is not None and subtype not in allowed:
        choice = f"one of {', '.join(allowed)}" if allowed else f"left out for {ending}, which is compressed"
        raise AudioError(f"cannot write {name}: the subtype must be {choice}, got {subtype!r}")


def refusal(path: Path) -> AudioError:
    """Return the error for a file in which no sound was found.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    sentence = f"{path.name} is not audio that can be read ({KINDS})"
    if not head:
        return AudioError(f"{sentence}: the file is empty", "empty", name=path.name)
    for start, reason, kind in OTHER_KINDS:
        if head.lstrip()[: len(start)].lower() == start.lower():
            return AudioError(f"{sentence}: it is {kind}", reason, name=path.name)
    if lacks_index(path, head):
        incomplete = f"{sentence}: it is incomplete, its index is missing; copy it again"
        return AudioError(incomplete, "incomplete", name=path.name)
    return AudioError(sentence, "not_audio", name=path.name)


def lacks_index(path: Path, head: bytes) -> bool:
    """Return True if the packets of a file cannot be found.

    The index of an MP4 or CAF file often stands at the end, and a copy that broke off lacks it.
    """
    if head[4:8] == b"ftyp":
        return b"moov" not in read_boxes(path, 0, ">I4s")
    return head[:4] == b"caff" and b"lpcm" not in head and b"pakt" not in read_boxes(path, 8, ">4sQ")


def read_boxes(path: Path, position: int, layout: str) -> list[bytes]:
    """Return the names of the outer boxes of a file.

    Args:
        position: of the first box.
        layout: of name and size, in the order of the file; a CAF file's sizes are without the header.
    """
    names, end, header = [], path.stat().st_size, struct.calcsize(layout)
    with path.open("rb") as file:
        while position + header <= end:
            file.seek(position)
            first, second = struct.unpack(layout, file.read(header))
            name, size = (second, first) if layout.endswith("s") else (first, second + header)
            if size == 1:
                size = int.from_bytes(file.read(8), "big")
            names.append(name)
            if size < header:
                break
            position += size
    return names


def is_misread(path: Path) -> bool:
    """Return True if libsndfile would misread a file that FFmpeg reads well.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if head[:4] == b"fLaC":
            return has_no_length(head)
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            return has_unfinished_data(file, path.stat().st_size)
        if head[:4] == b"OggS":
            return is_chained_or_damaged(file)
        return head[:4] == b"caff" and b"alac" in head


def has_no_length(head: bytes) -> bool:
    """Return True if a FLAC header leaves the length open.

    Streams are written so. Bits 108 to 143 of the stream information are the number of samples.
    """
    return int.from_bytes(head[21:26], "big") & (2**36 - 1) == 0


def has_unfinished_data(file: BinaryIO, end: int) -> bool:
    """Return True if WAV data go on after their stated end.

    A recorder that lost power leaves the size of the beginning, mostly 0.
    """
    position = 12
    while position + CHUNK_HEADER <= end:
        file.seek(position)
        name, size = struct.unpack("<4sI", file.read(CHUNK_HEADER))
        position += CHUNK_HEADER + size + size % 2
        if name == b"data" and size == 0:
            return position < end
        if name == b"data":
            return size != UNKNOWN_SIZE and position < end and not is_trailer(file, position)
    return False


def is_trailer(file: BinaryIO, position: int) -> bool:
    """Return True if a chunk begins here, or little follows."""
    file.seek(position)
    following = file.read(LONGEST_TRAILER + 1)
    return len(following) <= LONGEST_TRAILER or all(32 <= byte < 127 for byte in following[:4])


def is_chained_or_damaged(file: BinaryIO) -> bool:
    """Return True if Ogg streams follow each other or are damaged.

    libsndfile reads the first of several streams, and moves what follows a wrong page forward in time.
    """
    position, began = 0, False
    while True:
        file.seek(position)
        page = file.read(PAGE_HEADER)
        if len(page) < PAGE_HEADER:
            return False
        segments = file.read(page[26])
        body = file.read(sum(segments))
        if len(body) < sum(segments):
            return False  # the file was cut here
        position = file.tell()
        is_first = bool(page[5] & 2)
        if page[:4] != b"OggS" or page_checksum(page + segments + body) != page[22:26] or (is_first and began):
            return True
        began = began or not is_first


def page_checksum(page: bytes) -> bytes:
    """Return the checksum of an Ogg page.

    It is the CRC of zlib with every byte, and the result, in reverse order of bits.
    """
    blank = page[:22] + bytes(4) + page[26:]
    value = zlib.crc32(blank.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2).to_bytes(4, "little")


def writing_problem(path: Path, endings: tuple[str, ...], force: bool) -> str | None:
    """Return why a command cannot write a file, or None.

    Args:
        endings: allowed ones, in lower case.
        force: True to replace a file that is there already.
    """
    if path.suffix.lower() not in endings:
        return f"cannot write {path.name}: name it {' or '.join(endings)}"
    if not path.parent.is_dir():
        return f"cannot write {path.name}: no such folder: {path.parent}"
    if path.exists() and not force:
        return f"{path.name} is there already: choose another name, or replace it with --force"
    return None
