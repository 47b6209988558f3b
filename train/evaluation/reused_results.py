"""Rows that the denoiser has no part in, taken over from an earlier report instead of being made again.

They stay what they were as long as data set, autoencoder and vocoder do, and are most of an evaluation's work.
"""

import gzip
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stylediff.mel import MelConfig
from train.data.waveforms import levelled_mel
from train.evaluation.cases import Trial, TrialError
from train.evaluation.clip_scores import Result
from train.evaluation.metrics import log_mel_error
from train.evaluation.report import Spread
from train.evaluation.runner import Scoring, Task, load_example, load_rows
from train.evaluation.systems import (
    AUTOENCODER,
    ENVELOPE,
    GRIFFIN_LIM,
    IDENTITY,
    ORACLE,
    REGRESSION,
    TRANSCRIBED,
    TRUE_TARGET,
)

UNHEARD = {ENVELOPE, TRANSCRIBED, REGRESSION, AUTOENCODER, ORACLE, GRIFFIN_LIM}  # nothing but their numbers is needed
KEPT = UNHEARD | {IDENTITY, TRUE_TARGET}
CHECKED_TRIALS = 6
TOLERANCE = 0.01  # nepers; other processors round differently


@dataclass(frozen=True)
class Baselines:
    """What is taken over: results by clip and row, and Fréchet distances. Empty without an earlier report."""

    results: dict[tuple[str, str], Result] = field(default_factory=dict)
    spread: Spread = field(default_factory=dict)

    def has_unheard(self, trial: Trial, row: str) -> bool:
        """Whether a row's sound need not be made, since its numbers are here and nothing else of it is needed."""
        return row in UNHEARD and (trial.key, row) in self.results

    def add_to(self, rows: Iterable[str]) -> list[str]:
        """Rows, and before our own the one that takes a network which need not be here."""
        names = list(rows)
        if REGRESSION not in names and any(row == REGRESSION for _, row in self.results):
            names.insert(next(place for place, name in enumerate(names) if name.startswith("ours")), REGRESSION)
        return names


def read_baselines(
    report: Path | None, trials: list[Trial], embeddings: list[str], renewed: Collection[str] = ()
) -> Baselines:
    """The baselines of a published report (``train/results``), or none.

    Args:
        embeddings: of the Fréchet distances that are wanted.
        renewed: rows that are not taken over.

    Raises:
        TrialError: it is not there, is about other clips, or has not all of the distances.
    """
    if report is None:
        return Baselines()
    try:
        lines = gzip.decompress((report / "results.jsonl.gz").read_bytes()).decode().splitlines()
        spread = json.loads((report / "summary.json").read_text())["spread"]
    except OSError as error:
        raise TrialError(f"{report} holds no published report: {error}") from error
    taken = KEPT - set(renewed)
    told = [result for result in map(json.loads, lines) if result["row"] in taken]
    results = {(result["trial"], result["row"]): result for result in told}
    if {key for key, _ in results} != {trial.key for trial in trials}:
        raise TrialError(f"{report} is about other clips than these: its baselines cannot be taken over")
    distances = UNHEARD & taken
    kept = {group: {row: cells for row, cells in rows.items() if row in distances} for group, rows in spread.items()}
    if any(not set(embeddings) <= cells.keys() for rows in kept.values() for cells in rows.values()):
        raise TrialError(f"{report} has not all Fréchet distances of its baselines: {', '.join(embeddings)}")
    return Baselines(results, kept)


def check_baselines(baselines: Baselines, trials: Iterable[Trial], scoring: Scoring) -> None:
    """Makes the baselines of a few trials again.

    Raises:
        TrialError: one has another log-mel error than the report says; the message names it.
    """
    rows, config = load_rows(scoring), MelConfig()
    for trial in list(trials)[:CHECKED_TRIALS]:
        example = load_example(trial, scoring.data)
        aim = levelled_mel(example.target, config)[0, 0]
        for row in sorted(KEPT & rows.keys()):
            if (trial.key, row) not in baselines.results:
                continue
            told = baselines.results[trial.key, row]["log_mel_error"]
            output = rows[row](example).clamp(-1, 1)  # as files hold it
            error = log_mel_error(levelled_mel(output, config)[0, 0], aim)
            if abs(error - told) > TOLERANCE:
                raise TrialError(
                    f"'{row}' of {trial.key} has an error of {error:.3f} here and of {told:.3f} in the earlier report: "
                    "data set, autoencoder or vocoder differ, so its baselines cannot be taken over"
                )


def add_baselines(baselines: Baselines, results: list[Result], tasks: list[Task], path: Path) -> list[Result]:
    """Results with those that are taken over, which are also added to the file of results."""
    done = {(result["trial"], result["row"]) for result in results}
    wanted = {(trial.key, row) for trial, rows in tasks for row in rows} - done
    added = [result for key, result in baselines.results.items() if key in wanted]
    with path.open("a") as file:
        file.writelines(json.dumps(result) + "\n" for result in added)
    return results + added
