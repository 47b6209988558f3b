"""The whole recipe in one command, resumable in its folder.

It renders, caches, trains every part and exports the pipeline.

    python -m train recipe --midi DIR... --soundfont FILE... --test-soundfont FILE --out RUN [--minutes M]

The stages and their settings are data: ``recipe.toml`` has those of the weights that ship, ``recipe_small.toml`` those
of small networks, which take ten minutes on two cores. Without a budget every trainer runs its number of steps. With
one, each training stage gets its share of the time.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from train.common.cli import Command, add_out, run_command
from train.common.files import FolderError, lock_settings
from train.common.job_chain import Job, JobError, run_jobs
from train.data import commands as data
from train.trainers import commands as trainers

RECIPE = Path(__file__).with_suffix(".toml")
LOCKED = ("midi", "soundfont", "test_soundfont", "clips", "test_excerpts", "seed")  # exit code of an interrupted recipe
COMMANDS = {command.name: command for command in (*data.COMMANDS, *trainers.COMMANDS)}
CLIPS_PER_TEST_EXCERPT = 20  # at least, if only the clips are given


class RecipeError(ValueError):
    """A recipe that cannot be run.

    The message names the file, the stage and the problem.
    """


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a recipe; ``recipe.toml`` explains the keys."""

    name: str
    does: str
    result: str
    paths: dict[str, str]
    command: str = ""
    trainer: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    on_gpu: dict[str, Any] = field(default_factory=dict)
    passed_on: tuple[str, ...] = ()
    budget_share: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """Stages of a recipe in order, and default arguments.

    The defaults are ``clips``, ``test_excerpts`` and ``minutes``.
    """

    stages: tuple[Stage, ...]
    defaults: dict[str, Any]


def read_stage(entry: dict[str, Any], made: Iterable[str]) -> Stage:
    """Read a stage from its table.

    Args:
        made: folders that earlier stages write, below the recipe's folder.

    Raises:
        RecipeError: unknown or missing keys, no such command, or an input that no earlier stage makes.
    """
    known, required = {f.name for f in fields(Stage)}, {"name", "does", "result", "paths"}
    name = entry.get("name", "?")
    if unknown := entry.keys() - known:
        raise RecipeError(f"stage '{name}' has an unknown key '{min(unknown)}'; keys are {', '.join(sorted(known))}")
    if missing := required - entry.keys():
        raise RecipeError(f"stage '{name}' has no key '{min(missing)}'")
    stage = Stage(**entry | {"passed_on": tuple(entry.get("passed_on", ()))})
    if bool(stage.command) == bool(stage.trainer):
        raise RecipeError(f"stage '{name}' must have either a trainer or a command")
    if (stage.command or stage.trainer) not in COMMANDS:
        raise RecipeError(f"stage '{name}': `python -m train` has no command '{stage.command or stage.trainer}'")
    for argument, path in stage.paths.items():
        if argument != "out" and path.split("/")[0] not in made:
            raise RecipeError(f"stage '{name}' reads '{path}', which no earlier stage makes")
    return stage


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from its file.

    Raises:
        RecipeError: the file is missing, is not TOML, or has stages that do not fit together; the message names the
            file.
    """
    try:
        content = tomllib.loads(path.read_text())
        stages: list[Stage] = []
        for entry in content["stages"]:
            stages.append(read_stage(entry, {stage.paths["out"] for stage in stages if "out" in stage.paths}))
        shares = sum(stage.budget_share for stage in stages)
        if abs(shares - 1) > 1e-6:
            raise RecipeError(f"the budget shares of all stages must add up to 1, not {shares:g}")
        return Recipe(tuple(stages), content["defaults"])
    except KeyError as error:
        raise RecipeError(f"{path}: the table {error} is missing") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: {error}") from error


def build_jobs(recipe: Recipe, args: argparse.Namespace) -> list[Job]:
    """Jobs of the stages, in ``args.out``.

    Raises:
        RecipeError: a stage has settings that its command does not take.
    """
    import torch  # slow, and not needed by --help

    jobs = []
    for stage in recipe.stages:
        settings = {name: getattr(args, name) for name in (*stage.passed_on, *(["seed"] if stage.trainer else []))}
        settings |= stage.settings | (stage.on_gpu if torch.cuda.is_available() else {})
        job = Job(
            name=stage.name,
            does=stage.does,
            command=stage.command or stage.trainer,
            settings=settings | {name: args.out / path for name, path in stage.paths.items()},
            result=args.out / stage.result,
            is_trainer=bool(stage.trainer),
            minutes=args.minutes * stage.budget_share,
        )
        try:
            COMMANDS[job.command].parse(job.flags())
        except SystemExit as error:  # argparse has printed the reason
            raise RecipeError(f"stage '{stage.name}' has settings that `{job.command}` does not take") from error
        jobs.append(job)
    return jobs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--midi", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--soundfont", nargs="+", required=True, help="training soundfonts, FILE or FILE:program,...")
    parser.add_argument("--test-soundfont", required=True, help="soundfont of the test sources")
    add_out(parser)
    parser.add_argument("--config", type=Path, default=RECIPE, help="stages and settings (train/recipe.toml)")
    parser.add_argument("--minutes", type=float, help="total training time (0: the steps of each trainer)")
    parser.add_argument("--clips", type=int, help="fewest clips for training and validation")
    parser.add_argument("--test-excerpts", type=int, help="excerpts of the test split")
    parser.add_argument("--seed", type=int, default=0)


def fill_in(args: argparse.Namespace, defaults: dict[str, Any]) -> None:
    """Fill in missing arguments with the recipe's defaults.

    Few clips need few test excerpts.
    """
    if args.test_excerpts is None and args.clips is not None:
        args.test_excerpts = min(defaults["test_excerpts"], max(1, args.clips // CLIPS_PER_TEST_EXCERPT))
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def run_recipe(args: argparse.Namespace) -> int:
    def work() -> None:
        recipe = read_recipe(args.config)
        fill_in(args, recipe.defaults)
        jobs = build_jobs(recipe, args)
        if not (args.out / "finished.json").is_file():  # nothing is made yet, so the arguments may still be corrected
            (args.out / "settings.json").unlink(missing_ok=True)
        lock_settings(args.out, {name: getattr(args, name) for name in LOCKED})
        run_jobs(jobs, args.out)

    return run_command(work, RecipeError, JobError, FolderError, OSError)


COMMAND = Command(
    name="recipe",
    summary="The whole recipe: render, cache, train every part and export, in a folder that can be resumed.",
    function="recipe:run_recipe",
    add_arguments=add_arguments,
)


def main(arguments: list[str] | None = None) -> int:
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
