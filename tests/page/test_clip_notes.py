"""Notes of a clip on the page."""

import pytest

from stylediff.mel import MelConfig, mel_edges
from stylediff.notes import Note
from stylediff.page.clip_notes import mark_notes, notes_of, warn_of_range
from stylediff.page.clip_part import build_clip_check
from stylediff.page.conversions import Converter
from stylediff.page.translations import load_texts
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline, with_detector

CELLO = str(ROOT / "examples" / "cello_bach_prelude.flac")


class Request:
    def __init__(self, language: str = "en") -> None:
        self.headers = {"accept-language": language}


def test_marks_lie_on_the_band_of_the_note():
    config = MelConfig()
    [[left, right, height]] = mark_notes([Note(1.0, 9.0, 69, 80)], 8.0, config)
    assert (left, right) == (0.125, 1.0)
    band = int(height * config.n_mels)
    assert mel_edges(config)[band] < 440 < mel_edges(config)[band + 2]
    [[_, _, higher]] = mark_notes([Note(1.0, 9.0, 69, 80)], 8.0, config, semitones=12)
    assert higher > height


@pytest.mark.parametrize("language", load_texts())
def test_a_clip_below_the_range_is_reported_before_it_is_converted(language):
    words, check_clip = load_texts()[language], build_clip_check(Converter(tiny_pipeline()))
    said = check_clip(CELLO, 0.0, 0.0, "flute", 0.0, "false", False, Request(language))["lines"]
    lost, helps = warn_of_range(notes_of(CELLO, 0.0, 60.0), "flute", 0.0, words)
    assert words["flute"] in lost
    assert "+24" in helps
    assert lost in said
    for silent in (("cello", 0.0, "false", False), ("flute", 24.0, "false", False), ("flute", 0.0, "true", False)):
        assert lost not in check_clip(CELLO, 0.0, 0.0, *silent, Request(language))["lines"]
    assert lost not in check_clip(CELLO, 0.0, 0.0, "flute", 0.0, "false", True, Request(language))["lines"]


@pytest.mark.parametrize("language", load_texts())
def test_several_instruments_are_reported_before_they_are_converted(language):
    said, arguments = load_texts()[language]["is_mix"], (CELLO, 0.0, 0.0, "cello", 0.0, "false", False)
    assert said in build_clip_check(Converter(with_detector(1.0)))(*arguments, Request(language))["lines"]
    assert said not in build_clip_check(Converter(with_detector(-1.0)))(*arguments, Request(language))["lines"]
