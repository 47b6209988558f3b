"""Temporary folders of conversions, and their removal."""

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
