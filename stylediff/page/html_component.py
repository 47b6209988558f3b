"""Components of our own: a template and a script around gradio's HTML."""

from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent


def build_html_component(name: str, elem_id: str, **options: Any) -> gr.HTML:
    """Build an empty component of the files ``name.html`` and ``name.js``."""
    template, script = (FOLDER.joinpath(f"{name}.{ending}").read_text(encoding="utf-8") for ending in ("html", "js"))
    return gr.HTML(
        value=None,
        html_template=template,
        js_on_load=script,
        apply_default_css=False,
        elem_id=elem_id,
        **options,
    )
