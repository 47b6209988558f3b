"""Commands of the training: list them, or run one.

``python -m train`` lists them, ``python -m train NAME ...`` runs one.
"""

import sys
from collections.abc import Sequence

from train import finetune, recipe
from train.common.cli import Command
from train.data import commands as data
from train.evaluation import commands as evaluation
from train.experiments import commands as experiments
from train.trainers import commands as trainers

GROUPS: dict[str, Sequence[Command]] = {
    "The whole recipe, and your own instrument": (recipe.COMMAND, finetune.COMMAND),
    "Data sets and caches": data.COMMANDS,
    "Trainers": trainers.COMMANDS,
    "Evaluation": evaluation.COMMANDS,
    "Experiments": experiments.COMMANDS,
}
COMMANDS = {command.name: command for commands in GROUPS.values() for command in commands}


def overview() -> str:
    """List all commands by group, one line each."""
    width = max(map(len, COMMANDS))
    lines = [
        "usage: python -m train COMMAND ...",
        "",
        "`python -m train COMMAND --help` explains the arguments of a command.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {command.name:{width}}  {command.summary}" for command in commands)]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named by the first argument with the other arguments."""
    name, *others = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name in ("", "-h", "--help"):
        print(overview())
        return 0
    if name not in COMMANDS:
        print(f"error: no command {name!r}; `python -m train` lists all commands", file=sys.stderr)
        return 2
    return COMMANDS[name].run(others)


if __name__ == "__main__":
    sys.exit(main())
