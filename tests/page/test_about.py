import re
import tomllib
from fnmatch import fnmatch

from stylediff.page.about import ABOUT, FLOW, draw_flow, read_about
from tests.helpers.files import ROOT


def test_the_text_covers_the_method_limits_and_licences():
    titles = re.findall(r"^## (.+)$", read_about(), flags=re.MULTILINE)
    assert titles == ["How it works", "Limits", "Data and licences"]


def test_the_text_is_ten_sentences():
    text = re.sub(r"^## .+$", "", read_about(), flags=re.MULTILINE)
    assert len(re.findall(r"[.?!](?=\s)", text + "\n")) <= 10


def test_the_text_needs_no_file_beside_the_page():
    assert "![" not in read_about()
    assert not re.findall(r"\]\((?!https:)", read_about())


def test_an_installed_package_has_the_text():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["stylediff"]
    name = ABOUT.relative_to(ROOT / "stylediff").as_posix()
    assert any(fnmatch(name, pattern) for pattern in patterns)


def test_the_flow_names_every_step():
    assert [draw_flow().count(f">{name}<") for name in FLOW] == [FLOW.count(name) for name in FLOW]
