"""Corruptions have the stated strength."""

import numpy as np
import pytest
import torch

from train.experiments.metric_sensitivity import (
    CORRUPTIONS,
    Material,
    add_noise,
    blur,
    change_instrument,
    detune,
    shift,
    swap_notes,
)

RATE = 22050


def tone(hz: float, seconds: float = 2.0) -> torch.Tensor:
    return 0.2 * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * RATE)) / RATE)


MATERIAL = Material(tone(440.0), tone(330.0), tone(440.0).sign() * 0.1)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_keeps_the_length_and_changes_the_clip(name: str) -> None:
    damage, strengths = CORRUPTIONS[name]
    outputs = [damage(MATERIAL, strength) for strength in strengths]
    assert all(output.shape == MATERIAL.target.shape for output in outputs)
    assert all(torch.isfinite(output).all() for output in outputs)
    assert all(not torch.equal(output, MATERIAL.target) for output in outputs)


def test_noise_has_the_stated_level() -> None:
    noise = add_noise(MATERIAL, 25.0) - MATERIAL.target
    ratio = MATERIAL.target.square().mean() / noise.square().mean()
    assert 10 * float(ratio.log10()) == pytest.approx(25.0, abs=0.2)


def test_detuning_moves_the_pitch_by_its_cents() -> None:
    spectrum = np.abs(np.fft.rfft(detune(MATERIAL, 50.0)[:RATE].numpy() * np.hanning(RATE)))
    assert 1200 * np.log2(spectrum.argmax() / 440) == pytest.approx(50.0, abs=3)


def test_a_delayed_clip_is_the_clip_after_silence() -> None:
    late = shift(MATERIAL, 100.0)
    assert late[:2205].abs().max() == 0
    assert torch.equal(late[2205:], MATERIAL.target[:-2205])


def test_swapped_notes_and_instruments_have_the_stated_share() -> None:
    half = swap_notes(MATERIAL, 0.5)
    assert torch.equal(half[:RATE], MATERIAL.target[:RATE])
    assert torch.equal(half[RATE:], MATERIAL.other_music[RATE:])
    assert torch.equal(change_instrument(MATERIAL, 1.0), MATERIAL.other_instrument)
    assert torch.equal(change_instrument(MATERIAL, 0.0), MATERIAL.target)


def test_blur_spreads_an_attack() -> None:
    target = tone(440.0)
    target[:RATE] = 0
    material = Material(target, target, target)
    early = [float(blur(material, size)[: RATE - 500].square().mean()) for size in (3, 7, 15)]
    assert float(target[: RATE - 500].square().mean()) == 0 < early[0] < early[1] < early[2]
