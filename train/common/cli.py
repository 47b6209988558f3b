"""Commands of ``python -m train`` and the arguments they share."""

import argparse
import errno
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SHIPPED_MODEL = ROOT / "stylediff" / "pretrained"
SHIPPED_CLASSIFIER = ROOT / "train" / "pretrained" / "classifier"

Check = Callable[[argparse.ArgumentParser, argparse.Namespace], None]


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of ``python -m train``.

    Arguments are declared here and not in the module that does the work, because that is slow to import.

    Attributes:
        name: name on the command line.
        summary: one line that says what it does.
        function: "package.module:function" below ``train``; it takes the parsed arguments and returns an exit code.
        add_arguments: function that declares the arguments.
        check: function that exits with a sentence if arguments do not fit together.

    Examples:
        >>> from train.common.cli import Command, add_out
        >>> command = Command(name="demo", summary="Do nothing.", function="demo:main", add_arguments=add_out)
        >>> command.parse(["--out", "folder"]).out.name
        'folder'
    """

    name: str
    summary: str
    function: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    check: Check | None = None

    def parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog=f"python -m train {self.name}", description=self.summary)
        self.add_arguments(parser)
        return parser

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse and check the arguments.

        Raises:
            SystemExit: arguments that do not fit together, or a request for help.
        """
        parser = self.parser()
        args = parser.parse_args(arguments)
        if self.check is not None:
            self.check(parser, args)
        return args

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """Parse the arguments, do the work, and return the exit code."""
        args = self.parse(arguments)
        module, _, function = self.function.partition(":")
        return getattr(importlib.import_module(f"train.{module}"), function)(args)


def to_flags(settings: Mapping[str, Any]) -> list[str]:
    """Convert settings to flags.

    ``{"batch_size": 8}`` becomes ``--batch-size 8``, and a list gives several values.
    """
    flags = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, list | tuple) else [value]
            flags += [f"--{flag}", *map(str, values)]
    return flags


def run_command(work: Callable[[], object], *refusals: type[Exception]) -> int:
    """Run resumable work and return an exit code.

    0 means done, 2 an expected error, 130 interrupted.

    Args:
        refusals: exceptions whose message alone is shown; others are raised.
    """
    try:
        work()
    except KeyboardInterrupt:
        print("stopped; rerun the same command to continue", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            print("error: the disk is full; free some space and rerun the same command to continue", file=sys.stderr)
        elif isinstance(error, refusals):
            print(f"error: {error}", file=sys.stderr)
        else:
            raise
        return 2
    return 0


def add_model_arguments(parser: argparse.ArgumentParser, classifier: bool = True) -> None:
    """Declare ``--model`` and, if asked for, ``--classifier``.

    Their defaults are the shipped weights.
    """
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="folder of the pipeline")
    if classifier:
        parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="folder of the classifier")


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=2, help="number of processes; each uses one core")


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
