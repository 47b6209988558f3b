"""Files that the command line reads and writes."""

import glob
import os
import sys
from pathlib import Path

from stylediff.containers import SUFFIXES

LONGEST_NAME = 255  # bytes, on nearly all file systems


def find_sources(paths: list[Path]) -> list[Path]:
    """Return the files that paths, patterns and folders stand for.

    A folder stands for the audio files in it and below. A pattern counts as one if no file has its name, and
    stays if it matches nothing.
    """
    found = []
    for path in paths:
        if path.is_dir():
            found += [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()]
        elif not path.exists() and (matches := [file for file in sorted(glob.glob(str(path))) if os.path.isfile(file)]):
            found += map(Path, matches)
        else:
            found.append(path)
    return found


def result_paths(sources: list[Path], folder: Path, style: str, seed: int, suffix: str = ".wav") -> list[Path]:
    """Return the path of each source's result in a folder.

    A name that several sources share is numbered from the second on. Long names are cut at their beginning's end.
    """
    ending = f"_to_{style.replace('/', '_')}_seed{seed}"
    stems = [source.stem for source in sources]
    numbers = [stems[:place].count(stem) + 1 for place, stem in enumerate(stems)]
    endings = [f"{ending}{suffix}" if number == 1 else f"{ending}_{number}{suffix}" for number in numbers]
    room = LONGEST_NAME - len(max(map(os.fsencode, endings), key=len))
    return [folder / f"{cut_name(stem, room)}{end}" for stem, end in zip(stems, endings, strict=True)]


def cut_name(name: str, limit: int) -> str:
    """Return a name cut to a number of bytes."""
    content = os.fsencode(name)
    if len(content) <= limit:
        return name
    while limit > 0 and content[limit] & 0xC0 == 0x80:  # not inside a letter
        limit -= 1
    return os.fsdecode(content[:limit])


def make_output_printable() -> None:
    """Let any name be printed in any encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
