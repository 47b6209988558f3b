"""Draw docs/architecture.svg: the components and the shapes between them, from the shipped configuration.

python docs/draw_architecture.py
"""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PRETRAINED = HERE.parent / "stylediff" / "pretrained"
PICTURE = HERE / "architecture.svg"
FRAMES = 448  # one window of the denoiser, 5.2 s
BOX_WIDTH, BOX_HEIGHT = 120, 58
COLUMN_STEP, ROW_STEP, MARGIN = 214, 128, 22
WIDTH, HEIGHT = 1020, 430
FILLS = {"sound": "#f4f4f5", "fixed": "#e0f2fe", "trained": "#ede9fe"}
LEGEND = {"sound": "input and output", "fixed": "signal processing", "trained": "trained network"}


@dataclass(frozen=True)
class Box:
    """A component of the picture, at a position of the grid."""

    title: str
    detail: str
    column: int
    row: int
    kind: str

    @property
    def left(self) -> int:
        return MARGIN + self.column * COLUMN_STEP

    @property
    def top(self) -> int:
        return MARGIN + self.row * ROW_STEP

    @property
    def middle(self) -> tuple[int, int]:
        return self.left + BOX_WIDTH // 2, self.top + BOX_HEIGHT // 2


BOXES = {
    "target": Box("target", "name or clip", 3, 0, "sound"),
    "style": Box("style encoder", "style_encoder.py", 4, 0, "trained"),
    "source": Box("source clip", "audio.py", 0, 1, "sound"),
    "mel": Box("log-mel", "mel.py", 1, 1, "fixed"),
    "encode": Box("encoder", "autoencoder.py", 2, 1, "trained"),
    "unet": Box("U-Net, DDIM", "denoiser.py", 4, 1, "trained"),
    "decode": Box("decoder", "autoencoder.py", 4, 2, "trained"),
    "enhance": Box("enhancer", "enhancer.py", 3, 2, "trained"),
    "dynamics": Box("dynamics", "dynamics.py", 2, 2, "fixed"),
    "vocoder": Box("vocoder", "vocoder.py", 1, 2, "trained"),
    "output": Box("output clip", "audio.py", 0, 2, "sound"),
}


def read_config(part: str) -> dict[str, Any]:
    return json.loads((PRETRAINED / part / "config.json").read_text())


def shapes() -> dict[str, str]:
    """Shapes of one window, by data, without the batch axis."""
    coder, style = read_config("autoencoder"), read_config("style_encoder")
    halvings = 2 ** (len(coder["block_out_channels"]) - 1)
    bands, hop = coder["mel"]["n_mels"], coder["mel"]["hop_length"]
    fold = coder["latent_fold"]
    latents = (
        coder["latent_channels"] * fold**2,
        bands // (coder["fold_mels"] * halvings * fold),
        FRAMES // (coder["fold_frames"] * halvings * fold),
    )
    return {
        "waveform": f"{FRAMES * hop:,}",
        "mel": f"1 × {bands} × {FRAMES}",
        "latents": " × ".join(map(str, latents)),
        "tokens": f"{style['tokens']} × {style['width']}",
    }


def draw_box(box: Box) -> str:
    x, _ = box.middle
    return (
        f'<rect x="{box.left}" y="{box.top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" '
        f'fill="{FILLS[box.kind]}" stroke="#71717a"/>'
        f'<text class="title" x="{x}" y="{box.top + 26}">{escape(box.title)}</text>'
        f'<text class="detail" x="{x}" y="{box.top + 44}">{escape(box.detail)}</text>'
    )


def draw_arrow(first: Box, second: Box, label: str) -> str:
    """An arrow between neighbours in a row or a column, with the shape beside it."""
    (x1, y1), (x2, y2) = first.middle, second.middle
    if first.row == second.row:
        ahead = 1 if x2 > x1 else -1
        x1, x2 = x1 + ahead * BOX_WIDTH // 2, x2 - ahead * (BOX_WIDTH // 2 + 4)
        place = f'class="shape" x="{(x1 + x2) // 2}" y="{y1 - 7}"'
    else:
        y1, y2 = y1 + BOX_HEIGHT // 2, y2 - BOX_HEIGHT // 2 - 4
        place = f'class="shape before" x="{x1 - 8}" y="{(y1 + y2) // 2 + 4}"'
    return f'<path class="arrow" d="M{x1} {y1}L{x2} {y2}"/><text {place}>{escape(label)}</text>'


def draw_branch(label: str) -> str:
    """Path of the source's log-mel to the enhancer and the dynamics."""
    (x, _), level = BOXES["mel"].middle, BOXES["mel"].top + BOX_HEIGHT + 26
    start = f"M{x} {BOXES['mel'].top + BOX_HEIGHT}L{x} {level}"
    ends = [BOXES[name].middle[0] for name in ("dynamics", "enhance")]
    bottom = BOXES["enhance"].top - 4
    paths = "".join(f'<path class="arrow" d="{start}L{end} {level}L{end} {bottom}"/>' for end in ends)
    return f'{paths}<text class="shape beside" x="{x + 14}" y="{level - 7}">{escape(label)}</text>'


def draw_legend() -> str:
    parts = []
    for place, (kind, text) in enumerate(LEGEND.items()):
        x = MARGIN + place * 170
        swatch = (
            f'<rect x="{x}" y="{HEIGHT - 50}" width="16" height="16" rx="3" fill="{FILLS[kind]}" stroke="#71717a"/>'
        )
        parts.append(f'{swatch}<text class="shape beside" x="{x + 24}" y="{HEIGHT - 38}">{text}</text>')
    note = f"Shapes are those of one window of {FRAMES} frames (5.2 s). Longer clips use overlapping windows."
    return "".join(parts) + f'<text class="shape beside" x="{MARGIN}" y="{HEIGHT - 14}">{note}</text>'


def draw() -> str:
    """Draw the picture as SVG."""
    flow = shapes()
    arrows = [
        ("source", "mel", "waveform"),
        ("mel", "encode", "mel"),
        ("encode", "unet", "latents"),
        ("style", "unet", "tokens"),
        ("unet", "decode", "latents"),
        ("decode", "enhance", "mel"),
        ("enhance", "dynamics", "mel"),
        ("dynamics", "vocoder", "mel"),
        ("vocoder", "output", "waveform"),
    ]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        "<title>StyleDiff: from waveform to waveform</title>",
        "<style>text{text-anchor:middle;fill:#18181b}.title{font-size:14px;font-weight:600}"
        ".detail{font-size:10.5px;fill:#52525b;font-family:monospace}.shape{font-size:11px}.beside{text-anchor:start}.before{text-anchor:end}"
        ".arrow{fill:none;stroke:#52525b;stroke-width:1.5;marker-end:url(#head)}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#52525b"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#ffffff"/>',
        *(draw_box(box) for box in BOXES.values()),
        draw_arrow(BOXES["target"], BOXES["style"], ""),
        *(draw_arrow(BOXES[first], BOXES[second], flow[what]) for first, second, what in arrows),
        draw_branch(f"source log-mel, {flow['mel']}"),
        draw_legend(),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw())
