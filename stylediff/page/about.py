"""About tab: its text, and the signal path as boxes."""

from pathlib import Path

ABOUT = Path(__file__).with_name("about.md")
FLOW = ("audio", "log-mel", "latents", "U-Net × DDIM", "latents", "log-mel", "enhancer", "vocoder", "audio")


def draw_flow() -> str:
    """Return the signal path as an HTML row of boxes.

    The row wraps on narrow screens.
    """
    boxes = [f'<span class="flow-box">{name}</span>' for name in FLOW]
    arrow = '<span class="flow-arrow" aria-hidden="true">→</span>'
    note = (
        '<span class="flow-note">instrument → style tokens → U-Net; the input\'s latents are seen at every step</span>'
    )
    return f'<div class="flow">{arrow.join(boxes)}{note}</div>'


def read_about() -> str:
    """Text of the About tab, as Markdown."""
    return ABOUT.read_text(encoding="utf-8")
