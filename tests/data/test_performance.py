import numpy as np
import pytest

from stylediff.notes import Note
from train.data.performance import (
    IDIOMS,
    VIBRATO_SHORTEST_S,
    Gesture,
    Shape,
    let_ring,
    note_curves,
    note_shapes,
    roll_chords,
    sample_gestures,
)

LONG = Note(0.0, 2.0, 69, 80)
TIMES = np.arange(0, 2, 0.005)


def test_the_same_seed_gives_the_same_gestures():
    notes = [Note(0.5 * number, 0.5 * number + 0.45, 60 + number, 80) for number in range(8)]
    first, second, other = (sample_gestures(notes, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == second != other
    assert len(first) == len(notes)


def test_short_notes_have_no_vibrato():
    short = [Note(0.2 * number, 0.2 * number + 0.9 * VIBRATO_SHORTEST_S, 60, 80) for number in range(5)]
    gestures = [gesture for seed in range(20) for gesture in sample_gestures(short, np.random.default_rng(seed))]
    assert {gesture.vibrato for gesture in gestures} == {0.0}


def test_most_players_share_their_vibrato_and_some_play_without():
    depths = [sample_gestures([LONG], np.random.default_rng(seed))[0].vibrato for seed in range(300)]
    assert 0.05 < np.mean(np.array(depths) == 0) < 0.16
    rates = [sample_gestures([LONG], np.random.default_rng(seed))[0].vibrato_hz for seed in range(300)]
    assert np.mean(np.abs(np.array(rates) - 5.6) < 0.5) > 0.55
    assert min(rates) < 4.8
    assert max(rates) > 6.6


def test_a_violin_bends_its_pitch_and_a_flute_its_level_at_the_same_moments():
    gesture = Gesture(vibrato=1.0, vibrato_hz=5.0, vibrato_delay_s=0.0)
    violin, flute = (note_curves(LONG, Shape(gesture, IDIOMS[name]), TIMES) for name in ("violin", "flute"))
    assert violin[0].max() == pytest.approx(IDIOMS["violin"].vibrato_cents, rel=0.02)
    assert flute[0].max() == pytest.approx(IDIOMS["flute"].vibrato_cents, rel=0.02)
    settled = TIMES > 0.5
    assert np.corrcoef(violin[0][settled], flute[0][settled])[0, 1] == pytest.approx(1)
    level = 40 * np.log10(flute[1])
    assert np.ptp(level[settled]) == pytest.approx(2 * IDIOMS["flute"].tremolo_db, rel=0.1)
    assert np.corrcoef(level[settled], flute[0][settled])[0, 1] > 0.95


def test_vibrato_starts_after_its_delay():
    shape = Shape(Gesture(vibrato=1.0, vibrato_delay_s=0.3), IDIOMS["violin"])
    cents, _ = note_curves(LONG, shape, TIMES)
    assert np.abs(cents[TIMES < 0.3]).max() == 0
    assert np.abs(cents).max() > 10


@pytest.mark.parametrize(("form", "later_is_louder"), [("rise", True), ("fade", False)])
def test_swells_change_the_level_over_the_note(form, later_is_louder):
    shape = Shape(Gesture(swell=form, swell_amount=1.0), IDIOMS["cello"])
    _, expression = note_curves(LONG, shape, TIMES)
    early, late = expression[20], expression[-20]
    assert bool(late > early) == later_is_louder
    assert abs(40 * np.log10(late / early)) == pytest.approx(IDIOMS["cello"].swell_db, rel=0.15)


def test_an_accent_decays_and_expression_stays_in_its_range():
    shape = Shape(Gesture(accent=3.0, swell="rise", swell_amount=3.0), IDIOMS["trumpet"])
    _, expression = note_curves(LONG, shape, TIMES)
    assert expression.max() <= 127
    assert expression.min() >= 1
    assert expression[0] > expression[60]


def test_a_slide_starts_at_the_neighbour_and_arrives():
    line = [Note(0.0, 0.5, 71, 80), Note(0.5, 1.0, 69, 80)]
    drawn = (sample_gestures(line, np.random.default_rng(seed))[1] for seed in range(200))
    slide = next(gesture for gesture in drawn if gesture.slide_semitones)
    assert slide.slide_semitones == 2
    cents, _ = note_curves(line[1], Shape(slide, IDIOMS["violin"]), np.array([0.0, 0.2]))
    assert cents[0] == pytest.approx(200)
    assert abs(cents[1]) < 30
    far = [Note(0.0, 0.5, 76, 80), Note(0.5, 1.0, 69, 80)]
    assert all(not sample_gestures(far, np.random.default_rng(seed))[1].slide_semitones for seed in range(100))


def test_struck_and_plucked_instruments_ignore_gestures():
    gestures = sample_gestures([LONG], np.random.default_rng(0))
    for name in ("piano", "guitar", "harp", "vibraphone"):
        assert note_shapes(gestures, name) == (None,)


def test_samples_with_vibrato_get_half_of_it():
    gestures = (Gesture(vibrato=1.0),)
    plain, recorded = (note_shapes(gestures, "violin", voice)[0] for voice in ("", "violin/OPEN_small-40"))
    assert recorded.idiom.vibrato_cents == plain.idiom.vibrato_cents / 2


def test_chords_are_rolled_upwards_and_lines_stay():
    chord = [Note(1.0, 2.0, pitch, 80) for pitch in (67, 60, 64)]
    line = [Note(3.0, 3.5, 60, 80), Note(3.6, 4.0, 62, 80)]
    rolled = roll_chords(chord + line, 0.1)
    assert [(note.pitch, round(note.start, 3)) for note in rolled[:3]] == [(60, 1.0), (64, 1.05), (67, 1.1)]
    assert rolled[3:] == line


def test_a_rolled_note_keeps_some_length():
    chord = [Note(0.0, 0.05, pitch, 80) for pitch in (60, 64, 67)]
    assert all(note.end - note.start >= 0.03 - 1e-9 for note in roll_chords(chord, 0.5))


def test_ringing_notes_stop_before_their_pitch_is_struck_again():
    notes = (Note(0.0, 0.3, 60, 80), Note(0.5, 0.8, 60, 80), Note(0.6, 0.7, 64, 80))
    longer = let_ring(notes, 0.4)
    assert [round(note.end, 3) for note in longer] == [0.49, 1.2, 1.1]
