"""Metrics compared with values calculated by hand."""

import numpy as np
import pytest
import torch

from stylediff.mel import MelConfig
from stylediff.notes import Note
from train.data.notes import clip_notes, frame_prf, is_one_voice, note_f1, score_roll
from train.evaluation.metrics.notes import f0_accuracy, onset_f1, pitch_class_distance, pitch_jaccard
from train.evaluation.metrics.sound import (
    chroma_similarity,
    log_mel_error,
    log_spectral_distance,
    missing_seconds,
    timbre_distance,
)
from train.evaluation.report import bootstrap_interval

MEL = MelConfig()
SCORE = (Note(0.0, 0.5, 60, 80), Note(0.5, 1.0, 64, 80), Note(1.0, 1.5, 67, 80), Note(1.5, 2.0, 72, 80))


def noise(samples: int, seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def test_note_f1_counts_onsets_and_pitches_within_the_tolerance() -> None:
    # Detected: one note exact, one 80 ms late, one a semitone off; one is missing. 1 or 2 of 3 match the 4 notes.
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
    detected = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0]], bool)
    precision, recall, f = frame_prf(detected, score)  # 2 hits of 3 detected, of 4 in the score
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
    with pytest.raises(ValueError, match="the same shape"):
        log_mel_error(torch.zeros(4, 5), torch.zeros(4, 6))


def test_the_bootstrap_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    values = np.random.default_rng(0).normal(1.0, 0.5, 400)
    low, high = bootstrap_interval(values, seed=0)
    assert low < values.mean() < high
    # normal approximation of the interval: 1.96 standard errors on each side
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.15)
    few_low, few_high = bootstrap_interval(values[:25], seed=0)
    assert few_high - few_low > 2 * (high - low)
    assert bootstrap_interval(values, seed=0) == (low, high)


def roll_of(*keys_by_frame: set[int]) -> np.ndarray:
    """A roll (frames, 88) with the given keys in each frame, numbered from the lowest."""
    roll = np.zeros((len(keys_by_frame), 88), bool)
    for frame, keys in enumerate(keys_by_frame):
        roll[frame, list(keys)] = True
    return roll


def test_the_jaccard_distance_of_hand_counted_frames() -> None:
    detected = roll_of({1, 2}, {5}, set(), {7})
    reference = roll_of({1, 3}, {5}, set(), set())
    # one of three keys in common, all, silence in both, none
    assert pitch_jaccard(detected, reference) == pytest.approx((2 / 3 + 0 + 0 + 1) / 4)


def test_the_pitch_class_distance_forgives_time_and_octaves_but_no_semitone() -> None:
    tune = np.repeat(roll_of({3}, {5}, {7}, {12}).astype(float), 10, axis=0)
    late = np.concatenate([tune[:5], tune])[:40]
    assert pitch_class_distance(tune, tune) == 0.0
    assert pitch_class_distance(late, tune) == 0.0
    assert pitch_class_distance(np.roll(tune, 12, axis=1), tune) == 0.0
    assert pitch_class_distance(np.roll(tune[:10], 1, axis=1), tune[:10]) == pytest.approx(1.0)
    assert pitch_class_distance(roll_of({11}).astype(float), roll_of({0}).astype(float)) == pytest.approx(1.0)


def tone(hz: float, seconds: float = 1.0) -> torch.Tensor:
    time = torch.arange(round(seconds * MEL.sample_rate)) / MEL.sample_rate
    return 0.2 * sum(torch.sin(2 * torch.pi * hz * n * time) / n for n in range(1, 5))


def test_chroma_distinguishes_fifths_from_octaves() -> None:
    assert chroma_similarity(tone(440.0), tone(440.0), MEL) == pytest.approx(1.0, abs=1e-5)
    octave, fifth, tritone = (chroma_similarity(tone(hz), tone(440.0), MEL) for hz in (880.0, 660.0, 622.3))
    assert octave > fifth > tritone
    assert chroma_similarity(tone(440.0), torch.zeros(22050), MEL) == 0.0


def test_onsets_of_the_score_are_detected() -> None:
    waveform = torch.zeros(3 * MEL.sample_rate)
    for start in (0.5, 1.2, 2.0):
        first = round(start * MEL.sample_rate)
        waveform[first : first + 8000] += tone(440.0, 1.0)[:8000] * torch.linspace(1, 0, 8000)
    right, late = ([Note(t + shift, t + shift + 0.3, 69, 80) for t in (0.5, 1.2, 2.0)] for shift in (0.0, 0.2))
    assert onset_f1(waveform, tuple(right), MEL.sample_rate) == 1.0
    assert onset_f1(waveform, tuple(late), MEL.sample_rate) == 0.0
    assert onset_f1(waveform, (), MEL.sample_rate) == 0.0


def test_f0_counts_within_fifty_cents_for_monophonic_scores() -> None:
    notes = (Note(0.0, 0.5, 69, 80), Note(0.5, 1.0, 71, 80))
    times = np.arange(100) / 100
    sharp = np.where(times < 0.5, 440.0, 493.88)
    assert f0_accuracy(notes, times, sharp * 2 ** (40 / 1200)) == 1.0
    assert f0_accuracy(notes, times, np.full(100, 440.0)) == pytest.approx(0.5)
    assert f0_accuracy(notes, times, sharp * 2 ** (60 / 1200)) == 0.0
    assert is_one_voice(notes)
    assert not is_one_voice((*notes, Note(0.2, 0.7, 60, 80)))
    assert not is_one_voice(())


def test_the_log_spectral_distance_of_half_the_level_is_six_decibels() -> None:
    waveform = noise(20000, 1)
    assert log_spectral_distance(waveform, waveform, MEL) == 0.0
    assert log_spectral_distance(waveform / 2, waveform, MEL) == pytest.approx(6.02, abs=0.1)


def test_timbre_is_the_envelope_and_not_level_or_length() -> None:
    bands = torch.linspace(0, 1, 256)[:, None].expand(-1, 50)
    assert timbre_distance(bands, bands) == 0.0
    assert timbre_distance(bands + 2, bands[:, :20]) == pytest.approx(0.0, abs=1e-5)
    slopes = [timbre_distance(bands * slope, bands) for slope in (1.5, 2.0, 3.0)]
    assert slopes[0] > 0.05
    assert slopes[1] == pytest.approx(2 * slopes[0], rel=1e-3)
    assert slopes[2] == pytest.approx(4 * slopes[0], rel=1e-3)


def test_missing_seconds_count_where_only_the_target_sounds() -> None:
    target, output = tone(440.0, 2.0), tone(440.0, 2.0)
    output[:11025] = 0
    assert missing_seconds(output, target, MEL.sample_rate) == pytest.approx(0.5, abs=0.06)
    assert missing_seconds(target, output, MEL.sample_rate) == 0.0
