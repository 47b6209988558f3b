"""Pitch stability compared with values calculated by hand."""

import numpy as np
import pytest
import torch

from stylediff.mel import MelConfig
from stylediff.notes import Note
from train.evaluation.metrics.notes import held_frames, pitch_deviation, pitch_wobble
from train.evaluation.metrics.sound import hop_stripes

MEL = MelConfig()
NOTES = (Note(0.0, 0.8, 69, 80), Note(1.0, 1.2, 71, 80), Note(1.2, 2.0, 72, 80))
TIMES = np.arange(50) * 0.04


def hz(cents: np.ndarray) -> np.ndarray:
    return 440 * 2 ** (cents / 1200)


def test_frames_well_inside_a_long_note_belong_to_it() -> None:
    owner = held_frames(NOTES, TIMES)
    assert owner[:2].tolist() == [-1, -1]  # the attack
    assert set(owner[3:17].tolist()) == {0}
    assert set(owner[19:31].tolist()) == {-1}  # a rest and a short note
    assert set(owner[33:47].tolist()) == {2}


def test_a_wobble_is_the_change_within_notes_and_not_between_them() -> None:
    cents = np.where(TIMES < 1.0, 0.0, 300.0)
    assert pitch_wobble(NOTES, TIMES, hz(cents)) == pytest.approx(0.0, abs=1e-6)
    shaken = cents + np.where(np.arange(50) % 2, 3.0, 0.0)
    assert pitch_wobble(NOTES, TIMES, hz(shaken)) == pytest.approx(3.0)
    assert pitch_wobble((Note(0.0, 0.3, 69, 80),), TIMES, hz(cents)) is None


def test_a_deviation_ignores_frames_that_the_tracker_loses() -> None:
    original = hz(np.zeros(50))
    ours = hz(np.full(50, 5.0))
    ours[10] *= 2  # an octave off
    assert pitch_deviation(NOTES, TIMES, ours, original) == pytest.approx(5.0)
    assert pitch_deviation((), TIMES, ours, original) is None


def test_only_a_pattern_that_repeats_with_every_hop_is_a_stripe() -> None:
    time = torch.arange(44100)
    noise = 0.1 * torch.randn(44100, generator=torch.Generator().manual_seed(0))
    at_hop, slower = (
        1 + 0.8 * torch.sin(2 * torch.pi * time / period) for period in (MEL.hop_length, 1.5 * MEL.hop_length)
    )
    plain, striped, other = (hop_stripes(noise * envelope, MEL) for envelope in (torch.ones(44100), at_hop, slower))
    assert striped > plain + 0.1
    assert other < striped - 0.1
    clicks = torch.zeros(44100)
    clicks[:: MEL.hop_length] = 0.5
    tone = 0.1 * torch.sin(time * 2 * torch.pi * 440 / 22050)
    assert hop_stripes(tone + clicks, MEL) > hop_stripes(tone + 0.01 * noise, MEL) + 0.3
    assert np.isfinite(hop_stripes(torch.zeros(44100), MEL))
