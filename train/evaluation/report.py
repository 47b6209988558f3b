"""Report of an evaluation: tables of means with intervals."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.settings import STEPS
from train.common.markdown import table_head, table_row
from train.evaluation.cases import Direction
from train.evaluation.metrics import NOTES, SOUND, Result, columns_of
from train.evaluation.systems import AUTOENCODER, IDENTITY, ORACLE, TRUE_TARGET

FrechetDistances = dict[
    str, dict[str, dict[str, dict[str, float]]]
]  # group -> row -> embedding -> distance, infinity, windows
Table = dict[str, dict[str, dict[str, float]]]  # row -> column -> mean, low, high, count

NOTE_COLUMNS, SOUND_COLUMNS = columns_of(NOTES), columns_of(SOUND)
COLUMNS = NOTE_COLUMNS | SOUND_COLUMNS
DRAWS = 2000  # of the bootstrap
ALL_PAIRS, MAIN_DIRECTIONS = "all pairs", "main directions"
STRUCK = ("piano", "guitar", "harp", "vibraphone")
KINDS = {True: "pairs with a plucked or struck target", False: "pairs with a bowed or blown target"}
LEGEND = """\
Identity is the unchanged source. Spectral envelope is the source equalised to the target instrument. "Transcribed,
replayed" is basic-pitch's transcription of the source, played by the target's own soundfont. Autoencoder and oracle are
the true target through autoencoder and vocoder, or through the vocoder alone; Griffin-Lim replaces the vocoder by 32
iterations. Brackets hold 95 % bootstrap intervals: over clips for one direction, over the means of pairs for all pairs.
Columns with ↓ are better when smaller; `train/evaluation/metrics/` defines each one.

Notes are detected by basic-pitch and pitches by CREPE, and compared with the score. Onset F1 uses the onsets of the
spectral flux. "Onsets within 30 ms" is the share of such onsets among notes detected within 0.1 s of the score's. Frame
F to the source, pitch Jaccard and pitch class DTW compare with the source's transcription, so an unchanged copy is best
in them. The other columns compare with the aligned true target. Two are correlations, of levels in 50 ms and of
momentary loudness (400 ms, EBU Tech 3341). "Classified as target" is the share of clips that the instrument classifier
assigns to the target. An empty cell means that the row comes from an earlier report without that column.
"""


def bootstrap_interval(values: np.ndarray | list[float], seed: int) -> tuple[float, float]:
    """95 % interval of the mean by the percentile bootstrap.

    Source: Efron and Tibshirani 1993, chapter 13.
    """
    values = np.asarray(values, dtype=float)
    chosen = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(values[chosen].mean(1), [2.5, 97.5])
    return float(low), float(high)


def describe(values: Iterable[float]) -> dict[str, float]:
    """Return mean, 95 % interval and number of some values."""
    array = np.array(list(values), dtype=float)
    low, high = bootstrap_interval(array, seed=0)
    return {"mean": float(array.mean()), "low": low, "high": high, "count": len(array)}


def column_values(results: list[Result], row: str, column: str) -> list[float]:
    return [result[column] for result in results if result["row"] == row and result.get(column) is not None]


def tabulate(results: list[Result], rows: list[str]) -> Table:
    """Average over the clips of one direction, by system."""
    table: Table = {}
    for row in rows:
        values = {column: column_values(results, row, column) for column in COLUMNS}
        cells = {column: describe(found) for column, found in values.items() if found}
        if cells:
            table[row] = cells
    return table


def tabulate_pairs(by_pair: dict[Direction, Table], rows: list[str]) -> Table:
    """Average the means of all pairs, for systems that have all."""
    table: Table = {}
    for row in rows:
        if all(row in pair for pair in by_pair.values()):
            columns = [column for column in COLUMNS if all(column in pair[row] for pair in by_pair.values())]
            table[row] = {c: describe(pair[row][c]["mean"] for pair in by_pair.values()) for c in columns}
    return table


def key_ratios(table: Table, headline: str) -> dict[str, float]:
    """Return the key ratios of a table.

    They are the error relative to the unchanged source, the notes relative to the vocoder's bound, and the timbre.
    """

    def mean(row: str, column: str) -> float:
        return table[row][column]["mean"]

    return {
        "log-mel error / identity": mean(headline, "log_mel_error") / max(mean(IDENTITY, "log_mel_error"), 1e-9),
        "frame F / oracle": mean(headline, "frame_f") / max(mean(ORACLE, "frame_f"), 1e-9),
        "classified as target": mean(headline, "named_target"),
    }


def confusion_matrix(results: list[Result], row: str) -> np.ndarray:
    """Confusion matrix of the classifier: targets by predicted instruments."""
    counts = np.zeros((len(INSTRUMENT_NAMES), len(INSTRUMENT_NAMES)))
    for result in results:
        if result["row"] == row:
            counts[INSTRUMENT_NAMES.index(result["target"]), INSTRUMENT_NAMES.index(result["named"])] += 1
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def summarize(results: list[Result], rows: list[str], main: Sequence[Direction], headline: str) -> dict[str, Any]:
    """Tables and ratios of each main direction and of all pairs.

    Args:
        results: one dict for each clip and row, from the command evaluate.
        rows: names of the systems, in the order of the tables.
        main: directions with separate tables.
        headline: system for the ratios and the confusion matrix.
    """
    grouped: dict[Direction, list[Result]] = {}
    for result in results:
        grouped.setdefault(Direction(result["source"], result["target"]), []).append(result)
    by_pair = {pair: tabulate(members, rows) for pair, members in grouped.items()}
    tables = {str(pair): by_pair[pair] for pair in main if pair in by_pair}
    tables[ALL_PAIRS] = tabulate_pairs(by_pair, rows)
    kinds: dict[str, Table] = {}
    for struck, kind in KINDS.items():
        chosen = {pair: table for pair, table in by_pair.items() if (pair.target in STRUCK) == struck}
        kinds |= {kind: tabulate_pairs(chosen, rows)} if chosen else {}
    return {
        "pairs": len(by_pair),
        "headline": headline,
        "tables": tables,
        "kinds": kinds,
        "ratios": {name: key_ratios(table, headline) for name, table in tables.items()},
        "pair_ratios": {str(pair): key_ratios(table, headline) for pair, table in sorted(by_pair.items())},
        "confusion": confusion_matrix(results, headline).round(4).tolist(),
    }


def format_cell(cell: dict[str, float] | None) -> str:
    return "" if cell is None else f"{cell['mean']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def table_lines(table: Table) -> list[str]:
    """Both halves of a table in Markdown: notes, then sound."""
    lines = []
    for columns in (NOTE_COLUMNS, SOUND_COLUMNS):
        lines += ["", *table_head(["", *columns.values()])]
        lines += [table_row([row, *(format_cell(cells.get(c)) for c in columns)]) for row, cells in table.items()]
    return lines


def substitution_lines(summary: dict[str, Any]) -> list[str]:
    """Table of the loss in each stage, by direction.

    Each stage gets its true input.
    """
    stages = {TRUE_TARGET: "", ORACLE: "vocoder", AUTOENCODER: "autoencoder", summary["headline"]: "denoiser"}
    columns = ("log_mel_error", "frame_f", "note_f1_50", "timbre_distance")
    lines = ["", "## What each stage loses", "", "In brackets: the change from the line above, due to that stage."]
    for direction, table in summary["tables"].items():
        lines += ["", *table_head([direction, "the stage", *(COLUMNS[column] for column in columns)])]
        before: dict[str, float] = {}
        for row, stage in ((row, stage) for row, stage in stages.items() if row in table):
            means = {column: table[row][column]["mean"] for column in columns}
            changes = {column: f" ({means[column] - before[column]:+.3f})" for column in before}
            cells = (f"{means[column]:.3f}{changes.get(column, '')}" for column in columns)
            lines.append(table_row([row, stage, *cells]))
            before = means
    return lines


def frechet_lines(spread: FrechetDistances) -> list[str]:
    """Tables of Fréchet distances, one for each group of directions."""
    lines = []
    for group, rows in spread.items():
        embeddings = list(next(iter(rows.values()))) if rows else []
        lines += ["", f"## Fréchet distance to the true targets, {group}", ""]
        lines += table_head(["", *(head for e in embeddings for head in (e, f"{e}, ∞", "windows"))])
        for row, cells in rows.items():
            values = [f"{c['distance']:.3f} | {c['infinity']:.3f} | {c['windows']}" for c in cells.values()]
            lines.append(table_row([row, *values]))
    return lines


def ratio_lines(summary: dict[str, Any]) -> list[str]:
    """Table of the key ratios by direction."""
    names = list(next(iter(summary["ratios"].values())))
    rows = [[direction, *(f"{r:.3f}" for r in ratios.values())] for direction, ratios in summary["ratios"].items()]
    return [*table_head(["direction", *names]), *map(table_row, rows)]


def cost_lines(summary: dict[str, Any]) -> list[str]:
    """Tables of time by system, and of costs by network."""
    lines = ["", f"## Compute ({summary['threads']} threads)", "", "| | seconds per second of sound |", "|---|---|"]
    lines += [f"| {row} | {seconds:.3f} |" for row, seconds in summary["seconds_per_second"].items()]
    costs = summary["costs"]
    lines += [
        "",
        f"For {costs['seconds']:g} seconds of sound (a multiply-add is two operations):",
        "",
        "| | |",
        "|---|---|",
    ]
    lines += [f"| parameters, {part} | {count / 1e6:.2f} M |" for part, count in costs["parameters"].items()]
    lines += [f"| operations, {part} | {count / 1e9:.2f} G |" for part, count in costs["operations"].items()]
    lines += [f"| time from file to file, {STEPS} steps | {costs['file_seconds']:.2f} s |"]
    lines += [f"| peak memory, {when} | {size / 2**20:.0f} MiB |" for when, size in costs["peak_memory_bytes"].items()]
    return lines


def write_markdown(summary: dict[str, Any]) -> str:
    """Write the summary as a Markdown page."""
    lines = ["# Evaluation", "", LEGEND]
    if summary["taken_over"]:
        rows = ", ".join(f'"{row}"' for row in summary["taken_over"])
        lines += [f"Results of these systems, which do not use the denoiser, come from an earlier report: {rows}."]
        lines += ["All times were measured in one run.", ""]
    lines += [f'Ratios of "{summary["headline"]}":', "", *ratio_lines(summary)]
    lines += substitution_lines(summary)
    of_pairs = {ALL_PAIRS, *summary["kinds"]}  # tables that average pairs; the others average clips
    for direction, table in (summary["tables"] | summary["kinds"]).items():
        count = next(iter(table.values()))["log_mel_error"]["count"]
        unit = "pairs" if direction in of_pairs else "clips"
        lines += ["", f"## {direction} ({count} {unit})", *table_lines(table)]
    if summary["sweep"]:
        count = summary["sweep"][summary["headline"]]["log_mel_error"]["count"]
        lines += ["", f"## Settings ({count} clips of the main directions)", *table_lines(summary["sweep"])]
        lines += ["", "![quality against steps, guidance, temperature and dynamics](sweep.png)"]
    lines += frechet_lines(summary["spread"])
    lines += cost_lines(summary)
    lines += ["", "![how the classifier names each target](confusion.png)"]
    lines += ["", "![every pair of instruments](pairs.png)"]
    lines += ["", "![sources, outputs and targets](contact_sheet.png)"]
    lines += ["", "![the best three clips and the worst three](extremes.png)", ""]
    return "\n".join(lines)
