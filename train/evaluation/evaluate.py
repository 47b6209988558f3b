"""Measure a model on unseen music in an unseen soundfont.

    python -m train evaluate --data DATASET --out DIR

Results are saved as they are computed. Rerun an interrupted evaluation to resume it.
"""

import argparse
import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stylediff.settings import DYNAMICS, TEMPERATURE, TransferSettings
from train.common.cli import run_command
from train.common.files import computed_once, describe_arguments, lock_settings, write_atomically
from train.data.manifest import read_manifest
from train.data.soundfonts import SynthesisError
from train.evaluation.cases import MAIN_PAIRS, Direction, EvalCase, choose_cases
from train.evaluation.costs import measure_costs
from train.evaluation.embeddings import EMBEDDINGS, compare_features, embed_folder
from train.evaluation.figures import (
    choose_examples,
    choose_extremes,
    copy_extremes,
    plot_confusion,
    plot_contact_sheet,
    plot_examples,
    plot_pairs,
    plot_sweep,
)
from train.evaluation.metrics import Result
from train.evaluation.report import ALL_PAIRS, MAIN_DIRECTIONS, FrechetDistances, summarize, tabulate, write_markdown
from train.evaluation.reused_results import REUSABLE, ReusedResults, add_reused, check_reused, read_reused
from train.evaluation.runner import (
    EvalConfig,
    PlannedCase,
    audio_path,
    load_listeners,
    load_model,
    load_runs,
    load_systems,
    plan_cases,
    read_results,
    render_all,
    score_all,
    system_folder,
    time_systems,
)
from train.evaluation.systems import DEFAULT, REGRESSION, TRUE_TARGET, model_name, model_system

HEADLINE = model_name()  # the default settings are reported
TIMED_CASES = 5
SETTLED = {HEADLINE, *map(model_name, (10, 20, 50))}  # run on every clip of the main directions


def measure_frechet(
    tasks: list[PlannedCase], reused: ReusedResults, eval_config: EvalConfig, args: argparse.Namespace
) -> FrechetDistances:
    """Measure Fréchet distances to the true targets, by embedding.

    They cover the main directions and all pairs.
    """
    groups = {MAIN_DIRECTIONS: [task for task in tasks if task[0].pair in MAIN_PAIRS], ALL_PAIRS: tasks}
    names = list(dict.fromkeys(system for _, systems in tasks for system in systems))
    spread: FrechetDistances = {group: {system: {} for system in names if system != TRUE_TARGET} for group in groups}
    for embedding in args.embedding:
        features = {}
        for system in names:
            folder = system_folder(system)
            kept = args.out / "features" / embedding / f"{folder}.npz"
            features[system] = embed_folder(
                eval_config.audio / folder, kept, embedding, eval_config.classifier, args.workers
            )
        for (group, members), system in itertools.product(groups.items(), names):
            earlier = reused.spread.get(group, {}).get(system)
            if earlier:
                spread[group][system][embedding] = earlier[embedding]
            elif members and system != TRUE_TARGET and all(system in systems for _, systems in members):
                files = [audio_path(eval_config, case, system).name for case, _ in members]
                spread[group][system][embedding] = compare_features(features[system], features[TRUE_TARGET], files)
    return {group: {system: cells for system, cells in systems.items() if cells} for group, systems in spread.items()}


def extra_systems(eval_config: EvalConfig) -> set[str]:
    """Return the systems that run on some clips only."""
    return {model_system(settings).name for settings in eval_config.variants} - SETTLED


def choose_variants(args: argparse.Namespace, has_enhancer: bool) -> tuple[TransferSettings, ...]:
    """Return the default settings and variants with one setting changed."""
    variants = [DEFAULT, *(replace(DEFAULT, steps=steps) for steps in args.steps)]
    variants += [replace(DEFAULT, guidance=scale) for scale in args.guidance if scale != 1]
    variants += [replace(DEFAULT, temperature=value) for value in args.temperature if value != TEMPERATURE]
    variants += [replace(DEFAULT, dynamics=value) for value in args.dynamics if value != DYNAMICS]
    variants += [replace(DEFAULT, enhance=False)] if has_enhancer else []
    return tuple(variants)


def time_once(eval_config: EvalConfig, cases: list[EvalCase], path: Path) -> dict[str, float]:
    """Measure seconds of compute per second of sound, once.

    It is measured before other processes compete for the cores.
    """
    if not path.is_file() or json.loads(path.read_text()).keys() != load_runs(eval_config).keys():
        write_atomically(path, json.dumps(time_systems(eval_config, cases[:TIMED_CASES]), indent=1))
    return json.loads(path.read_text())


def cost_once(model: Path, path: Path) -> dict[str, Any]:
    """Parameters, operations and memory of a model, measured once."""
    return computed_once(path, lambda: measure_costs(model))


def write_report(
    tasks: list[PlannedCase],
    results: list[Result],
    eval_config: EvalConfig,
    costs: dict[str, Any],
    reused: ReusedResults,
    args: argparse.Namespace,
) -> str:
    """Write tables, numbers and pictures; return the tables as Markdown."""
    extra = extra_systems(eval_config)
    names = list(dict.fromkeys(system for _, systems in tasks for system in systems))
    regular = [system for system in names if system not in extra]
    swept = {case.key for case, systems in tasks if extra & set(systems)}
    summary = summarize(results, regular, MAIN_PAIRS, HEADLINE)
    taken_over = {system for _, system in reused.results}
    summary |= costs | {"taken_over": [system for system in names if system in taken_over]}
    summary["sweep"] = tabulate([result for result in results if result["trial"] in swept], names)
    summary["spread"] = measure_frechet(tasks, reused, eval_config, args)
    write_atomically(args.out / "summary.json", json.dumps(summary, indent=1))
    page = write_markdown(summary)
    write_atomically(args.out / "summary.md", page)
    cases = [case for case, _ in tasks]
    best, worst = choose_extremes(cases, results, HEADLINE)
    copy_extremes(best, worst, eval_config, HEADLINE, args.out / "extremes")
    figures = {
        "confusion": plot_confusion(np.array(summary["confusion"])),
        "pairs": plot_pairs({Direction.parse(pair): ratios for pair, ratios in summary["pair_ratios"].items()}),
        "contact_sheet": plot_contact_sheet(plot_examples(choose_examples(cases), eval_config, HEADLINE)),
        "extremes": plot_contact_sheet(plot_examples(best + worst, eval_config, HEADLINE)),
    }
    if swept:
        figures["sweep"] = plot_sweep(
            summary["sweep"],
            steps=args.steps,
            guidance=args.guidance,
            temperatures=args.temperature,
            dynamics=args.dynamics,
        )
    for name, figure in figures.items():
        figure.savefig(args.out / f"{name}.png", dpi=80)
    return page


def check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError for an unknown name, before any computation."""
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {kind} {name!r}; choose from {', '.join(sorted(known))}")


def evaluate(args: argparse.Namespace) -> str:
    """Compute missing results, write the report, and return its Markdown.

    Raises:
        CheckpointError, ManifestError, CaseError, ValueError: an input is missing or does not fit, or the folder was
            started with other settings.
    """
    check_names("embedding", args.embedding, EMBEDDINGS)
    check_names("baseline", args.renew, REUSABLE)
    settled = ("model", "data", "classifier", "split", "regression", "soundfont")
    cases = choose_cases(read_manifest(args.data), args.split, args.pairs_main, args.pairs_other)[: args.limit]
    lock_settings(args.out, describe_arguments(args, settled))
    results = read_results(args.out / "results.jsonl")
    renewed = [*args.renew, *([REGRESSION] if args.regression else [])]
    reused = read_reused(args.baselines, cases, args.embedding, renewed)
    eval_config = EvalConfig(
        model=args.model,
        regression=args.regression,
        classifier=args.classifier,
        data=args.data,
        audio=args.out / "audio",
        voices=tuple(sorted({case.target.voice for case in cases})),
        soundfonts=tuple(args.soundfont),
        variants=choose_variants(args, load_model(args.model).enhancer is not None),
    )
    systems = reused.add_to(load_systems(eval_config))
    load_listeners(args.classifier)  # missing inputs are reported before hours of computation, not after
    costs: dict[str, Any] = {"seconds_per_second": time_once(eval_config, cases, args.out / "seconds.json")}
    costs |= {"threads": torch.get_num_threads(), "costs": cost_once(args.model, args.out / "costs.json")}
    tasks = plan_cases(cases, systems, {HEADLINE}, extra_systems(eval_config), args.sweep)
    check_reused(reused, cases, eval_config)
    render_all(tasks, eval_config, args.workers, reused.covers)
    results = add_reused(reused, results, tasks, args.out / "results.jsonl")
    results = score_all(tasks, eval_config, results, args.out / "results.jsonl", args.workers)
    return write_report(tasks, results, eval_config, costs, reused, args)


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        print(evaluate(args))

    return run_command(work, SynthesisError, ValueError, OSError, ImportError)
