import numpy as np
import pytest
import torch

from stylediff.notes import Note
from train.evaluation.descriptors import (
    attack_time,
    energy_between_partials,
    half_level_time,
    lone_stretches,
    measure_vibrato,
    rise_time,
    to_hz,
)

RATE = 22050


def play(
    notes: tuple[Note, ...],
    seconds: float = 3.0,
    depth_cents: float = 0.0,
    rate_hz: float = 5.5,
    attack_s: float = 0.02,
    noise: float = 0.0,
    detune_cents: float = 0.0,
) -> torch.Tensor:
    """Notes of six partials with vibrato, a linear attack and white noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = noise * np.random.default_rng(0).standard_normal(len(time))
    for note in notes:
        cents = detune_cents + depth_cents * np.sin(2 * np.pi * rate_hz * time)
        phase = 2 * np.pi * np.cumsum(to_hz(note.pitch) * 2 ** (cents / 1200)) / RATE
        level = np.clip((time - note.start) / attack_s, 0, 1) * np.clip((note.end - time) / 0.02, 0, 1)
        wave += 0.1 * level * sum(np.sin(k * phase) / k for k in range(1, 7))
    return torch.from_numpy(wave).float()


@pytest.mark.parametrize("pitch", [43, 57, 69, 88])
@pytest.mark.parametrize(("depth", "rate"), [(10, 5.5), (20, 6.0), (40, 7.0)])
def test_a_known_vibrato_is_measured(pitch, depth, rate):
    notes = (Note(0.1, 2.5, pitch, 80),)
    vibrato = measure_vibrato(play(notes, depth_cents=depth, rate_hz=rate, detune_cents=15), RATE, notes)
    assert vibrato is not None
    assert vibrato.depth_cents == pytest.approx(depth, rel=0.12)
    assert vibrato.rate_hz == pytest.approx(rate, abs=0.15)
    assert vibrato.notes == 1


def test_a_steady_or_gliding_note_has_no_vibrato():
    notes = (Note(0.1, 2.5, 69, 80),)
    steady = measure_vibrato(play(notes, noise=0.003), RATE, notes)
    assert steady is not None
    assert steady.depth_cents < 1
    assert steady.rate_hz is None
    time = torch.arange(3 * RATE) / RATE
    glide = torch.sin(2 * torch.pi * 440 * torch.cumsum(2 ** (0.3 * time / 12), 0) / RATE)
    assert measure_vibrato(glide, RATE, notes).depth_cents < 1


def test_vibrato_is_found_in_a_chord():
    chord = (Note(0.1, 2.5, 60, 80), Note(0.1, 2.5, 64, 80), Note(0.1, 2.5, 67, 80))
    vibrato = measure_vibrato(play(chord, depth_cents=15), RATE, chord)
    assert vibrato is not None
    assert vibrato.notes == 3
    assert vibrato.depth_cents == pytest.approx(15, rel=0.15)


def test_short_notes_and_noise_have_no_vibrato_to_measure():
    short = tuple(Note(0.3 * k, 0.3 * k + 0.3, 69, 80) for k in range(6))
    assert measure_vibrato(play(short), RATE, short) is None
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(3 * RATE)).float()
    assert measure_vibrato(noise, RATE, (Note(0.1, 2.5, 69, 80),)) is None
    assert measure_vibrato(torch.zeros(RATE), RATE, ()) is None


@pytest.mark.parametrize("pitch", [48, 69, 81])
def test_energy_between_partials_follows_the_noise(pitch):
    notes = (Note(0.1, 2.5, pitch, 80),)
    levels = [energy_between_partials(play(notes, noise=noise, detune_cents=30), RATE, notes) for noise in (3e-4, 3e-3)]
    assert levels[1] - levels[0] == pytest.approx(20, abs=2)
    clean = energy_between_partials(play(notes), RATE, notes)
    assert clean < levels[0] - 3


def test_vibrato_does_not_fill_the_gaps_between_partials():
    notes = (Note(0.1, 2.5, 69, 80),)
    assert energy_between_partials(play(notes, depth_cents=15), RATE, notes) < -50


def test_energy_between_partials_needs_a_note_that_sounds_alone():
    chord = (Note(0.1, 2.5, 60, 80), Note(0.1, 2.5, 64, 80))
    assert energy_between_partials(play(chord), RATE, chord) is None
    assert energy_between_partials(torch.zeros(RATE), RATE, ()) is None


def test_spans_of_single_notes_exclude_onsets_and_overlaps():
    first, second = Note(0.0, 1.0, 60, 80), Note(0.7, 2.0, 64, 80)
    assert lone_stretches((first, second), 0.2) == [(first, 0.08, 0.7), (second, 1.0, 2.0)]
    assert lone_stretches((first, second), 0.7) == [(second, 1.0, 2.0)]


@pytest.mark.parametrize("attack_s", [0.02, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("error_s", [-0.03, 0.0, 0.03])
def test_a_known_attack_is_measured_although_onsets_are_inexact(attack_s, error_s):
    notes = (Note(0.5, 1.2, 67, 80), Note(1.5, 2.4, 74, 80))
    given = tuple(Note(note.start + error_s, note.end, note.pitch, 80) for note in notes)
    assert attack_time(play(notes, attack_s=attack_s), RATE, given) == pytest.approx(0.8 * attack_s, abs=0.012)


def test_attacks_of_a_melody_over_a_held_note_are_measured():
    notes = (Note(0.0, 2.9, 48, 80), Note(0.5, 1.2, 69, 80), Note(1.3, 2.0, 73, 80))
    assert attack_time(play(notes, attack_s=0.06), RATE, notes) == pytest.approx(0.048, abs=0.015)


def test_a_note_without_an_onset_has_no_attack():
    held = (Note(0.0, 3.0, 69, 80),)
    assert attack_time(play(held, attack_s=1e-6), RATE, (Note(1.0, 2.0, 69, 80),)) is None
    assert attack_time(torch.zeros(RATE), RATE, (Note(0.1, 0.5, 69, 80),)) is None
    assert attack_time(torch.zeros(RATE), RATE, ()) is None
    assert rise_time(np.linspace(0, 1, 101), 0.001) == pytest.approx(0.08)


@pytest.mark.parametrize("attack_s", [0.002, 0.05, 0.2])
def test_half_of_the_peak_is_reached_half_through_a_linear_attack(attack_s):
    note = play((Note(0.0, 1.0, 69, 80),), 1.0, attack_s=attack_s)
    assert half_level_time(note, RATE) == pytest.approx(attack_s / 2, abs=0.008)
    assert half_level_time(torch.zeros(RATE), RATE) is None
