"""The room that a result sounds in: convolution with a synthetic impulse response, level kept."""

from dataclasses import dataclass

import numpy as np
import scipy.signal
import torch

CROSSOVER_HZ = 2000.0  # above it, air and walls make the sound decay faster
HIGH_DECAY = 0.6  # decay time above the crossover against that below
REFLECTIONS = 12
EARLY_SHARE = 0.35  # of the response's energy, in its early reflections
SEED = 7  # rooms are always the same, so that results are


@dataclass(frozen=True)
class Room:
    """A room, and how far away in it the instrument is.

    Attributes:
        decay_s: time in which its sound falls by 60 dB (RT60).
        mix: share of the reverberant sound, 0 to 1.
        first_s: delay of the first reflection.
    """

    decay_s: float
    mix: float
    first_s: float


ROOMS: dict[str, Room | None] = {
    "dry": None,
    "studio": Room(0.35, 0.25, 0.004),
    "room": Room(0.8, 0.35, 0.009),
    "hall": Room(1.9, 0.4, 0.02),
}


def get_room(name: str) -> Room | None:
    """Return a room by name; None for "dry".

    Raises:
        ValueError: no such room; the message lists the names.
    """
    if name not in ROOMS:
        raise ValueError(f"unknown room {name!r}; choose one of {', '.join(ROOMS)}")
    return ROOMS[name]


def impulse_response(room: Room, sample_rate: int, seed: int = SEED) -> np.ndarray:
    """Response of a room to an impulse, without the direct sound.

    Early reflections are sparse and random; the tail is noise that decays exponentially (Moorer 1979, "About this
    reverberation business"), faster at high frequencies.

    Returns:
        (samples,) float64 of unit energy, ``decay_s`` long.
    """
    rng = np.random.default_rng(seed)
    samples = max(2, round(room.decay_s * sample_rate))
    time = np.arange(samples) / sample_rate
    noise = rng.standard_normal(samples)
    low_pass = scipy.signal.butter(2, min(CROSSOVER_HZ, 0.45 * sample_rate), fs=sample_rate, output="sos")
    low = scipy.signal.sosfilt(low_pass, noise)
    tail = low * 10 ** (-3 * time / room.decay_s) + (noise - low) * 10 ** (-3 * time / (HIGH_DECAY * room.decay_s))
    tail *= np.clip((time - room.first_s) / (2 * room.first_s), 0, 1)  # grows while reflections become dense
    early = np.zeros(samples)
    delays = room.first_s * (1 + 5 * np.sort(rng.random(REFLECTIONS)))
    places = np.minimum(np.round(delays * sample_rate).astype(int), samples - 1)
    np.add.at(early, places, rng.choice([-1.0, 1.0], REFLECTIONS) * room.first_s / delays)
    parts = [np.sqrt(share / np.sum(part**2)) * part for share, part in ((EARLY_SHARE, early), (1 - EARLY_SHARE, tail))]
    response = parts[0] + parts[1]
    return response / np.sqrt(np.sum(response**2))


def add_room(waveform: torch.Tensor, sample_rate: int, name: str, keep_tail: bool = False) -> torch.Tensor:
    """A waveform as it sounds in a room, at the energy that it had before.

    Args:
        waveform: (samples,).
        name: a key of ``ROOMS``.
        keep_tail: True to let the room decay after the end; the result is then longer.

    Returns:
        (samples,), or with the tail (samples + decay_s * sample_rate - 1,). Equal to the input if the room is "dry".

    Raises:
        ValueError: no such room.
    """
    room = get_room(name)
    if room is None or not float(waveform.abs().max()):
        return waveform
    dry = waveform.detach().cpu().double().numpy()
    response = room.mix * impulse_response(room, sample_rate)
    response[0] += 1 - room.mix
    wet = scipy.signal.oaconvolve(dry, response)
    wet = wet if keep_tail else wet[: len(dry)]
    wet *= np.sqrt(np.sum(dry**2) / np.sum(wet**2))
    return torch.from_numpy(wet).to(waveform)
