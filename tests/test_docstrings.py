"""Docstrings: their examples run as written, and public classes have one."""

import ast
import doctest

import pytest

import stylediff
from tests.helpers.files import ROOT

SOURCES = [ROOT / "app.py", *sorted((ROOT / "stylediff").rglob("*.py")), *sorted((ROOT / "train").rglob("*.py"))]


def examples() -> list[doctest.DocTest]:
    """Examples in all docstrings, one test per docstring."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                name = f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'module')}"
                docstring = ast.get_docstring(node) or ""
                found.append(doctest.DocTestParser().get_doctest(docstring, {}, name, str(path), 0))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_examples_run_as_written(example: doctest.DocTest) -> None:
    shown: list[str] = []
    assert doctest.DocTestRunner().run(example, out=shown.append).failed == 0, "".join(shown)


@pytest.mark.parametrize("name", [name for name in stylediff.__all__ if not name.endswith("Mixin")])
def test_public_classes_have_an_example(name: str) -> None:
    assert ">>> " in (getattr(stylediff, name).__doc__ or "")
