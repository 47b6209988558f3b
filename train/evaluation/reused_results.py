"""Results that are reused from an earlier report.

They belong to systems that do not use the denoiser. They stay valid as long as data set, autoencoder and vocoder stay
the same, and are most of an evaluation's work.
"""

import gzip
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stylediff.mel import MelConfig
from train.data.waveforms import normalized_mel
from train.evaluation.cases import CaseError, EvalCase
from train.evaluation.metrics import Result
from train.evaluation.metrics.sound import log_mel_error
from train.evaluation.report import FrechetDistances
from train.evaluation.runner import EvalConfig, PlannedCase, load_case_audio, load_runs
from train.evaluation.systems import (
    AUTOENCODER,
    ENVELOPE,
    GRIFFIN_LIM,
    IDENTITY,
    ORACLE,
    REGRESSION,
    TRANSCRIBED,
    TRUE_TARGET,
    System,
)

REUSABLE = {ENVELOPE, TRANSCRIBED, REGRESSION, AUTOENCODER, ORACLE, GRIFFIN_LIM}  # only their numbers are needed
REUSED = REUSABLE | {IDENTITY, TRUE_TARGET}
CHECKED_CASES = 6
TOLERANCE = 0.01  # nepers; rounding differs between processors


@dataclass(frozen=True)
class ReusedResults:
    """Reused results by clip and system, and reused Fréchet distances.

    Both are empty without an earlier report.
    """

    results: dict[tuple[str, str], Result] = field(default_factory=dict)
    spread: FrechetDistances = field(default_factory=dict)

    def covers(self, case: EvalCase, system: str) -> bool:
        """Return True if a system's output is not needed."""
        return system in REUSABLE and (case.key, system) in self.results

    def add_to(self, systems: Iterable[System]) -> list[System]:
        """Insert the reused regression before the model."""
        every, regression = list(systems), System(REGRESSION)
        if regression not in every and any(name == REGRESSION for _, name in self.results):
            every.insert(next(place for place, system in enumerate(every) if system.is_model), regression)
        return every


def read_reused(
    report: Path | None, cases: list[EvalCase], embeddings: list[str], renewed: Collection[str] = ()
) -> ReusedResults:
    """Read the baselines of a published report (``train/results``).

    Args:
        embeddings: embeddings of the Fréchet distances needed.
        renewed: systems to recompute instead of reusing.

    Raises:
        CaseError: there is no report, or it has other clips, or lacks a distance.
    """
    if report is None:
        return ReusedResults()
    try:
        lines = gzip.decompress((report / "results.jsonl.gz").read_bytes()).decode().splitlines()
        spread = json.loads((report / "summary.json").read_text())["spread"]
    except OSError as error:
        raise CaseError(f"{report} has no published report: {error}") from error
    taken = REUSED - set(renewed)
    reused = [result for result in map(json.loads, lines) if result["row"] in taken]
    results = {(result["trial"], result["row"]): result for result in reused}
    if {key for key, _ in results} != {case.key for case in cases}:
        raise CaseError(f"{report} has other clips; its baselines cannot be reused")
    distances = REUSABLE & taken
    kept = {
        group: {system: cells for system, cells in systems.items() if system in distances}
        for group, systems in spread.items()
    }
    if any(not set(embeddings) <= cells.keys() for systems in kept.values() for cells in systems.values()):
        raise CaseError(f"{report} lacks Fréchet distances of its baselines; needed are {', '.join(embeddings)}")
    return ReusedResults(results, kept)


def check_reused(reused: ReusedResults, cases: Iterable[EvalCase], eval_config: EvalConfig) -> None:
    """Recompute the baselines of a few cases and compare them.

    Raises:
        CaseError: a log-mel error differs from the report's; the message names the case.
    """
    runs, config = load_runs(eval_config), MelConfig()
    for case in list(cases)[:CHECKED_CASES]:
        audio = load_case_audio(case, eval_config.data)
        target = normalized_mel(audio.target, config)[0, 0]
        for system in sorted(REUSED & runs.keys()):
            if (case.key, system) not in reused.results:
                continue
            reported = reused.results[case.key, system]["log_mel_error"]
            output = runs[system](audio).clamp(-1, 1)  # as in files
            error = log_mel_error(normalized_mel(output, config)[0, 0], target)
            if abs(error - reported) > TOLERANCE:
                raise CaseError(
                    f"'{system}' of {case.key} has an error of {error:.3f} here but {reported:.3f} in the earlier "
                    "report: data set, autoencoder or vocoder differ, so its baselines cannot be reused"
                )


def add_reused(reused: ReusedResults, results: list[Result], tasks: list[PlannedCase], path: Path) -> list[Result]:
    """Add reused results and append them to the results file."""
    done = {(result["trial"], result["row"]) for result in results}
    wanted = {(case.key, system) for case, systems in tasks for system in systems} - done
    added = [result for key, result in reused.results.items() if key in wanted]
    with path.open("a") as file:
        file.writelines(json.dumps(result) + "\n" for result in added)
    return results + added
