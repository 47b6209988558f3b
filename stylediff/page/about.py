"""The page's text about itself: how it works, what it can and cannot do, and how well, from the project's own pages."""

import re
from pathlib import Path

SECTIONS = ("How it works", "Results", "Limits")
LICENCES = """## Data and licences

Trained on renders of scores that are in the public domain or openly licensed (of pop songs, the transcriptions only) in
free soundfonts; no recording was used. Scores, soundfonts and their licences are listed in the model card beside the
weights. The example clips were made by this project from public-domain music. What you upload stays on the machine that
runs this page."""
FLOW = ("audio", "log-mel", "latents", "U-Net × DDIM", "latents", "log-mel", "enhancer", "vocoder", "audio")


def section(page: str, title: str) -> str:
    """A section of a Markdown page with its heading, or nothing.

    Files are not served: pictures and links that stand alone in parentheses are left out, other links are their text.
    """
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    if not found:
        return ""
    link = r"\[([^\]]*)\]\((?!https?:)[^)]*\)"
    text = re.sub(rf"!{link}\n*|<!--.*?-->\n?| \({link}\)", "", found[0])
    return re.sub(link, r"\1", text)


def draw_flow() -> str:
    """The path of sound as a row of boxes that wraps on narrow screens."""
    boxes = [f'<span class="flow-box">{name}</span>' for name in FLOW]
    arrow = '<span class="flow-arrow" aria-hidden="true">→</span>'
    note = (
        '<span class="flow-note">instrument → style tokens → U-Net; the input\'s latents are seen at every step</span>'
    )
    return f'<div class="flow">{arrow.join(boxes)}{note}</div>'


def write_about(readme: Path) -> str:
    """The text as Markdown; sections that the project's README does not have are left out."""
    page = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    return "\n\n".join([*(section(page, title) for title in SECTIONS), LICENCES])
