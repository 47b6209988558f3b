"""Shows which damage each metric sees: a ladder of known damage to true renders, and the metrics of every rung.

    python -m train.validate_metrics --data DATASET --out DIR

A metric that does not get worse with more damage of a kind is blind to it, and the table says so.
"""

import argparse
import itertools
import sys
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stylediff.mel import MelConfig
from train.assessment import Result, assess
from train.damages import LADDER, Material
from train.manifest import ManifestError, read_manifest
from train.report import COLUMNS
from train.scoring import SHIPPED_CLASSIFIER, load_example, load_judges
from train.tables import table_head, table_row, write_page
from train.trials import Trial, TrialError, choose_trials
from train.waveforms import load_waveform
from train.workers import results_of

CLIPS = 24
UNDAMAGED = "undamaged"
# Columns that grow as things get better; in the others, less is better. Loudness is neither.
GROWING = {
    "frame_f",
    "note_f1_50",
    "note_f1_100",
    "onset_f1",
    "timely",
    "level_correlation",
    "loudness_correlation",
    "f0_accuracy",
    "source_frame_f",
    "chroma_similarity",
    "named_target",
}
LEFT_OUT = {"loudness_difference_db", "clipped", "missing_seconds"}


def climb(pair: tuple[Trial, Trial], data: Path, classifier: Path) -> list[Result]:
    """Every rung of the ladder for a trial; the other trial's target lends its music."""
    trial, other = pair
    config, judges, example = MelConfig(), load_judges(classifier), load_example(trial, data)
    material = Material(example.target, load_waveform(data / other.target.file), example.source)
    rungs = [(UNDAMAGED, 0.0, example.target)]
    for name, (damage, strengths) in LADDER.items():
        rungs += [(name, strength, damage(material, strength)) for strength in strengths]
    notes = trial.score(len(example.target) / config.sample_rate)
    source = judges.notes.listen(example.source)
    results = []
    for name, strength, output in rungs:
        result = assess(output, example.target, notes, source, example.instrument, judges, config)
        results.append(result | {"damage": name, "strength": strength})
    return results


def choose_pairs(trials: list[Trial], count: int) -> list[tuple[Trial, Trial]]:
    """Trials, each with another one of the same target voice and another piece.

    Raises:
        TrialError: no trial has such a companion.
    """
    pairs = []
    for number, trial in enumerate(trials):
        others = trials[number + 1 :] + trials[:number]
        same_voice = [t for t in others if t.target.voice == trial.target.voice and t.group.piece != trial.group.piece]
        if same_voice:
            pairs.append((trial, same_voice[0]))
    if not pairs:
        raise TrialError("no two trials share a target voice and differ in their piece")
    return pairs[:count]


def average(results: list[Result]) -> dict[tuple[str, float], dict[str, float]]:
    """Mean of every column on every rung, over the clips that have it."""
    rungs: dict[tuple[str, float], list[Result]] = {}
    for result in results:
        rungs.setdefault((result["damage"], result["strength"]), []).append(result)
    means = {}
    for rung, members in rungs.items():
        values = {c: [m[c] for m in members if m[c] is not None] for c in COLUMNS if c not in LEFT_OUT}
        means[rung] = {column: float(np.mean(found)) for column, found in values.items() if found}
    return means


def verdict(column: str, steps: list[float]) -> str:
    """How a metric's values from undamaged to the strongest damage move: "sees", "partly" or "blind"."""
    worse = [(a - b) if column in GROWING else (b - a) for a, b in itertools.pairwise(steps)]
    whole = sum(worse)
    scale = max(abs(value) for value in steps) or 1.0
    if whole < 0.03 * scale:
        return "blind"
    return "sees" if all(step > -0.01 * scale for step in worse) else "partly"


def write_markdown(means: dict[tuple[str, float], dict[str, float]], clips: int) -> str:
    """Both tables: the metrics of every rung, and what each metric makes of each kind of damage."""
    columns = [column for column in COLUMNS if all(column in values for values in means.values())]
    heads = [COLUMNS[column] for column in columns]
    lines = [f"# What the metrics see ({clips} clips)", "", *table_head(["damage", *heads])]
    for (name, strength), values in means.items():
        rung = name if name == UNDAMAGED else f"{name} {strength:g}"
        lines.append(table_row([rung, *(f"{values[column]:.3f}" for column in columns)]))
    lines += ["", *table_head(["metric", *LADDER])]
    for column, head in zip(columns, heads, strict=True):
        cells = []
        for name, (_, strengths) in LADDER.items():
            steps = [means[UNDAMAGED, 0.0], *(means[name, strength] for strength in strengths)]
            cells.append(verdict(column, [step[column] for step in steps]))
        lines.append(table_row([head, *cells]))
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="data set with trials")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="its folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(arguments)
    try:
        pairs = choose_pairs(choose_trials(read_manifest(args.data), "test", args.clips, 1), args.clips)
        job = partial(climb, data=args.data, classifier=args.classifier)
        climbed = list(tqdm(results_of(job, pairs, args.workers), total=len(pairs), unit="clip"))
    except (ManifestError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    means = average([result for results in climbed for result in results])
    values = [{"damage": name, "strength": strength, **row} for (name, strength), row in means.items()]
    write_page(args.out, "ladder", values, write_markdown(means, len(pairs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
