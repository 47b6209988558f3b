"""Tables in Markdown."""

from collections.abc import Iterable


def table_head(heads: Iterable[str]) -> list[str]:
    """The two lines that open a table with these columns; a column's head may be empty."""
    names = list(heads)
    return ["|" + "".join(f" {name} |" if name else " |" for name in names), "|---" * len(names) + "|"]


def table_row(cells: Iterable[object]) -> str:
    """A table's line."""
    return f"| {' | '.join(map(str, cells))} |"
