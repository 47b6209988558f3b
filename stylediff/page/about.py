"""About tab: three sounds, ten sentences, and the signal path as boxes."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from stylediff.page.tiles import PREVIEWS

SOUNDS = ("piano", "violin", "flute")  # the phrase as it is, and on two instruments
PARTS = ("about_how", "about_limits", "about_data")
FLOW = ("audio", "log-mel", "latents", "U-Net × DDIM", "latents", "log-mel", "enhancer", "vocoder", "audio")


def build_about(t: Callable[[str], Any]) -> None:
    """Build the tab."""
    with gr.Row():
        for name in SOUNDS:
            gr.Audio(
                str(PREVIEWS / f"{name}.mp3"), label=t(name), interactive=False, buttons=[], elem_id=f"about_{name}"
            )
    for part in PARTS:
        gr.Markdown(t(part))
    gr.HTML(draw_flow())


def draw_flow() -> str:
    """Return the signal path as an HTML row of boxes.

    The row wraps on narrow screens.
    """
    boxes = [f'<span class="flow-box">{name}</span>' for name in FLOW]
    arrow = '<span class="flow-arrow" aria-hidden="true">→</span>'
    return f'<div class="flow">{arrow.join(boxes)}</div>'
