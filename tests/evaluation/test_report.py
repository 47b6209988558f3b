"""Tables, ratios and pictures of made-up results."""

import gzip
import json

import pytest

from stylediff.instruments import INSTRUMENT_NAMES
from tests.helpers.files import ROOT
from train.evaluation.cases import MAIN_PAIRS, OTHER_PAIRS, Direction
from train.evaluation.report import (
    COLUMNS,
    NOTE_COLUMNS,
    SOUND_COLUMNS,
    confusion_matrix,
    format_cell,
    key_ratios,
    substitution_lines,
    summarize,
    tabulate,
    write_markdown,
)
from train.evaluation.systems import IDENTITY, ORACLE, model_name


def result(row: str, source: str, target: str, error: float, named: str, frame_f: float = 0.5) -> dict:
    values = dict.fromkeys(COLUMNS, 0.0)
    values |= {"log_mel_error": error, "frame_f": frame_f}
    values["named_target"] = float(named == target)
    return values | {"row": row, "source": source, "target": target, "named": named}


HAND_MADE = [
    result(IDENTITY, "piano", "violin", 1.0, "piano"),
    result(IDENTITY, "piano", "violin", 3.0, "piano"),
    result(IDENTITY, "harp", "violin", 4.0, "harp"),
    result(model_name(20), "piano", "violin", 0.5, "violin", 0.3),
    result(model_name(20), "piano", "violin", 0.7, "cello", 0.5),
    result(model_name(20), "harp", "violin", 1.4, "violin", 0.6),
    result(model_name(4), "piano", "violin", 0.9, "violin"),
    result(ORACLE, "piano", "violin", 0.1, "violin", 0.8),
    result(ORACLE, "piano", "violin", 0.1, "violin", 0.8),
    result(ORACLE, "harp", "violin", 0.1, "violin", 0.8),
]
SPREAD = {
    "all pairs": {
        model_name(20): {
            "classifier": {"distance": 1.5, "infinity": 1.25, "windows": 40},
            "pixels": {"distance": 0.5, "infinity": 0.25, "windows": 80},
        }
    }
}
ROWS = [IDENTITY, model_name(4), model_name(20), ORACLE]


def test_tables_hold_means_of_clips_and_means_of_pair_means() -> None:
    summary = summarize(HAND_MADE, ROWS, [Direction("piano", "violin")], model_name(20))
    direction, everything = summary["tables"]["piano -> violin"], summary["tables"]["all pairs"]
    assert direction[IDENTITY]["log_mel_error"]["mean"] == pytest.approx(2.0)
    assert direction[model_name(20)]["log_mel_error"] == pytest.approx(
        {"mean": 0.6, "low": 0.5, "high": 0.7, "count": 2}
    )
    assert everything[IDENTITY]["log_mel_error"]["mean"] == pytest.approx((2.0 + 4.0) / 2)
    assert everything[model_name(20)]["named_target"]["mean"] == pytest.approx((0.5 + 1.0) / 2)
    assert everything[model_name(20)]["frame_f"]["count"] == 2
    assert model_name(4) in direction
    assert model_name(4) not in everything


def test_ratios_compare_with_doing_nothing_and_with_the_vocoders_best() -> None:
    summary = summarize(HAND_MADE, ROWS, [Direction("piano", "violin")], model_name(20))
    assert key_ratios(summary["tables"]["piano -> violin"], model_name(20)) == pytest.approx(
        {"log-mel error / identity": 0.6 / 2.0, "frame F / oracle": 0.4 / 0.8, "classified as target": 0.5}
    )


def test_the_confusion_matrix_counts_predicted_instruments() -> None:
    matrix = confusion_matrix(HAND_MADE, model_name(20))
    violin, cello = INSTRUMENT_NAMES.index("violin"), INSTRUMENT_NAMES.index("cello")
    assert matrix[violin, violin] == pytest.approx(2 / 3)
    assert matrix[violin, cello] == pytest.approx(1 / 3)
    assert matrix.sum() == pytest.approx(1.0)


def test_markdown_shows_every_mean_with_its_interval() -> None:
    summary = summarize(HAND_MADE, ROWS, [Direction("piano", "violin")], model_name(20))
    page = write_markdown(
        summary
        | {
            "threads": 2,
            "costs": {
                "seconds": 5.0,
                "parameters": {"unet": 16_900_000},
                "operations": {"denoising step": 7_250_000_000},
                "peak_memory_bytes": {"converting": 3 * 2**30},
                "file_seconds": 1.234,
            },
            "seconds_per_second": {model_name(20): 0.25},
            "taken_over": [ROWS[0]],
            "spread": SPREAD,
            "sweep": summary["tables"]["piano -> violin"],
        }
    )
    assert "## piano -> violin (2 clips)" in page
    assert "## all pairs (2 pairs)" in page
    assert "## Settings (2 clips of the main directions)" in page
    assert "| ours, 20 steps | 0.400 [0.300, 0.500] | 0.000" in page
    assert "| ours, 20 steps | 0.600 [0.500, 0.700] | 0.000" in page
    assert "| ours, 20 steps | 0.250 |" in page
    assert "| parameters, unet | 16.90 M |" in page
    assert "| operations, denoising step | 7.25 G |" in page
    assert "| peak memory, converting | 3072 MiB |" in page
    assert "| time from file to file, 4 steps | 1.23 s |" in page
    assert "| | classifier | classifier, ∞ | windows | pixels | pixels, ∞ | windows |" in page
    assert "| ours, 20 steps | 1.500 | 1.250 | 40 | 0.500 | 0.250 | 80 |" in page
    assert "| piano -> violin | 0.300 | 0.500 | 0.500 |" in page
    assert format_cell(None) == ""
    tables = page.split("## Fréchet")[0].splitlines()
    widths = {line.count("|") for line in tables if line.startswith(("| ours", "| id"))}
    assert widths == {len(NOTE_COLUMNS) + 2, len(SOUND_COLUMNS) + 2, 7}


def test_each_stage_shows_the_change_it_causes() -> None:
    lines = substitution_lines(summarize(HAND_MADE, ROWS, [Direction("piano", "violin")], model_name(20)))
    first = lines[lines.index("| oracle | vocoder | 0.100 | 0.800 | 0.000 | 0.000 |") + 1]
    assert first == "| ours, 20 steps | denoiser | 0.600 (+0.500) | 0.400 (-0.400) | 0.000 (+0.000) | 0.000 (+0.000) |"


def test_pairs_are_grouped_by_kind_of_target() -> None:
    struck = [result(model_name(20), "violin", "piano", 0.2, "piano"), result(ORACLE, "violin", "piano", 0.1, "piano")]
    kinds = summarize(
        [*HAND_MADE, *struck, result(IDENTITY, "violin", "piano", 1.0, "violin")], ROWS, [], model_name(20)
    )["kinds"]
    assert kinds["pairs with a plucked or struck target"][model_name(20)]["log_mel_error"]["mean"] == pytest.approx(0.2)
    assert kinds["pairs with a bowed or blown target"][model_name(20)]["log_mel_error"]["mean"] == pytest.approx(1.0)
    assert len(summarize(HAND_MADE, ROWS, [], model_name(20))["kinds"]) == 1


def in_order_of_cases(results: list[dict]) -> list[dict]:
    """Published results in the order of ``choose_cases``."""
    order = {pair: number for number, pair in enumerate((*MAIN_PAIRS, *OTHER_PAIRS))}
    turns: dict[tuple[str, str], dict[str, int]] = {}
    for result in results:
        of_pair = turns.setdefault((result["source"], result["target"]), {})
        of_pair.setdefault(result["trial"], len(of_pair))

    def place(result: dict) -> tuple[int, int]:
        pair = result["source"], result["target"]
        return turns[pair][result["trial"]], order[pair]

    return sorted(results, key=place)


@pytest.mark.slow
def test_the_published_report_matches_the_published_results() -> None:
    folder = ROOT / "train" / "results"
    published = json.loads((folder / "summary.json").read_text())
    lines = gzip.decompress((folder / "results.jsonl.gz").read_bytes()).decode().splitlines()
    results = in_order_of_cases([json.loads(line) for line in lines])
    regular, swept = list(published["tables"]["piano -> violin"]), list(published["sweep"])
    trials = {result["trial"] for result in results if result["row"] in set(swept) - set(regular)}
    summary = summarize(results, regular, MAIN_PAIRS, published["headline"])
    summary["sweep"] = tabulate([result for result in results if result["trial"] in trials], swept)
    again = published | summary
    assert again == published
    assert write_markdown(again) == (folder / "summary.md").read_text()
