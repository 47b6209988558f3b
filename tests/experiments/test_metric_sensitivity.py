"""Tables of the metrics' sensitivity, from made-up results."""

import pytest

from train.evaluation.report import COLUMNS
from train.experiments.metric_sensitivity import CORRUPTIONS, UNCORRUPTED, average, verdict, write_markdown


def test_a_metric_sees_a_corruption_that_makes_it_worse_step_by_step() -> None:
    assert verdict("log_mel_error", [0.0, 0.1, 0.2, 0.4]) == "sees"
    assert verdict("frame_f", [0.9, 0.8, 0.5, 0.1]) == "sees"
    assert verdict("frame_f", [0.9, 0.7, 0.8, 0.5]) == "partly"
    assert verdict("frame_f", [0.9, 0.9, 0.89, 0.9]) == "blind"
    assert verdict("log_mel_error", [0.5, 0.4, 0.3, 0.2]) == "blind"


def test_values_are_means_over_the_clips_that_have_the_column() -> None:
    values = dict.fromkeys(COLUMNS, 1.0) | {"damage": UNCORRUPTED, "strength": 0.0}
    means = average([values, values | {"frame_f": 0.0, "f0_accuracy": None}])
    assert means[UNCORRUPTED, 0.0]["frame_f"] == pytest.approx(0.5)
    assert means[UNCORRUPTED, 0.0]["f0_accuracy"] == pytest.approx(1.0)


def test_the_page_has_a_line_for_each_strength_and_each_metric() -> None:
    values = dict.fromkeys(COLUMNS, 1.0)
    results = [values | {"damage": UNCORRUPTED, "strength": 0.0}]
    results += [
        values | {"damage": name, "strength": strength, "frame_f": 0.5}
        for name, (_, strengths) in CORRUPTIONS.items()
        for strength in strengths
    ]
    page = write_markdown(average(results), 1)
    assert "| late, ms 50 | 0.500 |" in page
    assert "| frame F | sees | sees | sees | sees | sees | sees |" in page
    assert "| chroma | blind | blind | blind | blind | blind | blind |" in page
