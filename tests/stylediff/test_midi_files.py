"""MIDI files, read back by mido."""

import mido
import numpy as np
import pytest

from stylediff.midi_files import GRID, find_beats, place_on_grid, write_clip_midi, write_midi
from stylediff.notes import Note

RATE = 22_050


def read_back(path):
    """Notes as (start, end, pitch, velocity), and the other messages."""
    open_notes, notes, others, now = {}, [], [], 0.0
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "note_on":
            open_notes[message.note] = (now, message.velocity)
        elif message.type == "note_off":
            start, velocity = open_notes.pop(message.note)
            notes.append((start, now, message.note, velocity))
        else:
            others.append(message)
    assert not open_notes
    return notes, others


def test_notes_come_back_with_title_and_instrument(tmp_path):
    notes = [Note(0.0, 0.5, 60, 80), Note(0.25, 1.0, 64, 90), Note(1.0, 1.001, 60, 70)]
    write_midi(tmp_path / "a.mid", notes, 40, "Lied für zwei")
    found, others = read_back(tmp_path / "a.mid")
    expected = [(note.start, note.end, note.pitch, note.velocity) for note in notes]
    assert np.allclose(sorted(found), sorted(expected), atol=0.0015)
    assert [message.program for message in others if message.type == "program_change"] == [40]
    assert mido.MidiFile(tmp_path / "a.mid", charset="utf-8").tracks[0].name == "Lied für zwei"


def test_a_note_that_sounds_alone_bends_and_ends_straight(tmp_path):
    bent = Note(0.0, 1.0, 69, 80, (0.0, 1.0, 2.0, 5.0))
    write_midi(tmp_path / "a.mid", [bent, Note(1.0, 2.0, 71, 80)])
    wheel = [message.pitch for message in read_back(tmp_path / "a.mid")[1] if message.type == "pitchwheel"]
    assert wheel == [0, 4096, 8191, 8191, 0]
    write_midi(tmp_path / "a.mid", [bent, Note(0.5, 2.0, 71, 80)])
    assert not [message for message in read_back(tmp_path / "a.mid")[1] if message.type == "pitchwheel"]


@pytest.mark.parametrize("first_beat", [0.1, 0.6])
def test_notes_are_put_on_sixteenths_of_a_steady_beat(first_beat):
    draw = np.random.default_rng(0)
    beats = first_beat + 0.5 * np.arange(9) + draw.normal(0, 0.01, 9)
    played = [Note(0.1 + 0.25 * number + draw.normal(0, 0.02), 0.3 + 0.25 * number, 60, 80) for number in range(16)]
    placed, bpm = place_on_grid(played, beats)
    assert bpm == pytest.approx(120, rel=0.05)
    step = 60 / bpm / GRID
    steps = [note.start / step for note in placed]
    assert np.allclose(steps, np.round(steps))
    assert np.array_equal(np.diff(np.round(steps)), np.full(15, 2))
    assert all(note.end - note.start >= step - 1e-9 for note in placed)
    assert min(note.start for note in placed) >= 0


@pytest.mark.slow
def test_beats_of_a_pulse_are_found_and_silence_stays_as_played(tmp_path):
    clip, draw = np.zeros(8 * RATE, np.float32), np.random.default_rng(0)
    for beat in range(15):
        clip[round(beat * RATE / 2) :][:2000] = draw.normal(0, 0.3, 2000) * np.linspace(1, 0, 2000)
    beats = find_beats(clip, RATE)
    assert np.median(np.diff(beats)) == pytest.approx(0.5, abs=0.03)
    notes = [Note(0.31, 0.77, 60, 80)]
    write_clip_midi(tmp_path / "a.mid", notes, np.zeros((1, RATE)), RATE, True, "violin")
    assert read_back(tmp_path / "a.mid")[0][0][0] == pytest.approx(0.31, abs=0.002)
