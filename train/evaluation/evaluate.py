"""Measures a model on clips of unseen music in an unseen soundfont, beside baselines and bounds.

    python -m train.evaluation.evaluate --data DATASET --out DIR

Results are kept as they are made; an interrupted evaluation goes on where it stopped.
"""

import argparse
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stylediff.checkpoint import SHIPPED
from stylediff.dynamics import DYNAMICS
from stylediff.sampling import STEPS, TEMPERATURE
from stylediff.settings import TransferSettings
from train.common.cli import exit_code
from train.common.files import claim_folder, settled_arguments, write_atomically
from train.data.manifest import SPLITS, read_manifest
from train.data.soundfonts import SynthesisError
from train.evaluation.cases import MAIN_PAIRS, Trial, choose_trials
from train.evaluation.clip_scores import Result
from train.evaluation.costs import measure_costs
from train.evaluation.embeddings import EMBEDDINGS, compare_features, embed_folder
from train.evaluation.figures import (
    choose_extremes,
    choose_panels,
    copy_extremes,
    draw_confusion,
    draw_contact_sheet,
    draw_pairs,
    draw_panels,
    draw_sweep,
)
from train.evaluation.report import ALL_PAIRS, MAIN_DIRECTIONS, Spread, summarize, tabulate, write_markdown
from train.evaluation.reused_results import UNHEARD, Baselines, add_baselines, check_baselines, read_baselines
from train.evaluation.runner import (
    SHIPPED_CLASSIFIER,
    Scoring,
    Task,
    audio_path,
    load_judges,
    load_model,
    load_rows,
    make_all,
    plan_tasks,
    read_results,
    row_folder,
    score_all,
    time_rows,
)
from train.evaluation.systems import REGRESSION, TRUE_TARGET, ours

HEADLINE_STEPS = 20
TIMED_TRIALS = 5
SETTLED_STEPS = (STEPS, 10, 20, 50)  # run on every clip of the main directions


def measure_spread(tasks: list[Task], baselines: Baselines, scoring: Scoring, args: argparse.Namespace) -> Spread:
    """Fréchet distances of rows to the true targets, by embedding: over the main directions, and over all pairs."""
    groups = {MAIN_DIRECTIONS: [task for task in tasks if task[0].pair in MAIN_PAIRS], ALL_PAIRS: tasks}
    names = list(dict.fromkeys(row for _, rows in tasks for row in rows))
    spread: Spread = {group: {row: {} for row in names if row != TRUE_TARGET} for group in groups}
    for embedding in args.embedding:
        features = {}
        for row in names:
            folder = row_folder(row)
            kept = args.out / "features" / embedding / f"{folder}.npz"
            features[row] = embed_folder(scoring.audio / folder, kept, embedding, scoring.classifier, args.workers)
        for (group, members), row in itertools.product(groups.items(), names):
            told = baselines.spread.get(group, {}).get(row)
            if told:
                spread[group][row][embedding] = told[embedding]
            elif members and row != TRUE_TARGET and all(row in rows for _, rows in members):
                files = [audio_path(scoring, trial, row).name for trial, _ in members]
                spread[group][row][embedding] = compare_features(features[row], features[TRUE_TARGET], files)
    return {group: {row: cells for row, cells in rows.items() if cells} for group, rows in spread.items()}


def extra_rows(scoring: Scoring, headline: str) -> set[str]:
    """Rows of our model at settings that only a part of the clips is run at."""
    settled = {ours(steps) for steps in SETTLED_STEPS}
    return {ours(**sampling.to_dict()) for sampling in scoring.samplings} - settled - {headline}


def time_once(scoring: Scoring, trials: list[Trial], path: Path) -> dict[str, float]:
    """Seconds of compute for a second of sound by row; measured once, before other processes compete for the cores."""
    if not path.is_file() or json.loads(path.read_text()).keys() != load_rows(scoring).keys():
        write_atomically(path, json.dumps(time_rows(scoring, trials[:TIMED_TRIALS]), indent=1))
    return json.loads(path.read_text())


def cost_once(model: Path, path: Path) -> dict[str, Any]:
    """Parameters, operations and memory of a model, measured once."""
    if not path.is_file():
        write_atomically(path, json.dumps(measure_costs(model), indent=1))
    return json.loads(path.read_text())


def write_report(
    tasks: list[Task],
    results: list[Result],
    scoring: Scoring,
    headline: str,
    costs: dict[str, Any],
    baselines: Baselines,
    args: argparse.Namespace,
) -> str:
    """Writes tables, numbers and pictures of results, and returns the tables' Markdown."""
    extra = extra_rows(scoring, headline)
    names = list(dict.fromkeys(row for _, rows in tasks for row in rows))
    regular = [row for row in names if row not in extra]
    swept = {trial.key for trial, rows in tasks if extra & set(rows)}
    summary = summarize(results, regular, [" -> ".join(pair) for pair in MAIN_PAIRS], headline)
    taken_over = {row for _, row in baselines.results}
    summary |= costs | {"taken_over": [row for row in names if row in taken_over]}
    summary["sweep"] = tabulate([result for result in results if result["trial"] in swept], names)
    summary["spread"] = measure_spread(tasks, baselines, scoring, args)
    write_atomically(args.out / "summary.json", json.dumps(summary, indent=1))
    page = write_markdown(summary)
    write_atomically(args.out / "summary.md", page)
    trials = [trial for trial, _ in tasks]
    best, worst = choose_extremes(trials, results, headline)
    copy_extremes(best, worst, scoring, headline, args.out / "extremes")
    figures = {
        "confusion": draw_confusion(np.array(summary["confusion"])),
        "pairs": draw_pairs(summary["pair_ratios"]),
        "contact_sheet": draw_contact_sheet(draw_panels(choose_panels(trials), scoring, headline)),
        "extremes": draw_contact_sheet(draw_panels(best + worst, scoring, headline)),
    }
    if swept:
        settings = (args.steps, args.guidance, args.temperature, args.dynamics)
        figures["sweep"] = draw_sweep(summary["sweep"], *settings, HEADLINE_STEPS)
    for name, figure in figures.items():
        figure.savefig(args.out / f"{name}.png", dpi=80)
    return page


def evaluate(args: argparse.Namespace) -> str:
    """Runs what is missing, writes the report, and returns its Markdown.

    Raises:
        CheckpointError, ManifestError, TrialError, ValueError: something is missing, does not fit, or the folder was
            begun with other settings.
    """
    settled = ("model", "data", "classifier", "split", "regression", "soundfont")
    trials = choose_trials(read_manifest(args.data), args.split, args.pairs_main, args.pairs_other)[: args.limit]
    claim_folder(args.out, settled_arguments(args, settled))
    results = read_results(args.out / "results.jsonl")
    renewed = [*args.renew, *([REGRESSION] if args.regression else [])]
    baselines = read_baselines(args.baselines, trials, args.embedding, renewed)
    samplings = [TransferSettings(steps=steps) for steps in args.steps]
    usual = TransferSettings(steps=HEADLINE_STEPS)
    samplings += [replace(usual, guidance=scale) for scale in args.guidance if scale != 1]
    samplings += [replace(usual, temperature=one) for one in args.temperature if one != TEMPERATURE]
    samplings += [replace(usual, dynamics=one) for one in args.dynamics if one != DYNAMICS]
    if load_model(args.model).enhancer is not None:
        samplings.append(replace(usual, enhance=False))
    scoring = Scoring(
        model=args.model,
        regression=args.regression,
        classifier=args.classifier,
        data=args.data,
        audio=args.out / "audio",
        voices=tuple(sorted({trial.target.voice for trial in trials})),
        soundfonts=tuple(args.soundfont),
        samplings=tuple(samplings),
    )
    rows = baselines.add_to(load_rows(scoring))
    load_judges(args.classifier)  # what is missing is told before hours of computing, not after
    headline = ours(min(args.steps, key=lambda steps: abs(steps - HEADLINE_STEPS)))
    costs: dict[str, Any] = {"seconds_per_second": time_once(scoring, trials, args.out / "seconds.json")}
    costs |= {"threads": torch.get_num_threads(), "costs": cost_once(args.model, args.out / "costs.json")}
    tasks = plan_tasks(trials, rows, {headline, ours(STEPS)}, extra_rows(scoring, headline), args.sweep)
    check_baselines(baselines, trials, scoring)
    make_all(tasks, scoring, args.workers, baselines.has_unheard)
    results = add_baselines(baselines, results, tasks, args.out / "results.jsonl")
    results = score_all(tasks, scoring, results, args.out / "results.jsonl", args.workers)
    return write_report(tasks, results, scoring, headline, costs, baselines, args)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the pipeline")
    parser.add_argument("--data", type=Path, required=True, help="data set with the trials and the training clips")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="its folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--pairs-main", type=int, default=60, help="clips of each main direction")
    parser.add_argument("--pairs-other", type=int, default=6, help="clips of each other pair of instruments")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 10, 20, 50], help="denoising steps")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5, 2.0], help="guidance scales")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.0, 0.3, 0.5, 0.7, 1.0], help="of the noise")
    parser.add_argument("--dynamics", type=float, nargs="+", default=[0.0, 0.25, 0.5, 1.0], help="how far they follow")
    parser.add_argument("--sweep", type=int, default=12, help="clips of a main direction that every setting is run on")
    parser.add_argument("--embedding", nargs="+", choices=tuple(EMBEDDINGS), default=["classifier", "pixels"])
    parser.add_argument("--baselines", type=Path, help="published report of other weights, to take baselines from")
    parser.add_argument("--renew", nargs="+", default=[], choices=sorted(UNHEARD), help="baselines to make again")
    parser.add_argument("--regression", type=Path, help="folder of a pipeline trained as one-pass regression")
    parser.add_argument("--soundfont", nargs="+", default=[], help="of the targets, to replay what is transcribed")
    parser.add_argument("--workers", type=int, default=2, help="processes, each of which computes on one core")
    parser.add_argument("--limit", type=int, help="stop after that many clips, to try it out")
    args = parser.parse_args(arguments)
    if args.limit is not None and args.limit < 1:
        parser.error("--limit must be at least 1")
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)

    def work() -> None:
        print(evaluate(args))

    return exit_code(work, SynthesisError, ValueError, OSError, ImportError)


if __name__ == "__main__":
    sys.exit(main())
