"""Puts a report into the repository: its files beside the code, its tables into the README and the model card.

python -m train publish-report --report DIR
"""

import argparse
import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.markdown import table_head, table_row
from train.evaluation.cases import MAIN_PAIRS
from train.evaluation.report import ALL_PAIRS, COLUMNS, Table, format_cell, ratio_lines

RESULTS = Path("train/results")
README, MODEL_CARD = Path("README.md"), Path("stylediff/pretrained/README.md")
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", flags=re.DOTALL)
KEY_COLUMNS = ("log_mel_error", "frame_f", "note_f1_50", "named_target")
FIRST_PAIR = " -> ".join(MAIN_PAIRS[0])
EMBEDDING = "classifier"  # of the Fréchet distance that is shown


class PublishError(ValueError):
    """A report that cannot be published; the message says what is missing."""


def key_lines(table: Table, further: dict[str, dict[str, float]]) -> list[str]:
    """A table's key columns, and further columns by head and row."""
    lines = table_head(["", *(COLUMNS[column] for column in KEY_COLUMNS), *further])
    for row, cells in table.items():
        values = [format_cell(cells.get(column)) for column in KEY_COLUMNS]
        values += [f"{column[row]:.3f}" if row in column else "" for column in further.values()]
        lines.append(table_row([row, *values]))
    return lines


def readme_block(summary: dict[str, Any]) -> str:
    """What stands in the README between the marks, from a report's summary."""
    first, every = summary["tables"][FIRST_PAIR], summary["tables"][ALL_PAIRS]
    distances = {row: cells[EMBEDDING]["distance"] for row, cells in summary["spread"][ALL_PAIRS].items()}
    clips = next(iter(first.values()))["log_mel_error"]["count"]
    lines = [f"**{FIRST_PAIR}**, {clips} clips:", ""]
    lines += key_lines(first, {"seconds for a second ↓": summary["seconds_per_second"]})
    lines += ["", f"**All {summary['pairs']} pairs**, the mean of their means:", ""]
    lines += key_lines(every, {"Fréchet distance ↓": distances})
    lines += ["", f'"{summary["headline"]}" against doing nothing, against the oracle, and to the classifier:', ""]
    return "\n".join([*lines, *ratio_lines(summary), ""])


def card_block(summary: dict[str, Any]) -> str:
    """What stands in the model card between the marks."""
    lines = [
        f'"{summary["headline"]}" on the test split (`python -m train evaluate`; all rows are in the README):',
        "",
    ]
    return "\n".join([*lines, *ratio_lines(summary), ""])


def replace_block(page: Path, block: str) -> None:
    """Puts a block between a page's marks.

    Raises:
        PublishError: the page has no marks.
    """
    text = page.read_text()
    if not BLOCK.search(text):
        raise PublishError(f"{page} has no lines <!-- results --> and <!-- /results --> to put the results between")
    write_atomically(page, BLOCK.sub(lambda marks: marks[1] + block + marks[2], text))


def publish(report: Path, results: Path, readme: Path, card: Path) -> None:
    """Copies a report, its clip results compressed, and rewrites both pages.

    Raises:
        PublishError: the folder holds no finished report, or a page has no marks.
    """
    if not (report / "summary.json").is_file():
        raise PublishError(f"{report} holds no finished report (no summary.json)")
    summary = json.loads((report / "summary.json").read_text())
    if FIRST_PAIR not in summary["tables"]:
        raise PublishError(f"{report} has no clip of {FIRST_PAIR}")
    replace_block(readme, readme_block(summary))
    replace_block(card, card_block(summary))
    results.mkdir(parents=True, exist_ok=True)
    for file in ("summary.json", "summary.md", *(path.name for path in report.glob("*.png"))):
        shutil.copyfile(report / file, results / file)
    shutil.rmtree(results / "extremes", ignore_errors=True)
    shutil.copytree(report / "extremes", results / "extremes")
    with gzip.GzipFile(results / "results.jsonl.gz", "wb", mtime=0) as packed:
        packed.write((report / "results.jsonl").read_bytes())


def main(args: argparse.Namespace) -> int:
    return run_command(lambda: publish(args.report, RESULTS, README, MODEL_CARD), PublishError, OSError)
