"""Tiles of the instruments: drawn icons, colours, and preview sounds."""

from pathlib import Path
from urllib.parse import quote

from stylediff.instruments import INSTRUMENTS

HERE = Path(__file__).parent
ICONS = HERE / "icons"
PREVIEWS = HERE / "previews"  # the same three seconds on every instrument


def tile_styles() -> str:
    """Return CSS that draws an icon and a colour on each tile.

    A mask takes the colour of the tile's text, in either theme.
    """
    rules = []
    for instrument in INSTRUMENTS:
        icon = quote((ICONS / f"{instrument.name}.svg").read_text(encoding="utf-8").strip())
        tile = f'.tiles label:has(input[value="{instrument.name}"])'
        rules.append(f'{tile}::before {{ mask-image: url("data:image/svg+xml,{icon}"); }}')
        rules.append(f"{tile} {{ --instrument: {instrument.colour}; }}")
    return "\n".join(rules)
