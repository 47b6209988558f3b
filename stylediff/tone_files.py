"""Ringtones as files: endings, titles and names."""

import re
from pathlib import Path

import numpy as np

from stylediff.audio import AudioError
from stylediff.output_files import write_compressed, write_lossless

LONGEST_NAME = 60

FORMATS = (".m4r", ".ogg", ".mp3", ".wav")


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
    tags = {"title": title}
    if path.suffix.lower() == ".wav":
        write_lossless(path, samples, sample_rate, "16", tags)
    else:
        is_ogg = path.suffix.lower() == ".ogg"
        write_compressed(path, samples, sample_rate, tags | ({"ANDROID_LOOP": "true"} if is_loop and is_ogg else {}))


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
