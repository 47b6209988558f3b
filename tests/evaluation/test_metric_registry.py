"""Registry of metrics: a metric needs one entry only."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.files import ROOT
from train.evaluation.metrics import CODEC, METRICS, NOTES, SOUND, columns_of
from train.evaluation.metrics.clip import ScoredClip

PEAK = """\
    Metric(
        name="peak",
        heading="peak",
        higher_is_better=False,
        needs=("output",),
        compute=lambda output: float(output.abs().max()),
        tables=(SOUND, CODEC),
    ),
"""


def test_metrics_need_attributes_of_a_clip_and_have_unique_names() -> None:
    known = set(dir(ScoredClip)) | set(ScoredClip.__dataclass_fields__)
    for metric in METRICS:
        assert set(metric.needs) <= known, metric.name
        assert set(metric.tables) <= {NOTES, SOUND, CODEC}, metric.name
        assert "↓" not in metric.heading
    for values in ([metric.name for metric in METRICS], [metric.heading for metric in METRICS]):
        assert len(set(values)) == len(values)


def test_columns_have_an_arrow_if_smaller_is_better() -> None:
    columns = columns_of(NOTES, SOUND)
    assert columns["frame_f"] == "frame F"
    assert columns["log_mel_error"] == "log-mel error, neper ↓"
    assert columns["loudness_difference_db"] == "loudness difference, dB"
    assert list(columns)[:2] == ["frame_f", "note_f1_50"]
    assert "wobble" not in columns
    assert columns_of(CODEC)["wobble"] == "pitch wobble, cents ↓"


@pytest.mark.slow
def test_one_entry_is_scored_and_shown_everywhere(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("pretrained", "results", "__pycache__")
    shutil.copytree(ROOT / "train", tmp_path / "train", ignore=ignored)
    (tmp_path / "stylediff").symlink_to(ROOT / "stylediff")
    registry = tmp_path / "train" / "evaluation" / "metrics" / "__init__.py"
    registry.write_text(registry.read_text().replace("METRICS = (\n", f"METRICS = (\n{PEAK}"))
    program = """
import torch
from stylediff.mel import MelConfig
from train.evaluation.clip_scores import score_clip
from train.evaluation.metrics.clip import ScoredClip
from train.evaluation.report import table_lines, tabulate
from train.experiments import codec, metric_sensitivity

scores = score_clip(ScoredClip(output=0.5 * torch.ones(22050), config=MelConfig()))
print(scores["peak"])
print(table_lines(tabulate([scores | {"row": "system"}], ["system"]))[5])
print(metric_sensitivity.verdict("peak", [0.1, 0.2, 0.4]), "peak" in metric_sensitivity.CHECKED)
print(codec.COLUMNS["peak"])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    score, heads, verdict, column = done.stdout.splitlines()
    assert score == "0.5"
    assert "| peak ↓ |" in heads
    assert (verdict, column) == ("sees True", "peak ↓")
