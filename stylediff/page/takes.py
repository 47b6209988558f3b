"""Takes: results that a link or a click brings back."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.temp_folders import find_folder
from stylediff.page.translations import words_for

VALUE = "take.json"


def keep_take(folder: Path, value: dict[str, Any]) -> None:
    """Keep what the player shows, beside the files of the result."""
    (folder / VALUE).write_text(json.dumps(value), encoding="utf-8")


def take_folder(take: object) -> Path:
    """Folder of a take.

    Raises:
        PageError: it has been deleted, or there was none.
    """
    folder = find_folder(take)
    if folder is None or not (folder / VALUE).is_file():
        raise PageError("result_gone")
    return folder


def read_take(take: object) -> dict[str, Any]:
    """Return what the player showed of a take.

    Raises:
        PageError: it has been deleted, or there was none.
    """
    return json.loads((take_folder(take) / VALUE).read_text(encoding="utf-8"))


def take_as_source(event: gr.EventData, request: gr.Request) -> str:
    """Return the sound of the take on view, as the next source."""
    with as_gradio_errors(words_for(request.headers.get("accept-language"))):
        return str(next(take_folder(event.id).glob("*.wav")))
