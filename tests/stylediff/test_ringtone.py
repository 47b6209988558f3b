"""Ringtones from files, around a tiny pipeline."""

import numpy as np
import pytest
import soundfile
import torch

from stylediff.audio import AudioError, read_audio
from stylediff.ringtone import ORIGINAL, RingtoneSettings, close_loop, main, make_ringtone
from stylediff.tone_files import read_title
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline, with_detector

pytestmark = pytest.mark.slow

ELISE = ROOT / "examples" / "piano_fur_elise.flac"


def elise():
    samples, rate = read_audio(ELISE)
    return torch.from_numpy(samples), rate


def test_a_piece_becomes_a_tone_in_every_format(model, tmp_path, capsys):
    paths = [tmp_path / f"tone.{ending}" for ending in ("m4r", "ogg", "mp3", "wav")]
    arguments = [str(ELISE), "--to", "harp", "--seconds", "4", "--steps", "1", "--model", model]
    assert main([*arguments, "-o", *map(str, paths)]) == 0
    shown = capsys.readouterr()
    assert shown.out.split() == [str(path) for path in paths]
    assert "beats a minute" in shown.err
    for path in paths:
        assert read_title(path) == "Piano fur elise"
        samples, rate = read_audio(path)
        assert rate == 44100
        assert 2 <= samples.shape[1] / rate <= 4.1
        assert 0.05 < np.abs(samples).max() < 1


def test_a_folder_gets_a_name_that_a_person_would_give_and_nothing_is_overwritten(tmp_path, capsys):
    arguments = [str(ELISE), "--seconds", "3", "-o", str(tmp_path)]
    assert main(arguments) == 0
    [path] = tmp_path.iterdir()
    assert path.name == "Piano fur elise.m4r"
    before = path.read_bytes()
    assert main(arguments) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments, "--title", "Elise"]) == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["Elise.m4r", "Piano fur elise.m4r"]
    assert main([*arguments, "--force", "--fade", "2"]) == 0
    assert path.read_bytes() != before


def test_the_seed_decides_the_bytes(model, tmp_path):
    contents = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / f"{name}.ogg"
        options = ["--to", "flute", "--loop", "--seconds", "3", "--steps", "2", "--seed", seed, "--model", model]
        assert main([str(ELISE), "-o", str(out), *options]) == 0
        contents.append(out.read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(
    ("to", "score", "warns"), [("flute", 1.0, True), ("flute", -1.0, False), (ORIGINAL, 1.0, False)]
)
def test_several_instruments_that_one_shall_play_are_named(to, score, warns, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("stylediff.ringtone.load_pipeline", lambda _: with_detector(score))
    arguments = [] if to == ORIGINAL else ["--to", to, "--steps", "1"]
    assert main([str(ELISE), "-o", str(tmp_path / "a.wav"), "--seconds", "3", *arguments]) == 0
    said = capsys.readouterr().err
    assert (f"{ELISE.name}: sounds like several instruments; all of them become one" in said) == warns


def test_a_loop_is_as_long_as_its_bars_to_the_sample():
    waveform, rate = elise()
    tone = make_ringtone(tiny_pipeline(), waveform, rate, RingtoneSettings(to="violin", loop=True, seconds=5, steps=1))
    phrase = tone.phrase
    assert tone.audio.shape[1] == round(phrase.end_s * 44100) - round(phrase.start_s * 44100)
    assert phrase.seconds <= 5


def test_the_sound_of_the_piece_itself_stays_stereo_and_fades():
    waveform, rate = elise()
    tone = make_ringtone(None, torch.stack([waveform[0], 0.5 * waveform[0]]), rate, RingtoneSettings(fade=1.0))
    left, right = tone.audio
    assert np.allclose(left * 0.5, right, atol=1e-3)
    assert np.abs(left[-200:]).max() < 0.05 * np.abs(left).max()
    assert tone.loudness_lufs == pytest.approx(-12, abs=1.0)


@pytest.mark.parametrize(("first", "last"), [(1000, 9000), (0, 8000), (0, 10000)])
def test_a_loop_of_the_piece_itself_has_no_step_at_its_joint(first, last):
    wave = torch.sin(torch.arange(10000) * 0.0173)[None]
    loop = close_loop(wave, first, last, 10000)[0]
    twice = torch.cat([loop, loop])
    assert float(twice.diff().abs().max()) < 0.05


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--seconds", "30"], "seconds must be 2 to 29.5, got 30"),
        (["--to", "kazoo"], "to must be one of original, piano"),
        (["--start", "soon"], "start_s must be a number, got 'soon'"),
        (["--start", "1", "--auto"], "give either --start S or --auto"),
    ],
)
def test_arguments_that_cannot_be_used_are_a_sentence(extra, sentence, capsys):
    with pytest.raises(SystemExit):
        main([str(ELISE), *extra])
    assert sentence in capsys.readouterr().err


def test_files_that_cannot_be_used_are_a_sentence(tmp_path, capsys):
    short = tmp_path / "short.wav"
    soundfile.write(short, np.ones(8000) * 0.1, 8000)
    for source, sentence in ((tmp_path / "no.wav", "no such file: no.wav"), (short, "a ringtone needs at least 2 s")):
        assert main([str(source), "-o", str(tmp_path / "a.m4r")]) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "a.m4r").exists()


def test_samples_that_are_no_numbers_are_refused():
    with pytest.raises(AudioError, match="not finite"):
        make_ringtone(None, torch.full((1, 90000), torch.nan), 22050, RingtoneSettings())


def test_a_loop_is_transposed_too():
    waveform, rate = elise()
    settings = {"to": "violin", "loop": True, "seconds": 3, "steps": 1, "start_s": 0.0}
    plain, higher = (
        make_ringtone(tiny_pipeline(), waveform, rate, RingtoneSettings(**settings, transpose=semitones)).audio
        for semitones in (0, 12)
    )
    assert plain.shape == higher.shape
    assert not np.allclose(plain, higher, atol=1e-3)
