"""Temporary folders of conversions, and their removal."""

import re
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "stylediff_"
KEPT_SECONDS = 3600.0  # as long as gradio keeps the copies that visitors download


def new_folder() -> Path:
    """Make an empty folder and remove old ones."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def name_of(folder: Path) -> str:
    """Name by which ``find_folder`` finds a folder again."""
    return folder.name.removeprefix(PREFIX)


def find_folder(name: object) -> Path | None:
    """Return the folder of a name that a visitor sent, or None."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]{8}", name):
        return None
    folder = Path(tempfile.gettempdir()) / f"{PREFIX}{name}"
    return folder if folder.is_dir() else None
