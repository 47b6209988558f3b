"""The page's text about itself: how it works, what it can and cannot do, and how well, from the project's own pages."""

import re
from pathlib import Path

SECTIONS = ("How it works", "Results", "Limits")
LICENCES = """## Data and licences

Trained on renders of public-domain and openly licensed scores in free soundfonts; no recording was used. Scores,
soundfonts and their licences are listed in the model card beside the weights. The example clips were made by this
project from public-domain music. What you upload stays on the machine that runs this page."""
FLOW = ("audio", "log-mel", "latents", "U-Net × DDIM", "latents", "log-mel", "enhancer", "vocoder", "audio")


def section(page: str, title: str) -> str:
    """A section of a Markdown page with its heading, or nothing. Pictures, whose files are not served, are left out."""
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"!\[[^\]]*\]\([^)]*\)\n*|<!--.*?-->\n?", "", found[0]) if found else ""


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
