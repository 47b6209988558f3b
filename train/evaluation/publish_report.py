"""Publish a report in train/results and in the documents.

A report rewrites the tables of docs/results.md and the model card, results on recordings that of the README.

python -m train publish-report [--report DIR] [--recordings DIR]
"""

import argparse
import gzip
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stylediff.settings import STEPS
from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.markdown import table_head, table_row
from train.evaluation.cases import MAIN_PAIRS
from train.evaluation.recorded import OURS, RECORDINGS, REPLAYED
from train.evaluation.report import ALL_PAIRS, COLUMNS, Table, format_cell, ratio_lines

RESULTS = Path("train/results")
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", flags=re.DOTALL)
KEY_COLUMNS = ("log_mel_error", "frame_f", "note_f1_50", "named_target")
RECORDED_HEADS = ("musicnn", "Fréchet ↓", "frame F")
RECORDED_COLUMNS = (("tag", 2), ("frechet", 1), ("frame_f", 2))
RECORDED_FILES = ("real_recordings.json", "real_recordings.md", "real_recordings.png")
FIRST_PAIR = str(MAIN_PAIRS[0])
EXTREMES = 3  # listed directions with the smallest error, and with the largest
EMBEDDING = "classifier"  # embedding of the Fréchet distance in the tables
FRECHET = "Fréchet distance ↓"


Pages = Mapping[Path, Callable[[dict[str, Any]], str]]


class PublishError(ValueError):
    """A report that cannot be published; the message says what is missing."""


def key_lines(table: Table, further: dict[str, dict[str, float]]) -> list[str]:
    """Key columns of a table, and further columns by heading and row."""
    lines = table_head(["", *(COLUMNS[column] for column in KEY_COLUMNS), *further])
    for row, cells in table.items():
        values = [format_cell(cells.get(column)) for column in KEY_COLUMNS]
        values += [f"{column[row]:.3f}" if row in column else "" for column in further.values()]
        lines.append(table_row([row, *values]))
    return lines


def frechet_distances(summary: dict[str, Any]) -> dict[str, float]:
    """Fréchet distance of each system over all pairs."""
    return {row: cells[EMBEDDING]["distance"] for row, cells in summary["spread"][ALL_PAIRS].items()}


def recordings_block(summary: dict[str, Any]) -> str:
    """Table of the README: recordings played by other instruments.

    Args:
        summary: contents of ``real_recordings.json``: target, system, column, value.
    """
    columns = [(key, digits, system) for key, digits in RECORDED_COLUMNS for system in (REPLAYED, OURS)]
    heads = ["target", f"{RECORDED_HEADS[0]}: recordings"]
    heads += [f"{head}: {system}" for head in RECORDED_HEADS for system in ("replayed", "ours")]
    lines = table_head(heads)
    for target, systems in summary.items():
        values = [(systems.get(RECORDINGS, {}).get("tag"), 2)]
        values += [(systems[system][key], digits) for key, digits, system in columns]
        lines.append(table_row([target, *("" if value is None else f"{value:.{digits}f}" for value, digits in values)]))
    return "\n".join([*lines, ""])


def extreme_lines(summary: dict[str, Any]) -> list[str]:
    """Table of the directions with the smallest and largest error.

    Errors are relative to the unchanged source.
    """
    name = "log-mel error / identity"
    ordered = sorted(summary["pair_ratios"].items(), key=lambda item: item[1][name])
    listed = dict(ordered[:EXTREMES] + ordered[-EXTREMES:])
    return ratio_lines({"ratios": listed})


def results_block(summary: dict[str, Any]) -> str:
    """Tables of docs/results.md."""
    first, every, costs = summary["tables"][FIRST_PAIR], summary["tables"][ALL_PAIRS], summary["costs"]
    clips = next(iter(first.values()))["log_mel_error"]["count"]
    lines = [f"**{FIRST_PAIR}**, {clips} clips:", ""]
    lines += key_lines(first, {"seconds per second ↓": summary["seconds_per_second"]})
    lines += ["", f"**All {summary['pairs']} pairs**, the mean of their means:", ""]
    lines += key_lines(every, {FRECHET: frechet_distances(summary)})
    lines += [
        "",
        f'**"{summary["headline"]}"** relative to identity and oracle, and the share classified as the target:',
        "",
    ]
    lines += ratio_lines(summary)
    lines += ["", "The same for the directions with the smallest and the largest error relative to identity:", ""]
    lines += extreme_lines(summary)
    time = f"{costs['file_seconds']:.2f} s from file to file at {STEPS} steps on {summary['threads']} threads"
    return "\n".join([*lines, "", f"**Time.** A clip of {costs['seconds']:g} s takes {time}.", ""])


def card_block(summary: dict[str, Any]) -> str:
    """Table of the model card."""
    where = "(`python -m train evaluate`; all systems are in [results.md](../../docs/results.md))"
    lines = [f'"{summary["headline"]}" on the test split {where}:', ""]
    return "\n".join([*lines, *ratio_lines(summary), ""])


PAGES = {Path("docs/results.md"): results_block, Path("stylediff/pretrained/README.md"): card_block}
RECORDINGS_PAGES = {Path("README.md"): recordings_block}


def with_block(page: Path, block: str) -> str:
    """Replace the block between the marks of a page.

    Raises:
        PublishError: the page has no marks.
    """
    text = page.read_text()
    if not BLOCK.search(text):
        raise PublishError(f"{page} needs the lines <!-- results --> and <!-- /results --> around its results")
    return BLOCK.sub(lambda marks: marks[1] + block + marks[2], text)


def replace_blocks(pages: Pages, summary: dict[str, Any], root: Path) -> None:
    """Rewrite the tables of pages.

    If one has no marks, none is changed.

    Raises:
        PublishError: a page has no marks.
    """
    texts = {root / page: with_block(root / page, block(summary)) for page, block in pages.items()}
    for page, text in texts.items():
        write_atomically(page, text)
    (root / RESULTS).mkdir(parents=True, exist_ok=True)


def publish(report: Path, root: Path) -> None:
    """Copy a report into a repository and rewrite its tables.

    The clip results are compressed.

    Raises:
        PublishError: the folder has no finished report, or a page has no marks. Then nothing is changed.
    """
    if not (report / "summary.json").is_file():
        raise PublishError(f"{report} has no finished report (no summary.json)")
    summary = json.loads((report / "summary.json").read_text())
    if FIRST_PAIR not in summary["tables"]:
        raise PublishError(f"{report} has no clip of {FIRST_PAIR}")
    replace_blocks(PAGES, summary, root)
    results = root / RESULTS
    for file in ("summary.json", "summary.md", *(path.name for path in report.glob("*.png"))):
        shutil.copyfile(report / file, results / file)
    shutil.rmtree(results / "extremes", ignore_errors=True)
    shutil.copytree(report / "extremes", results / "extremes")
    with gzip.GzipFile(results / "results.jsonl.gz", "wb", mtime=0) as packed:
        packed.write((report / "results.jsonl").read_bytes())


def publish_recordings(report: Path, root: Path) -> None:
    """Copy results on recordings into a repository and rewrite their table.

    Raises:
        PublishError: the folder has no such results, or lacks a system. Then nothing is changed.
    """
    missing = [name for name in RECORDED_FILES if not (report / name).is_file()]
    if missing:
        raise PublishError(f"{report} has no results on recordings (no {missing[0]})")
    summary = json.loads((report / RECORDED_FILES[0]).read_text())
    for target, systems in summary.items():
        if lacking := {REPLAYED, OURS} - systems.keys():
            raise PublishError(f"{report} has no {min(lacking)!r} for the {target}")
    replace_blocks(RECORDINGS_PAGES, summary, root)
    for name in RECORDED_FILES:
        shutil.copyfile(report / name, root / RESULTS / name)


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        if args.report is not None:
            publish(args.report, Path())
        if args.recordings is not None:
            publish_recordings(args.recordings, Path())

    return run_command(work, PublishError, OSError)
