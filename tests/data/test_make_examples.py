import numpy as np
import pytest
import soundfile

from stylediff.instruments import get_instrument
from tests.helpers.commands import command
from tests.helpers.files import ROOT, write_soundfont
from train.data.make_examples import PIECES, midi_pitch, perform, read_line

main = command("make-examples")


def test_pitches_and_lengths_are_read_as_written():
    assert [midi_pitch(name) for name in ("C4", "A4", "F#4", "G2")] == [60, 69, 66, 43]
    assert read_line("C4:1 r:.5 D4+F4 E4:2") == [(0.0, 1.0, 60), (1.5, 0.5, 62), (1.5, 0.5, 65), (2.0, 2.0, 64)]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_a_performance_is_playable_varied_and_short(piece):
    notes = perform(piece)
    instrument = get_instrument(piece.instrument)
    assert notes == perform(piece)
    assert all(instrument.lowest <= note.pitch <= instrument.highest for note in notes)
    assert 0.0 < min(note.start for note in notes) < 0.15
    assert 4.0 < max(note.end for note in notes) + piece.ring_s < 8.0
    assert len({note.velocity for note in notes}) > 5
    assert all(note.end > note.start for note in notes)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_the_lines_of_a_piece_end_together(piece):
    ends = {max(onset + length for onset, length, _ in read_line(line)) for line in piece.lines}
    assert max(ends) - min(ends) <= 2


def test_clips_are_reproducible(soundfonts, tmp_path):
    for out in ("first", "second"):
        assert main(["--soundfont", str(soundfonts[1]), "--out", str(tmp_path / out)]) == 0
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == sorted(f"{piece.name}.flac" for piece in PIECES)
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_the_clips_in_the_repository_match_the_readme(piece):
    path = ROOT / "examples" / f"{piece.name}.flac"
    waveform, sample_rate = soundfile.read(path)
    assert sample_rate == 22050
    assert waveform.ndim == 1
    assert 4.0 < len(waveform) / sample_rate <= 8.0
    assert path.stat().st_size < 250_000
    assert 0.05 < np.sqrt(np.mean(waveform**2)) < 0.1
    assert np.abs(waveform).max() < 0.98
    assert abs(waveform[-1]) < 1e-3
    assert f"`{path.name}`" in (ROOT / "examples" / "README.md").read_text()


def test_an_unusable_soundfont_is_reported(tmp_path, capsys):
    write_soundfont(tmp_path / "piano.sf2", programs=(0,))
    for name, sentence in (("gone.sf2", "no such soundfont"), ("piano.sf2", "piano.sf2 lacks programs 24, 40, 42")):
        assert main(["--soundfont", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
        assert f"error: {sentence}" in capsys.readouterr().err
