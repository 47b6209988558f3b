import re
import tomllib
from fnmatch import fnmatch

import pytest

from stylediff.page.about import FLOW, PARTS, SOUNDS, draw_flow
from stylediff.page.tiles import PREVIEWS
from stylediff.page.translations import load_texts
from tests.helpers.files import ROOT


@pytest.mark.parametrize("language", load_texts())
def test_the_text_is_ten_sentences_under_three_titles(language):
    parts = [load_texts()[language][part] for part in PARTS]
    assert all(part.startswith("## ") for part in parts)
    text = "\n".join(part.split("\n\n")[1] for part in parts)
    assert 7 <= len(re.findall(r"[.?!](?=\s|$)|[。]", text)) <= 11


def test_the_text_covers_the_method_limits_and_licences():
    titles = [load_texts()["en"][part].split("\n")[0] for part in PARTS]
    assert titles == ["## How it works", "## Limits", "## Data and licences"]


def test_the_sounds_are_short_and_there():
    assert all((PREVIEWS / f"{name}.mp3").stat().st_size < 30_000 for name in SOUNDS)


@pytest.mark.parametrize("pattern", ["*.css", "*.html", "*.js", "*.json", "icons/*", "previews/*", "brand/*"])
def test_an_installed_package_has_the_files(pattern):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["stylediff"]
    files = list((ROOT / "stylediff" / "page").glob(pattern))
    assert files
    for file in files:
        name = file.relative_to(ROOT / "stylediff").as_posix()
        assert any(fnmatch(name, pattern) for pattern in patterns), name


def test_the_flow_names_every_step():
    assert [draw_flow().count(f">{name}<") for name in FLOW] == [FLOW.count(name) for name in FLOW]
