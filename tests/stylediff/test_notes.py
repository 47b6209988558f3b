"""Notes, and the instruments that can play them."""

import pytest

from stylediff.instruments import get_instrument
from stylediff.notes import Note, count_lost, describe_fit, fit_to_range, is_in_range

FLUTE = get_instrument("flute")  # 60 to 96


def notes(*pitches: int) -> list[Note]:
    return [Note(0.0, 0.5, pitch, 80) for pitch in pitches]


@pytest.mark.parametrize(
    ("pitch", "semitones", "plays"), [(60, 0, True), (59, 0, False), (59, 1, True), (97, 0, False)]
)
def test_the_ends_of_the_range_are_played(pitch, semitones, plays):
    assert is_in_range(notes(pitch)[0], FLUTE, semitones) == plays


@pytest.mark.parametrize(
    ("pitches", "semitones", "moved"),
    [
        ((60, 72), 0, 0),
        ((50, 55), 0, 12),
        ((40, 45), 0, 24),
        ((30, 40), 0, 24),  # as far as notes can be moved
        ((20, 25), 0, 0),  # where it does not help, they stay
        ((100, 90), 0, -12),
        ((58,), 2, 2),
        ((50,), 2, 14),
        ((), 0, 0),
    ],
)
def test_no_more_octaves_than_needed_are_added(pitches, semitones, moved):
    assert fit_to_range(notes(*pitches), FLUTE, semitones) == moved


def test_a_piece_of_a_wider_range_loses_the_fewest_notes():
    wide = notes(40, 50, 52, 54, 90, 95)
    moved = fit_to_range(wide, FLUTE)
    assert count_lost(wide, FLUTE, moved) == min(count_lost(wide, FLUTE, shift) for shift in (-12, 0, 12, 24))


def test_one_octave_is_better_than_the_last_few_notes():
    assert fit_to_range(notes(*[50] * 30, 40), FLUTE) == 12
    assert fit_to_range(notes(*[50] * 30, 40, 41, 42), FLUTE) == 24


def test_what_is_lost_is_said_with_what_helps():
    assert describe_fit(notes(60, 72), FLUTE) == ""
    said = describe_fit(notes(50, 72), FLUTE)
    assert said == "1 of 2 notes are out of the flute's range and may be lost; --transpose 12 loses 0"
    assert (
        describe_fit(notes(21, 108), FLUTE)
        == "2 of 2 notes are out of the flute's range and may be lost; --transpose -12 loses 1"
    )
