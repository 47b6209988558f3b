"""The page about what the codec loses: tables of its rows, the worst instrument, where Griffin-Lim is nearer."""

import numpy as np

from train.assessment import Result
from train.codec import ALL_PASS, DECODED, ITERATIONS, ORIGINAL, VOCODER, griffin_lim_row
from train.frechet import frechet_distance
from train.metrics import bootstrap_interval
from train.report import describe, format_cell
from train.tables import table_head, table_row

COLUMNS = {
    "frame_f": "frame F",
    "note_f1_50": "note F1, 50 ms",
    "source_frame_f": "frame F to the original",
    "deviation": "pitch off by, cents ↓",
    "wobble": "pitch wobble, cents ↓",
    "stripes": "hop autocorrelation ↓",
    "log_mel_error": "log-mel error, neper ↓",
    "log_spectral_distance": "LSD, dB ↓",
    "stft_distance": "STFT distance ↓",
    "loudness_difference_db": "louder by, dB",
}
STEADINESS = ("wobble", "stripes")
NOTES = f"""\
"{VOCODER}" is a true log-mel through the vocoder, "{DECODED}" the same after encoding and decoding; the others have
Griffin-Lim with so many iterations in the vocoder's place. "{ALL_PASS}" is the same sound with other phases, its
partials a millisecond earlier or later: what a column reads there, it reads from phases alone. Clips are of pieces
that were not trained on. Brackets hold 95 % bootstrap intervals. Pitch is CREPE's, on notes of 0.4 s and more of one
voice; hop autocorrelation is `train.steadiness.hop_stripes`. Columns with ↓ are better when smaller; wobble and
autocorrelation are as good as can be when no larger than the original's.
"""


def plain_name(column: str) -> str:
    """A column's heading without its arrow."""
    return COLUMNS[column].strip(" ↓")


def frechet_to_originals(results: list[Result], row: str) -> float:
    """Fréchet distance of a row's features to the originals'."""
    ours, theirs = (np.concatenate([r["features"] for r in results if r["row"] == name]) for name in (row, ORIGINAL))
    return frechet_distance(ours, theirs)


def table(results: list[Result], rows: list[str]) -> list[str]:
    """Means of the columns that any of the results has, as Markdown."""
    columns = [column for column in COLUMNS if any(column in result for result in results)]
    lines = table_head(["", *(COLUMNS[column] for column in columns)])
    for row in rows:
        values = {c: [r[c] for r in results if r["row"] == row and c in r] for c in columns}
        cells = [format_cell(describe(values[column]) if values[column] else None) for column in columns]
        lines.append(table_row([row, *cells]))
    return lines


def changes(results: list[Result], row: str) -> dict[str, np.ndarray]:
    """By how much each clip's columns differ from its original's."""
    originals = {result["file"]: result for result in results if result["row"] == ORIGINAL}
    ours = sorted((result for result in results if result["row"] == row), key=lambda result: result["file"])
    pairs = [(result, originals[result["file"]]) for result in ours]
    found = {c: [one[c] - other[c] for one, other in pairs if c in one and c in other] for c in COLUMNS}
    return {column: np.array(values) for column, values in found.items() if values}


def write_rivalry(of_instruments: dict[str, list[Result]]) -> list[str]:
    """Where Griffin-Lim in the vocoder's place comes nearer to the originals than the vocoder does, as Markdown."""
    rival = griffin_lim_row("mel", ITERATIONS[-1])
    lines, cells, certain, further = [], 0, 0, 0
    for instrument, results in of_instruments.items():
        ours, theirs, control = (changes(results, row) for row in (VOCODER, rival, ALL_PASS))
        cells += len(ours)
        for column in ours:
            mine, its, phases = (np.abs(row[column]) for row in (ours, theirs, control))
            if its.mean() >= mine.mean():
                continue
            low, high = bootstrap_interval(mine - its, seed=0)
            certain += low > 0
            further += low > 0 and mine.mean() > phases.mean()
            excess = f"{(mine - its).mean():.3f} more [{low:.3f}, {high:.3f}]; phases alone {phases.mean():.3f}"
            off = f"off by {mine.mean():.3f} against {its.mean():.3f}, {excess}"
            lines.append(f"- {instrument}: {plain_name(column)}, {off}")
    title = f'"{rival}" comes nearer to the originals than "{VOCODER}" in {len(lines)} of {cells} cells'
    beyond = f", beyond chance (the interval of the clips' differences leaves 0 out) in {certain}"
    more = f', and further off than phases alone take them ("{ALL_PASS}") in {further} of these'
    return [f"{title} (means of absolute differences over clips){beyond}{more}" + (":" if lines else "."), "", *lines]


def write_steadiness(results: list[Result]) -> str:
    """Wobble and stripes against the originals', clip by clip, as a sentence."""
    found = []
    for row in (VOCODER, DECODED):
        change = changes(results, row)
        cells = [f"{plain_name(c)} {format_cell(describe(change[c]))}" for c in STEADINESS if c in change]
        found.append(f'"{row}" {" and ".join(cells)}')
    return f"Above the originals, clip by clip: {'; '.join(found)}."


def lost_frames(results: list[Result], row: str) -> float:
    """By how much the pitch F-measure against the score is below the originals', or that to the original below 1."""
    column = "frame_f" if any("frame_f" in result for result in results) else "source_frame_f"
    values = {name: [r[column] for r in results if r["row"] == name and column in r] for name in (ORIGINAL, row)}
    before, after = (np.mean(values[name]) for name in (ORIGINAL, row))
    return float(before - after)


def write_markdown(results: list[Result], rows: list[str], seconds: dict[str, float]) -> str:
    """The tables: all clips, every instrument with the worst one named, every voice."""
    lines = ["# What the codec loses", "", NOTES, f"## All clips ({len({r['file'] for r in results})})", ""]
    lines += [*table(results, rows), "", "| | Fréchet distance ↓ | seconds for a second of sound ↓ |", "|---|---|---|"]
    for row in rows:
        lines.append(f"| {row} | {frechet_to_originals(results, row):.3f} | {seconds[row]:.3f} |")
    groups = {key: sorted({r[key] for r in results}) for key in ("instrument", "voice")}
    of = {(key, name): [r for r in results if r[key] == name] for key in groups for name in groups[key]}
    worst = max(groups["instrument"], key=lambda name: lost_frames(of["instrument", name], DECODED))
    lost = lost_frames(of["instrument", worst], DECODED)
    lines += [
        "",
        f"The instrument that loses most through autoencoder and vocoder is the {worst}: {lost:.3f} of frame F.",
        "",
        write_steadiness(results),
        "",
        *write_rivalry({name: of["instrument", name] for name in groups["instrument"]}),
    ]
    for key, names in groups.items():
        for name in names:
            count = len({r["file"] for r in of[key, name]})
            lines += ["", f"## {name} ({count} clips)" if key == "instrument" else f"### {name} ({count} clips)", ""]
            lines += table(of[key, name], rows)
    return "\n".join([*lines, ""])
