"""Command line of the training: its list, its help, and the functions it names."""

import importlib
import re
import subprocess
import sys

import pytest

from stylediff.checkpoint import SHIPPED
from tests.helpers.files import ROOT
from train.__main__ import COMMANDS, GROUPS, main
from train.common.cli import SHIPPED_CLASSIFIER, SHIPPED_MODEL

# modules that are slow to import, directly or indirectly
HEAVY = ("accelerate", "diffusers", "librosa", "matplotlib", "numpy", "scipy", "stylediff", "symusic", "torch")


def test_all_commands_are_listed_by_group_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")] == list(GROUPS)
        listed = [line.split()[0] for line in lines if line.startswith("  ")]
        assert listed == list(COMMANDS)
    assert len(COMMANDS) == sum(map(len, GROUPS.values()))
    assert all(len(f"  {name:18}  {command.summary}") <= 120 for name, command in COMMANDS.items())


def test_an_unknown_command_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "error: no command 'trian'" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_function_of_a_command_exists(command) -> None:
    module, _, function = command.function.partition(":")
    assert callable(getattr(importlib.import_module(f"train.{module}"), function))
    assert command.parser().format_help().startswith(f"usage: python -m train {command.name}")


def test_help_imports_nothing_slow() -> None:
    program = f"""
import sys
from train.__main__ import COMMANDS, overview
overview()
for command in COMMANDS.values():
    command.parser().format_help()
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_default_weights_are_those_that_ship() -> None:
    assert SHIPPED_MODEL == SHIPPED
    assert (SHIPPED_CLASSIFIER / "config.json").is_file()


def test_documents_name_existing_commands() -> None:
    pages = [path for path in ROOT.rglob("*.md") if ".venv" not in path.parts]
    named = {name for page in pages for name in re.findall(r"-m train ([a-z][a-z-]*)", page.read_text())}
    assert {"evaluate", "denoiser"} <= named
    assert named <= set(COMMANDS)
    modules = {name for page in pages for name in re.findall(r"python -m train\.([\w.]+)", page.read_text())}
    assert modules <= {"recipe"}
