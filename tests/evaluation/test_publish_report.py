import gzip
import json
from pathlib import Path

import pytest

from tests.evaluation.test_report import HAND_MADE, ROWS, SPREAD
from tests.helpers.files import ROOT
from train.evaluation.publish_report import PublishError, card_block, publish, readme_block, replace_block
from train.evaluation.report import summarize
from train.evaluation.systems import model_name

MARKED = "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    (folder / "extremes").mkdir(parents=True)
    summary = summarize(HAND_MADE, ROWS, ["piano -> violin"], model_name(20))
    summary |= {"spread": SPREAD, "seconds_per_second": {model_name(20): 0.25}}
    (folder / "summary.json").write_text(json.dumps(summary))
    for name in ("summary.md", "results.jsonl", "pairs.png", "settings.json", "extremes/best_1_output.ogg"):
        (folder / name).write_text(name)
    return folder


def test_tables_come_between_the_marks_and_files_beside_the_code(report: Path, tmp_path: Path) -> None:
    readme, card, results = tmp_path / "README.md", tmp_path / "card.md", tmp_path / "results"
    readme.write_text(MARKED)
    card.write_text(MARKED)
    (results / "extremes").mkdir(parents=True)
    (results / "extremes" / "of_the_last_report.ogg").touch()
    for _ in range(2):
        publish(report, results, readme, card)
    page = readme.read_text()
    assert page.startswith("before\n<!-- results -->\n**piano -> violin**, 2 clips:\n")
    assert page.endswith("<!-- /results -->\nafter\n")
    assert "old" not in page
    assert "| ours, 20 steps | 0.600 [0.500, 0.700] | 0.400 [0.300, 0.500] | 0.000 [0.000, 0.000] |" in page
    assert "| 0.750 [0.500, 1.000] | 1.500 |" in page
    assert "| piano -> violin | 0.300 | 0.500 | 0.500 |" in page
    assert "| piano -> violin | 0.300 | 0.500 | 0.500 |" in card.read_text()
    assert {path.name for path in results.iterdir()} == {
        "summary.json", "summary.md", "pairs.png", "results.jsonl.gz", "extremes",
    }  # fmt: skip
    assert [path.name for path in (results / "extremes").iterdir()] == ["best_1_output.ogg"]
    assert gzip.decompress((results / "results.jsonl.gz").read_bytes()) == b"results.jsonl"


def test_what_is_missing_is_named(report: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing to fill")
    with pytest.raises(PublishError, match=r"page\.md has no lines <!-- results -->"):
        replace_block(page, "")
    with pytest.raises(PublishError, match="no finished report"):
        publish(tmp_path, tmp_path / "results", page, page)


def test_the_pages_show_the_report_that_ships() -> None:
    summary = json.loads((ROOT / "train" / "results" / "summary.json").read_text())
    assert readme_block(summary) in (ROOT / "README.md").read_text()
    assert card_block(summary) in (ROOT / "stylediff" / "pretrained" / "README.md").read_text()
