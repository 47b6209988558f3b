from pathlib import Path

from conftest import ROOT

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.gallery import example_label, example_result


def test_a_title_may_hold_the_word_that_names_are_split_at(tmp_path: Path) -> None:
    source = tmp_path / "trumpet_ode_to_joy.flac"
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "trumpet_ode_to_joy_to_cello_seed0.flac").touch()
    assert example_label(source) == "trumpet → cello: ode to joy"


def test_every_example_ships_with_its_result() -> None:
    for source in sorted((ROOT / "examples").glob("*.flac")):
        target = example_label(source).split(": ")[0].split(" → ")[1]
        assert target in INSTRUMENT_NAMES
        assert example_result(source).stat().st_size > 50_000
