"""Linear prediction of sounds that it can continue, and of those that it cannot."""

import numpy as np
import pytest

from stylediff.linear_prediction import estimate_predictor, interpolate, predict_both_sides

RATE = 22050


def chord(seconds=1.0):
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(0.1 * np.sin(2 * np.pi * hz * time + hz) for hz in (220, 277.2, 329.6, 1318.5))
    return tones + 1e-5 * np.random.default_rng(0).standard_normal(len(time))


def error_db(made, wanted):
    return 10 * np.log10(((made - wanted) ** 2).mean() / (wanted**2).mean())


@pytest.mark.parametrize(("milliseconds", "least"), [(1, -40), (5, -40), (20, -30), (50, -20)])
@pytest.mark.parametrize("method", [interpolate, predict_both_sides])
def test_steady_tones_are_continued_through_a_gap(method, milliseconds, least):
    whole, samples = chord(), round(milliseconds * RATE / 1000)
    holed = whole.copy()
    holed[9000 : 9000 + samples] = 0
    made = method(holed, 9000, 9000 + samples, RATE)
    assert error_db(made, whole[9000 : 9000 + samples]) < least


def test_the_predictor_of_an_oscillation_has_its_poles():
    tone = np.sin(2 * np.pi * 0.05 * np.arange(2000))
    roots = np.roots(estimate_predictor(tone, 2))
    assert np.abs(roots) == pytest.approx(1, abs=1e-3)
    assert np.abs(np.angle(roots)) / (2 * np.pi) == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("method", [interpolate, predict_both_sides])
@pytest.mark.parametrize(("first", "last"), [(0, 200), (21850, 22050), (2, 200)])
def test_gaps_at_the_ends_and_silence_give_finite_samples(method, first, last):
    for waveform in (chord(), np.zeros(RATE)):
        made = method(waveform, first, last, RATE)
        assert made.shape == (last - first,)
        assert np.isfinite(made).all()
        assert np.abs(made).max() <= 1
