"""Markdown tables and pages."""

import json
from collections.abc import Iterable
from pathlib import Path

from train.common.files import write_atomically


def table_head(heads: Iterable[str]) -> list[str]:
    """Return the two header lines of a Markdown table.

    A column's heading may be empty.
    """
    names = list(heads)
    return ["|" + "".join(f" {name} |" if name else " |" for name in names), "|---" * len(names) + "|"]


def table_row(cells: Iterable[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def write_page(folder: Path, name: str, values: object, page: str) -> None:
    """Write a page and print it.

    The values behind the page are written beside it as JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.json", json.dumps(values, indent=1))
    write_atomically(folder / f"{name}.md", page)
    print(page)
