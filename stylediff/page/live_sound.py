"""Sound of a long clip, heard while the rest is made."""

import secrets
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from stylediff.audio import write_samples
from stylediff.page.conversions import Heard
from stylediff.page.temp_folders import new_folder, serve
from stylediff.waveform import PEAK_LIMIT

WORDS = ("live_listen", "live_pause", "live_note")


class LiveSound:
    """The parts of one run, as the value of the component ``live_sound``.

    Args:
        component: whose files are served.
        words: the page's texts in the visitor's language.
    """

    def __init__(self, component: gr.HTML, words: dict[str, str]) -> None:
        self.component, self.words = component, {key: words[key] for key in WORDS}
        self.folder: Path | None = None
        self.name = secrets.token_hex(8)
        self.parts: list[str] = []
        self.scale = 1.0

    def add(self, heard: Heard) -> None:
        """Write a part; parts after a loud one are as much quieter."""
        self.folder = self.folder or new_folder()
        self.scale = min(self.scale, PEAK_LIMIT / max(PEAK_LIMIT, float(np.abs(heard.samples).max(initial=0))))
        path = self.folder / f"{len(self.parts):04}.flac"
        write_samples(path, self.scale * heard.samples, heard.sample_rate, "PCM_16")
        self.parts.append(serve(self.component, path))

    def value(self, *, has_ended: bool = False) -> dict[str, Any]:
        """Value of the component.

        Args:
            has_ended: True once the result is there.
        """
        return {"id": self.name, "parts": list(self.parts), "has_ended": has_ended, "words": self.words}
