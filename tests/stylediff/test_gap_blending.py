"""Blending of linear prediction and generated sound in a gap."""

import numpy as np
import pytest
import torch

from stylediff.gap_blending import DOUBTED_DB, TRUSTED_DB, blend_gap, prediction_error, short_frames
from stylediff.gap_filling import predict_gap
from stylediff.mel import MelConfig
from train.experiments.repair import gap_distance

MEL = MelConfig()
RATE = MEL.sample_rate
GAP = (RATE, RATE + 2000)


def chord() -> torch.Tensor:
    time = torch.arange(2 * RATE) / RATE
    return sum(0.1 * torch.sin(2 * torch.pi * hertz * time) for hertz in (220.0, 331.0, 445.0))


def noise(seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(2 * RATE, generator=torch.Generator().manual_seed(seed))


def predicted(waveform: torch.Tensor) -> torch.Tensor:
    damaged = waveform.clone()
    damaged[slice(*GAP)] = 0
    return torch.from_numpy(predict_gap(damaged.numpy(), GAP, RATE)).float()


def test_the_error_is_small_for_tones_and_large_for_noise():
    assert prediction_error(predicted(chord()), GAP, short_frames(MEL)) < TRUSTED_DB
    assert prediction_error(predicted(noise()), GAP, short_frames(MEL)) > DOUBTED_DB


def test_the_error_does_not_depend_on_what_is_in_the_gap():
    damaged = chord()
    damaged[slice(*GAP)] = noise()[slice(*GAP)]
    assert prediction_error(damaged, GAP, short_frames(MEL)) == prediction_error(chord(), GAP, short_frames(MEL))


def test_without_room_for_a_trial_nothing_is_known():
    assert prediction_error(chord(), (1000, 2 * RATE - 1000), short_frames(MEL)) == float("inf")


def test_tones_are_predicted_and_noise_is_generated():
    for sound, is_steady in ((chord(), True), (noise(), False)):
        made = sound.clone()
        made[slice(*GAP)] = 0.3 * noise(1)[slice(*GAP)]
        guess = predicted(sound)
        blended = blend_gap(guess, made, GAP, MEL)
        near, far = (gap_distance(one.numpy(), blended.numpy(), [GAP]) for one in (guess, made))
        assert (near < far) is is_steady


@pytest.mark.parametrize("samples", [1500, 4000, 12_000])
def test_only_the_gap_changes(samples):
    gap = (RATE, RATE + samples)
    made = noise()
    blended = blend_gap(chord(), made, gap, MEL)
    changed = np.flatnonzero((blended != made).numpy())
    assert gap[0] <= changed.min()
    assert changed.max() < gap[1]
    assert torch.isfinite(blended).all()


@pytest.mark.parametrize("gap", [(0, 3000), (2 * RATE - 3000, 2 * RATE)])
def test_gaps_at_an_end_are_blended(gap):
    blended = blend_gap(torch.zeros(2 * RATE), noise(), gap, MEL)
    assert torch.isfinite(blended).all()
    assert blended[slice(*gap)].abs().max() < 1
