import json

import pytest

from stylediff.instruments import get_instrument
from tests.helpers.commands import command
from train.data.excerpts import ScoreError
from train.data.notes import playable_by
from train.evaluation.runner import load_players
from train.experiments.voices import half_levels, sample_phrases, write_markdown

main = command("voices")


@pytest.mark.slow
def test_phrases_are_playable_and_reproducible(scores):
    flute = get_instrument("flute")
    phrases = sample_phrases([scores], flute, 3)
    assert len(phrases) == 3
    assert all(flute in playable_by(phrase.notes) for phrase in phrases)
    assert sample_phrases([scores], flute, 3) == phrases
    with pytest.raises(ScoreError, match="phrases that flute can play"):
        sample_phrases([scores], flute, 10000)


def test_the_attack_of_a_voice_is_measured_on_single_notes(soundfonts):
    voice = "violin/Pure-40"
    times = half_levels(load_players((str(soundfonts[0]),), (voice,)), voice, get_instrument("violin"))
    assert len(times) == 7
    assert all(0 <= time < 15 for time in times)  # the soundfont's tone starts at once


def test_the_page_puts_the_best_voice_first_and_marks_the_default():
    values = {"dry": 0.4, "room": 0.5, "frechet": 20.0, "half_level_ms": 30.0, "slowest_ms": 90.0, "attack_ms": 60.0}
    values |= {"vibrato_cents": None, "between_partials_db": -40.0}
    default = get_instrument("violin").default_voice
    voices = {default: values, "violin/Better-40": values | {"room": 0.9}}
    page = write_markdown({"violin": {"real": 0.8, "floor": 5.0, "voices": voices}}, 8)
    assert "## violin (recordings 0.80; Fréchet floor 5.0)" in page
    assert f"| **{default}** | 0.40 | 0.50 | 20.0 | 30 | 90 | 60 |  | -40 |" in page
    assert page.index("violin/Better-40") < page.index(default)
    assert "the same 8 phrases" in page


def test_missing_scores_are_reported(tmp_path, soundfonts, capsys):
    arguments = ["--scores", str(tmp_path / "none"), "--soundfonts", str(soundfonts[0]), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "no such folder of MIDI files" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_measures_voices_once(tmp_path, scores, soundfonts, capsys):
    fonts = [str(font) for font in soundfonts[:2]]
    arguments = ["--scores", str(scores), "--soundfonts", *fonts, "--out", str(tmp_path), "--phrases", "2"]
    arguments += ["--instruments", "violin", "trumpet"]
    assert main(arguments) == 0
    summary = json.loads((tmp_path / "voices.json").read_text())
    assert list(summary["violin"]["voices"]) == ["violin/Pure-40", "violin/Rich-40"]
    violin, trumpet = (summary[name]["voices"] for name in ("violin", "trumpet"))
    assert 0 < violin["violin/Pure-40"]["dry"] < 1
    assert violin["violin/Pure-40"]["dry"] != violin["violin/Rich-40"]["dry"]
    assert trumpet["trumpet/Rich-56"]["room"] is None
    assert trumpet["trumpet/Rich-56"]["half_level_ms"] < 15
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "measured").iterdir()}
    assert len(files) == 4
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert "## trumpet" in capsys.readouterr().out
