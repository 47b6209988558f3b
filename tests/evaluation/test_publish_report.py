import gzip
import json
from pathlib import Path

import pytest

from stylediff.settings import STEPS
from tests.evaluation.test_report import HAND_MADE, ROWS, SPREAD
from tests.helpers.files import ROOT
from train.evaluation.cases import MAIN_PAIRS
from train.evaluation.publish_report import PAGES, PublishError, publish, readme_block
from train.evaluation.report import summarize
from train.evaluation.systems import IDENTITY, ORACLE, model_name

MARKED = "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n"
README, RESULTS, CARD = (path.as_posix() for path in PAGES)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    (folder / "extremes").mkdir(parents=True)
    summary = summarize(HAND_MADE, ROWS, MAIN_PAIRS[:1], model_name(20))
    summary |= {"spread": SPREAD, "seconds_per_second": {model_name(20): 0.25}, "threads": 2}
    summary |= {"costs": {"seconds": 5.0, "file_seconds": 0.345}}
    (folder / "summary.json").write_text(json.dumps(summary))
    for name in ("summary.md", "results.jsonl", "pairs.png", "settings.json", "extremes/best_1_output.ogg"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with marked pages and an earlier report."""
    root = tmp_path / "repository"
    for page in PAGES:
        (root / page).parent.mkdir(parents=True, exist_ok=True)
        (root / page).write_text(MARKED)
    (root / "train/results/extremes").mkdir(parents=True)
    (root / "train/results/extremes/of_the_last_report.ogg").touch()
    return root


def test_tables_come_between_the_marks(report: Path, repository: Path) -> None:
    for _ in range(2):
        publish(report, repository)
    pages = {page.as_posix(): (repository / page).read_text() for page in PAGES}
    for text in pages.values():
        assert text.startswith("before\n<!-- results -->\n")
        assert text.endswith("<!-- /results -->\nafter\n")
        assert "old" not in text
    results = pages[RESULTS]
    assert "**piano -> violin**, 2 clips:\n" in results
    assert "| ours, 20 steps | 0.600 [0.500, 0.700] | 0.400 [0.300, 0.500] | 0.000 [0.000, 0.000] |" in results
    assert "| 0.750 [0.500, 1.000] | 1.500 |" in results
    assert "| piano -> violin | 0.300 | 0.500 | 0.500 |" in results
    assert results.index("| piano -> violin | 0.300 |") < results.index("| harp -> violin | 0.350 |")
    assert f"A clip of 5 s takes 0.34 s from file to file at {STEPS} steps on 2 threads." in results
    assert "| piano -> violin | 0.300 | 0.500 | 0.500 |" in pages[CARD]
    assert "| oracle | 0.100 | 0.800 | 1.000 |  |" in pages[README]


def test_files_are_copied_beside_the_code(report: Path, repository: Path) -> None:
    publish(report, repository)
    results = repository / "train/results"
    assert {path.name for path in results.iterdir()} == {
        "summary.json", "summary.md", "pairs.png", "results.jsonl.gz", "extremes",
    }  # fmt: skip
    assert [path.name for path in (results / "extremes").iterdir()] == ["best_1_output.ogg"]
    assert gzip.decompress((results / "results.jsonl.gz").read_bytes()) == b"results.jsonl"


def test_the_readme_shows_the_default_and_the_bounds(report: Path) -> None:
    summary = json.loads((report / "summary.json").read_text())
    summary["tables"]["all pairs"][model_name(STEPS)] = summary["tables"]["all pairs"][model_name(20)]
    systems = [line.split(" | ")[0].removeprefix("| ") for line in readme_block(summary).splitlines()[2:]]
    assert systems == [IDENTITY, model_name(STEPS), ORACLE]


def test_missing_parts_are_named_and_nothing_is_changed(report: Path, repository: Path) -> None:
    (repository / CARD).write_text("nothing to fill")
    with pytest.raises(PublishError, match=r"README\.md needs the lines <!-- results -->"):
        publish(report, repository)
    assert (repository / README).read_text() == MARKED
    assert (repository / "train/results/extremes/of_the_last_report.ogg").is_file()
    with pytest.raises(PublishError, match="no finished report"):
        publish(repository, repository)


def test_the_pages_show_the_report_that_ships() -> None:
    summary = json.loads((ROOT / "train/results/summary.json").read_text())
    for page, block in PAGES.items():
        assert f"<!-- results -->\n{block(summary)}<!-- /results -->" in (ROOT / page).read_text(), page
