"""Levels for a phone: low cut, loudness, peaks, and loops that stay loops."""

import numpy as np
import pytest

from stylediff.phone_level import (
    CEILING_DB,
    LOUDNESS_LUFS,
    cut_lows,
    level_for_phone,
    limit_peaks,
    measure_loudness,
    true_peaks,
)

RATE = 44100


def tone(hz, seconds=3.0, loud=0.05):
    return loud * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)[None]


def test_music_is_brought_to_the_loudness_and_never_clips():
    notes = tone(500) * (1 + 1.5 * (np.arange(3 * RATE) % RATE < 2000))
    level, loudness = level_for_phone(notes, RATE, False)
    assert loudness == pytest.approx(LOUDNESS_LUFS, abs=0.5)
    assert measure_loudness(level, RATE) == pytest.approx(loudness)
    assert true_peaks(level).max() <= 10 ** (CEILING_DB / 20) + 0.01


def test_lone_peaks_are_limited_only_so_far():
    clicks = np.zeros((1, 3 * RATE))
    clicks[0, ::RATE] = 0.5
    level, loudness = level_for_phone(clicks + tone(500, loud=1e-4), RATE, False)
    assert loudness < LOUDNESS_LUFS - 10
    assert np.abs(level).max() <= 10 ** (CEILING_DB / 20) + 0.01


def test_what_a_small_speaker_cannot_play_is_cut():
    low, high = (np.abs(cut_lows(tone(hz), RATE, False)[0, RATE:]).max() for hz in (40, 1000))
    assert low < 0.1 * high
    assert high == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize("process", [lambda x: cut_lows(x, RATE, True), lambda x: limit_peaks(8 * x, RATE, True)])
def test_a_loop_stays_a_loop(process):
    loop = tone(441, 1.0, 0.5) * (1 + np.sin(2 * np.pi * np.arange(RATE) / RATE))
    turned = np.roll(process(np.roll(loop, RATE // 2, axis=1)), -(RATE // 2), axis=1)
    assert np.allclose(process(loop), turned, atol=1e-3)


def test_silence_stays_silence():
    level, loudness = level_for_phone(np.zeros((2, RATE)), RATE, False)
    assert not level.any()
    assert loudness == -np.inf
