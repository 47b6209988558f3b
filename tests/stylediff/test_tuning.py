"""Pitch of tones, found and moved."""

import math

import pytest
import torch

from stylediff.tuning import estimate_tuning, transpose

RATE = 22_050


def tone(hz: float, seconds: float = 2.0) -> torch.Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return sum(0.2 / n * torch.sin(2 * math.pi * n * hz * time) for n in range(1, 5))


def strongest_hz(waveform: torch.Tensor) -> float:
    spectrum = torch.fft.rfft(waveform * torch.hann_window(len(waveform))).abs()
    return float(spectrum.argmax()) * RATE / len(waveform)


@pytest.mark.parametrize("cents", [-45.0, -32.0, 0.0, 20.0, 45.0])
def test_the_tuning_of_a_chord_is_found(cents):
    chord = sum(tone(440 * 2 ** ((pitch + cents / 100) / 12)) for pitch in (-9, -5, -2))
    assert estimate_tuning(chord, RATE) == pytest.approx(cents, abs=4)


def test_noise_and_short_clips_have_no_tuning():
    assert estimate_tuning(torch.randn(RATE, generator=torch.Generator().manual_seed(0)), RATE) == 0
    assert estimate_tuning(tone(450, 0.1), RATE) == 0


@pytest.mark.parametrize("semitones", [-24.0, -12.0, -0.5, 7.0, 24.0])
def test_a_transposed_tone_has_another_pitch_and_the_same_length(semitones):
    moved = transpose(tone(440), RATE, semitones)
    assert moved.shape == tone(440).shape
    assert moved.dtype == torch.float32
    assert 12 * math.log2(strongest_hz(moved) / 440) == pytest.approx(semitones, abs=0.05)


def test_without_transposition_nothing_changes():
    waveform = tone(440)
    assert transpose(waveform, RATE, 0.0) is waveform


def test_a_long_clip_in_pieces_has_the_same_tuning(monkeypatch):
    clip = tone(446.0, 8.0)
    whole = estimate_tuning(clip, RATE)
    monkeypatch.setattr("stylediff.tuning.BLOCK_FRAMES", 5)
    assert estimate_tuning(clip, RATE) == pytest.approx(whole, abs=1e-3)
    assert whole == pytest.approx(1200 * math.log2(446 / 440), abs=2)
