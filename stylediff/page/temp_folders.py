"""Temporary folders of conversions, and their removal."""

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

PREFIX = "stylediff_"
KEPT_SECONDS = 3600.0  # as long as gradio keeps the copies that visitors download


def new_folder() -> Path:
    """Make an empty folder and remove old ones."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def serve(component: Any, path: Path) -> str:
    """Return the address of a file, relative to the page.

    It is copied to the folder that gradio serves for the component.
    """
    return f"gradio_api/file={component.move_resource_to_block_cache(path)}"


def name_of(folder: Path) -> str:
    """Name by which ``find_folder`` finds a folder again."""
    return folder.name.removeprefix(PREFIX)


def find_folder(name: object) -> Path | None:
    """Return the folder of a name that a visitor sent, or None."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]{8}", name):
        return None
    folder = Path(tempfile.gettempdir()) / f"{PREFIX}{name}"
    return folder if folder.is_dir() else None


class SteadySet(set[str]):
    """Set that may change while it is iterated over.

    The iteration is over what it has at the beginning.
    """

    def __iter__(self) -> Iterator[str]:
        return iter(frozenset(self))


def keep_deleting(page: gr.Blocks) -> None:
    """Let gradio delete old files also while visitors add new ones.

    Its task iterates over the names of the files in a thread. One upload at that moment ends the task with an error,
    and no file is deleted any more.
    """
    holders = [(page, "upload_file_set"), *((block, "temp_files") for block in page.blocks.values())]
    steady = {}
    for holder, name in holders:
        if isinstance(names := getattr(holder, name, None), set):
            steady[id(names)] = SteadySet(names)
            setattr(holder, name, steady[id(names)])
    page.temp_file_sets = [steady.get(id(names), names) for names in page.temp_file_sets]
