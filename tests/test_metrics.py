"""Metrics against values worked out by hand."""

import numpy as np
import pytest
import torch

from stylediff.mel import MelConfig
from train.metrics import (
    bootstrap_interval,
    clip_notes,
    frame_prf,
    log_mel_error,
    note_f1,
    score_roll,
)
from train.scores import Note

MEL = MelConfig()
SCORE = (Note(0.0, 0.5, 60, 80), Note(0.5, 1.0, 64, 80), Note(1.0, 1.5, 67, 80), Note(1.5, 2.0, 72, 80))


def noise(samples: int, seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def test_note_f1_counts_onsets_and_pitches_within_the_tolerance() -> None:
    # Heard: one note exact, one 80 ms late, one a semitone off; one is missing. Of 3 heard, 1 or 2 of 4 are right.
    intervals = np.array([[0.0, 0.2], [0.58, 1.0], [1.0, 1.5]])
    pitches = np.array([60.0, 64.0, 68.0])
    assert note_f1(SCORE, intervals, pitches, 0.05) == pytest.approx(2 * (1 / 3) * (1 / 4) / (1 / 3 + 1 / 4))
    assert note_f1(SCORE, intervals, pitches, 0.1) == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))


def test_note_f1_without_notes_is_zero() -> None:
    assert note_f1(SCORE, np.zeros((0, 2)), np.zeros(0), 0.05) == 0.0
    assert note_f1((), np.array([[0.0, 1.0]]), np.array([60.0]), 0.05) == 0.0


def test_clipped_notes_lie_within_the_clip() -> None:
    notes = (Note(-0.5, 0.2, 60, 80), Note(-0.5, 0.0, 61, 80), Note(1.8, 2.6, 62, 80), Note(2.0, 2.5, 63, 80))
    assert clip_notes(notes, 2.0) == (Note(0.0, 0.2, 60, 80), Note(1.8, 2.0, 62, 80))


def test_the_scores_roll_holds_each_key_for_its_time() -> None:
    roll = score_roll((Note(0.0, 256 * 3 / 22050, 21, 80), Note(256 * 2 / 22050, 9.0, 108, 80)), 5)
    assert roll[:, 0].tolist() == [True, True, True, False, False]
    assert roll[:, 87].tolist() == [False, False, True, True, True]
    assert roll.sum() == 6


def test_frame_measures_of_a_hand_counted_roll() -> None:
    score = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
    heard = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0]], bool)
    precision, recall, f = frame_prf(heard, score)  # 2 hits of 3 heard, of 4 in the score
    assert (precision, recall) == pytest.approx((2 / 3, 2 / 4))
    assert f == pytest.approx(4 / 7)
    assert frame_prf(np.zeros_like(score), score) == (0.0, 0.0, 0.0)


def test_a_copy_has_no_error_and_a_shift_has_its_size() -> None:
    mel = torch.tensor([[0.0, -2.0], [-4.0, -1.0]])
    assert log_mel_error(mel, mel) == 0.0
    assert log_mel_error(mel + 0.25, mel) == pytest.approx(0.25)


def test_nothing_below_seventy_decibels_under_the_peak_counts() -> None:
    target = torch.tensor([0.0, -9.0, -20.0])
    assert log_mel_error(torch.tensor([0.0, -15.0, -8.5]), target) == 0.0
    assert log_mel_error(torch.tensor([0.0, -7.06, -8.5]), target) == pytest.approx(1 / 3)


def test_log_mels_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equally large"):
        log_mel_error(torch.zeros(4, 5), torch.zeros(4, 6))


def test_the_bootstrap_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    values = np.random.default_rng(0).normal(1.0, 0.5, 400)
    low, high = bootstrap_interval(values, seed=0)
    assert low < values.mean() < high
    # The normal approximation of the interval: 1.96 standard errors to each side.
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.15)
    few_low, few_high = bootstrap_interval(values[:25], seed=0)
    assert few_high - few_low > 2 * (high - low)
    assert bootstrap_interval(values, seed=0) == (low, high)
