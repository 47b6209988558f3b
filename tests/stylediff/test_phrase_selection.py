"""Beats, bars and phrases of pieces whose beats are known."""

import numpy as np
import pytest

from stylediff.audio import AudioError
from stylediff.phrase_selection import SAMPLE_RATE, find_pulse, select_phrase

pytestmark = pytest.mark.slow

BEAT_S = 0.5
TUNE = (60, 64, 67, 72, 71, 67, 62, 65, 69, 65, 62, 59, 60, 64, 60, 55)


def play(pitches, accent=4, loud=1.0):
    """Struck notes, one a beat, the first of each bar louder."""
    time = np.arange(round(BEAT_S * SAMPLE_RATE)) / SAMPLE_RATE
    notes = []
    for place, pitch in enumerate(pitches):
        hz = 440 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * hz * n * time) / n for n in (1, 2, 3)) * np.exp(-5 * time)
        notes.append(tone * loud * (0.3 if place % accent == 0 else 0.12))
    return np.concatenate(notes).astype(np.float32)


def noise(seconds):
    return (0.01 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def test_beats_and_bars_of_a_steady_tune_are_found():
    pulse = find_pulse(play(TUNE * 3))
    assert np.median(np.diff(pulse.beats)) * 512 / SAMPLE_RATE == pytest.approx(BEAT_S, rel=0.05)
    assert pulse.beats_a_bar == 4
    start = pulse.beats[pulse.downbeat] * 512 / SAMPLE_RATE
    assert abs((start + 1) % (4 * BEAT_S) - 1) < 0.15


def test_the_part_is_cut_on_beats_and_is_whole_bars():
    phrase = select_phrase(play(TUNE * 4), seconds=9.0)
    for cut in (phrase.start_s, phrase.end_s):
        assert abs((cut + 0.25) % BEAT_S - 0.25) < 0.03
    assert phrase.bars == 4
    assert phrase.seconds == pytest.approx(8.0, abs=0.03)


def test_the_loud_part_that_repeats_is_chosen():
    random = np.random.default_rng(1).integers(48, 80, 24).tolist()
    piece = np.concatenate([play(random, loud=0.1), play(TUNE * 2), play(random[::-1], loud=0.1)])
    phrase = select_phrase(piece, seconds=8.5)
    assert phrase.start_s >= 11.5
    assert phrase.end_s <= 28.5


def test_a_given_start_is_moved_to_the_nearest_beat():
    phrase = select_phrase(play(TUNE * 3), seconds=6.0, start_s=5.1)
    assert phrase.start_s == pytest.approx(5.0, abs=0.03)


@pytest.mark.parametrize("seconds", [2.0, 5.0, 29.0])
def test_no_part_is_longer_than_asked(seconds):
    assert select_phrase(play(TUNE * 5), seconds).seconds <= seconds


def test_a_piece_without_beats_is_taken_from_its_first_sound():
    piece = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), noise(0.01), np.zeros(3 * SAMPLE_RATE, np.float32)])
    phrase = select_phrase(piece, 2.5)
    assert (phrase.bars, phrase.beats_s) == (0, ())
    assert phrase.start_s == pytest.approx(1.0, abs=0.02)
    assert phrase.seconds == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("piece", "start_s", "sentence"),
    [
        (play(TUNE[:3]), None, "the clip is 1.5 s long; a ringtone needs at least 2 s"),
        (np.zeros(5 * SAMPLE_RATE, np.float32), None, "the clip is silent"),
        (play(TUNE), 7.5, "the clip is 8.0 s long; start at second 6.0 or before"),
    ],
)
def test_what_cannot_ring_is_a_sentence(piece, start_s, sentence):
    with pytest.raises(AudioError, match=sentence):
        select_phrase(piece, 10.0, start_s)
