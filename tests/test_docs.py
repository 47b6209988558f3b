"""Documents: links, commands, pictures and decisions agree with the code."""

import contextlib
import importlib
import io
import re
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.files import ROOT
from train.__main__ import COMMANDS

LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
PAGES = [ROOT / name for name in LISTED.splitlines() if (ROOT / name).is_file()]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """Text of a page without code blocks."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(page: Path) -> list[list[str]]:
    """Words of all documented ``python -m train`` and ``python -m stylediff`` commands."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    text = re.sub(r"(`[^`\n]*)\n([^`\n]*`)", r"\1 \2", text)  # a command in a sentence may contain a line break
    return [found.split() for found in re.findall(r"-m ((?:train|stylediff)\b[^`|#&\n]*)", text)]


def import_program(name: str) -> ModuleType | None:
    """What ``python -m`` runs, where it parses its arguments in a function."""
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    return module if hasattr(module, "parse_arguments") else None


@cache
def known_flags(module: str, name: str) -> set[str]:
    """Flags of a program, or of a command of ``python -m train``.

    Raises:
        KeyError: there is no such command.
    """
    if module == "train":
        text = COMMANDS[name].parser().format_help()
    elif (program := import_program(module)) is not None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            program.parse_arguments(["--help"])
        text = printed.getvalue()
    else:
        help_command = [sys.executable, "-m", module, "--help"]
        text = subprocess.run(help_command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z-]+", text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_has_a_target(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_named_on_a_page_exists(page):
    for path in re.findall(r"`((?:stylediff|train|tests|docs|examples)/[\w./-]*)`", prose(page)):
        assert (ROOT / path).exists(), path
    for line in re.findall(r"pip install [^\n]*", page.read_text()):
        for file in re.findall(r"-r (\S+\.txt)", line):
            assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_documented_command_and_its_flags_exist(page):
    for module, *words in commands(page):
        if words and words[0] != "...":
            flags = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
            unknown = flags - known_flags(module, words[0] if module == "train" else "")
            assert not unknown, f"python -m {module} {words[0]} has no {', '.join(sorted(unknown))}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 130


def test_the_picture_is_drawn_from_the_configuration():
    script = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    assert script["draw"]() == (ROOT / "docs" / "architecture.svg").read_text()
    for box in script["BOXES"].values():
        if box.detail.endswith(".py"):
            assert (ROOT / "stylediff" / box.detail).is_file(), box.detail


def test_the_index_lists_every_decision_with_its_status():
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [record.name[:2] for record in RECORDS] == [f"{number:02}" for number in range(1, len(RECORDS) + 1)]
    for record in RECORDS:
        title, _, status, *_ = record.read_text().splitlines()
        assert title.startswith(f"# {record.name[:2]}. ")
        assert "**Decision.**" in record.read_text()
        kept = re.fullmatch(r"Status: ([^;]+)(;.*)?", status)
        assert kept, record.name
        row = next(line for line in index.splitlines() if f"({record.name})" in line)
        assert row.endswith(f"| {kept[1]} |"), record.name


def test_the_test_command_is_the_same_everywhere():
    command = next(line for line in (ROOT / "README.md").read_text().splitlines() if "&& python -m pytest" in line)
    install = command.partition(" && python -m pytest")[0]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()
    assert f"\t{install}\n" in (ROOT / "Makefile").read_text()
