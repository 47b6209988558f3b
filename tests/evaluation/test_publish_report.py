import gzip
import json
from pathlib import Path

import pytest

from stylediff.settings import STEPS
from tests.evaluation.test_report import HAND_MADE, ROWS, SPREAD
from tests.helpers.commands import command
from tests.helpers.files import ROOT
from train.evaluation.cases import MAIN_PAIRS
from train.evaluation.publish_report import PAGES, RECORDINGS_PAGES, PublishError, publish, publish_recordings
from train.evaluation.report import summarize
from train.evaluation.systems import model_name

MARKED = "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n"
RESULTS, CARD, README = (path.as_posix() for path in (*PAGES, *RECORDINGS_PAGES))


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
    for page in (*PAGES, *RECORDINGS_PAGES):
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
    assert (repository / README).read_text() == MARKED


def test_files_are_copied_beside_the_code(report: Path, repository: Path) -> None:
    publish(report, repository)
    results = repository / "train/results"
    assert {path.name for path in results.iterdir()} == {
        "summary.json", "summary.md", "pairs.png", "results.jsonl.gz", "extremes",
    }  # fmt: skip
    assert [path.name for path in (results / "extremes").iterdir()] == ["best_1_output.ogg"]
    assert gzip.decompress((results / "results.jsonl.gz").read_bytes()) == b"results.jsonl"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Results on recordings of two targets, one of which musicnn has no tag for."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    replayed = {"tag": 0.4, "frechet": 20.0, "frame_f": 0.8}
    ours = {"tag": 0.456, "frechet": 21.26, "frame_f": 0.75}
    violin = {"recordings of the target": {"tag": 0.8}, "transcribed, replayed": replayed, "ours, default": ours}
    trumpet = {name: {**values, "tag": None, "frechet": None} for name, values in violin.items()}
    (folder / "real_recordings.json").write_text(json.dumps({"violin": violin, "trumpet": trumpet}))
    for name in ("real_recordings.md", "real_recordings.png"):
        (folder / name).write_text("page")
    return folder


def test_results_on_recordings_become_the_table_of_the_readme(recordings: Path, repository: Path) -> None:
    publish_recordings(recordings, repository)
    lines = (repository / README).read_text().splitlines()
    assert lines[4:6] == [
        "| violin | 0.80 | 0.40 | 0.46 | 20.0 | 21.3 | 0.80 | 0.75 |",
        "| trumpet |  |  |  |  |  | 0.80 | 0.75 |",
    ]
    assert (repository / "train/results/real_recordings.md").read_text() == "page"
    assert (repository / RESULTS).read_text() == MARKED


def test_results_on_recordings_need_every_system(recordings: Path, repository: Path) -> None:
    path = recordings / "real_recordings.json"
    path.write_text(path.read_text().replace("ours, default", "ours, 4 steps"))
    with pytest.raises(PublishError, match="no 'ours, default' for the violin"):
        publish_recordings(recordings, repository)
    (recordings / "real_recordings.md").unlink()
    with pytest.raises(PublishError, match=r"no real_recordings\.md"):
        publish_recordings(recordings, repository)
    assert (repository / README).read_text() == MARKED


def test_the_command_asks_for_something_to_publish(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("publish-report")([])
    assert "give --report, --recordings or both" in capsys.readouterr().err


def test_missing_parts_are_named_and_nothing_is_changed(report: Path, repository: Path) -> None:
    (repository / CARD).write_text("nothing to fill")
    with pytest.raises(PublishError, match=r"README\.md needs the lines <!-- results -->"):
        publish(report, repository)
    assert (repository / RESULTS).read_text() == MARKED
    assert (repository / "train/results/extremes/of_the_last_report.ogg").is_file()
    with pytest.raises(PublishError, match="no finished report"):
        publish(repository, repository)


def test_the_pages_show_the_results_that_ship() -> None:
    for file, pages in (("summary.json", PAGES), ("real_recordings.json", RECORDINGS_PAGES)):
        summary = json.loads((ROOT / "train/results" / file).read_text())
        for page, block in pages.items():
            assert f"<!-- results -->\n{block(summary)}<!-- /results -->" in (ROOT / page).read_text(), page
