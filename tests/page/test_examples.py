from pathlib import Path

import pytest

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.examples import example_label, find_results, result_settings
from stylediff.page.layout import build_page
from stylediff.page.translations import load_texts
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline, write_tone


def test_a_title_may_contain_the_separator(tmp_path: Path) -> None:
    source = tmp_path / "trumpet_ode_to_joy.flac"
    (tmp_path / "outputs").mkdir()
    result = tmp_path / "outputs" / "trumpet_ode_to_joy_to_cello_seed0.flac"
    result.touch()
    words = load_texts()["de"]
    assert example_label(source, find_results([source])[source], words) == "Trompete → Cello: ode to joy"


def test_an_example_without_a_result_is_not_listed(tmp_path: Path) -> None:
    sources = [tmp_path / "piano_a.flac", tmp_path / "harp_b.flac"]
    assert find_results(sources) == {}
    (tmp_path / "outputs").mkdir()
    result = tmp_path / "outputs" / "harp_b_to_cello_seed0.flac"
    result.touch()
    (tmp_path / "outputs" / "piano_a_to_cello.flac").touch()
    assert find_results(sources) == {sources[1]: result}


@pytest.mark.slow
def test_a_page_is_built_without_the_results_of_its_examples(tmp_path: Path) -> None:
    page, _ = build_page(tiny_pipeline(), [write_tone(tmp_path / "piano_a.wav")])
    assert not any("example_" in str(getattr(block, "value", "")) for block in page.blocks.values())


def test_every_example_ships_with_its_result() -> None:
    sources = sorted((ROOT / "examples").glob("*.flac"))
    results = find_results(sources)
    assert list(results) == sources
    for result in results.values():
        assert result_settings(result)[0] in INSTRUMENT_NAMES
        assert result.stat().st_size > 50_000
