"""What an evaluation has to do: which systems on which trials, and doing what is left of it."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

from train.assessment import Result
from train.manifest import write_atomically
from train.rows import GRIFFIN_LIM
from train.scoring import Scoring, audio_path, make, score
from train.trials import MAIN_PAIRS, Pair, Trial
from train.workers import results_of

Task = tuple[Trial, tuple[str, ...]]  # a trial and its rows


def read_results(path: Path) -> list[Result]:
    """Results kept so far, one a line; a line that an interruption cut short is dropped, from the file as well."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]
    write_atomically(path, "".join(whole))
    return [json.loads(line) for line in whole]


def plan_tasks(trials: list[Trial], names: list[str], chosen: set[str], extra: set[str], sweep: int) -> list[Task]:
    """The rows to run on each trial.

    Off the main directions, our model runs at chosen settings only, and Griffin-Lim, slow and no part of what is
    measured, not at all.

    Args:
        chosen: rows of our model that run on every trial.
        extra: rows that run on the first ``sweep`` trials of a main direction only.
    """
    everywhere = tuple(name for name in names if name in chosen or not (name.startswith("ours") or name == GRIFFIN_LIM))
    regular = tuple(name for name in names if name not in extra)
    seen: Counter[Pair] = Counter()
    tasks: list[Task] = []
    for trial in trials:
        seen[trial.pair] += 1
        rows = tuple(names) if seen[trial.pair] <= sweep else regular
        tasks.append((trial, rows if trial.pair in MAIN_PAIRS else everywhere))
    return tasks


def unfinished(tasks: list[Task], is_done: Callable[[Trial, str], bool]) -> list[Task]:
    """What is left of tasks."""
    left = [(trial, tuple(row for row in rows if not is_done(trial, row))) for trial, rows in tasks]
    return [(trial, rows) for trial, rows in left if rows]


def progress(tasks: list[Task], what: str) -> tqdm:
    return tqdm(total=sum(len(rows) for _, rows in tasks), unit="clip", desc=what)


def make_all(
    tasks: list[Task], scoring: Scoring, workers: int, is_needless: Callable[[Trial, str], bool] = lambda *_: False
) -> None:
    """Makes all sound that is not there yet, but for what is needless."""
    waiting = unfinished(tasks, lambda t, row: is_needless(t, row) or audio_path(scoring, t, row).is_file())
    with progress(waiting, "make") as bar:
        for count in results_of(partial(make, scoring), waiting, workers):
            bar.update(count)


def score_all(tasks: list[Task], scoring: Scoring, results: list[Result], path: Path, workers: int) -> list[Result]:
    """The results of tasks: those that ``results`` holds, and the others, scored and added to the file.

    They come in the order of the tasks, whatever the order in which they were made.
    """
    done = {(result["trial"], result["row"]): result for result in results}
    waiting = unfinished(tasks, lambda trial, row: (trial.key, row) in done)
    with path.open("a") as file, progress(waiting, "score") as bar:
        for made in results_of(partial(score, scoring), waiting, workers):
            for result in made:
                done[result["trial"], result["row"]] = result
                file.write(json.dumps(result) + "\n")
            file.flush()
            bar.update(len(made))
    return [done[trial.key, row] for trial, rows in tasks for row in rows]
