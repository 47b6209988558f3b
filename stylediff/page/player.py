"""Player of a result: spectrograms and two sounds at one position."""

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from stylediff.page.html_component import build_html_component
from stylediff.page.temp_folders import serve

LANE_SIZE = (1600, 160)  # width at most, and height
WORDS = (
    "old_result", "position", "difference", "difference_of", "play_pause", "listening", "match_loudness", "loop",
    "notes", "zoom_in", "zoom_out", "downloads", "takes", "facts", "input", "output", "cannot_play", "copy_result",
    "use_as_source", "compare_with",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """Contents of a player.

    Attributes:
        title, target: name of the result, and of what plays it.
        sounds: files of the input and of the result.
        pictures: input, result and their difference, each (height, width, 3) uint8; none is fine.
        seconds: length of the sounds.
        gain_db: by how much the result is louder.
        files: files to download, by the label of their button.
        facts: sentences about the result.
        notes: marks on the lanes of input and result, see ``stylediff.page.clip_notes.mark_notes``; none is fine.
        take: name of the result on this server; empty if it is not kept.
        is_arrival: True for the example that the page opens with.
    """

    title: str
    target: str
    sounds: tuple[Path, Path]
    pictures: tuple[np.ndarray, ...]
    seconds: float
    gain_db: float = 0.0
    files: dict[str, Path] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    notes: tuple[list[list[float]], ...] = ()
    take: str = ""
    is_arrival: bool = False


def build_player(elem_id: str = "player", **options: Any) -> gr.HTML:
    """Build an empty player."""
    return build_html_component("player", elem_id, **options)


def lane_address(picture: np.ndarray) -> str:
    """Return a picture of a lane, as an address that contains it."""
    width, height = LANE_SIZE
    lane = Image.fromarray(picture).resize((min(width, picture.shape[1] * 4), height))
    encoded = io.BytesIO()
    lane.save(encoded, "WEBP", quality=75)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def player_words(words: dict[str, str]) -> dict[str, str]:
    """Texts that the player needs."""
    return {key: words[key] for key in WORDS}


def player_value(player: gr.HTML, shown: Shown, words: dict[str, str]) -> dict[str, Any]:
    """Value of the player.

    The files are copied to the folder that gradio serves, and removed with its other copies.

    Args:
        words: the page's texts in the visitor's language.
    """
    return {
        "id": shown.take,
        "title": shown.title,
        "target": shown.target,
        "sounds": [serve(player, path) for path in shown.sounds],
        "pictures": [lane_address(picture) for picture in shown.pictures],
        "seconds": round(shown.seconds, 3),
        "gain_db": round(shown.gain_db, 1),
        "files": [[label, serve(player, path), path.name] for label, path in shown.files.items()],
        "facts": list(shown.facts),
        "notes": list(shown.notes),
        "is_arrival": shown.is_arrival,
        "words": player_words(words),
    }
