"""Rooms: convolution with a synthetic impulse response at equal level."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings list the rooms, and are read before anything slow is imported
    import numpy as np
    import torch

ROOM = "dry"  # unless the model recommends another
RESPONSE_RATE = 48_000  # Hz; responses are made at this rate, so that a room is the same at every rate
LEVEL_RATE = 22_050  # Hz; the energy of a response is 1 at this rate
CROSSOVER_HZ = 2000.0  # above it, air and walls absorb more and the sound decays faster
HIGH_DECAY = 0.6  # decay time above the crossover, as a share of that below
REFLECTIONS = 12
EARLY_SHARE = 0.35  # share of the response's energy in its early reflections
CONVOLVED_S = 60  # in one piece
ENERGY_BLOCK = 2**20
SEED = 7  # rooms are always the same, so that results are


@dataclass(frozen=True)
class Room:
    """Parameters of a room and of the instrument's distance in it.

    Attributes:
        decay_s: time in which sound decays by 60 dB (RT60).
        mix: share of reverberant sound, 0 to 1.
        first_s: delay of the first reflection.

    Examples:
        >>> import torch
        >>> from stylediff.room import add_room, get_room
        >>> get_room("hall").decay_s
        1.9
        >>> click = torch.zeros(22050)
        >>> click[0] = 0.5
        >>> len(add_room(click, 22050, "studio", keep_tail=True)) > len(click)
        True
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
        ValueError: no such room; the message lists the valid names.
    """
    if name not in ROOMS:
        raise ValueError(f"unknown room {name!r}; choose one of {', '.join(ROOMS)}")
    return ROOMS[name]


def resample_response(response: "np.ndarray", sample_rate: int) -> "np.ndarray":
    """Convert a response at ``RESPONSE_RATE`` to a filter at another rate.

    Its gain is the same at every frequency that both rates have.
    """
    import soxr

    return soxr.resample(response, RESPONSE_RATE, sample_rate, quality="VHQ") * (RESPONSE_RATE / sample_rate)


@lru_cache(maxsize=8)
def impulse_response(room: Room, sample_rate: int, seed: int = SEED) -> "np.ndarray":
    """Return a room's response to an impulse, without the direct sound.

    The room is the same at every rate.

    Early reflections are sparse and random; the tail is noise that decays exponentially (Moorer 1979, "About this
    reverberation business"), faster at high frequencies.

    Returns:
        (round(decay_s * sample_rate),) float64, of about unit energy at ``LEVEL_RATE``.
    """
    import numpy as np
    import scipy.signal

    rng = np.random.default_rng(seed)
    samples = round(room.decay_s * RESPONSE_RATE)
    time = np.arange(samples) / RESPONSE_RATE
    noise = rng.standard_normal(samples)
    low_pass = scipy.signal.butter(2, CROSSOVER_HZ, fs=RESPONSE_RATE, output="sos")
    low = scipy.signal.sosfilt(low_pass, noise)
    tail = low * 10 ** (-3 * time / room.decay_s) + (noise - low) * 10 ** (-3 * time / (HIGH_DECAY * room.decay_s))
    tail *= np.clip((time - room.first_s) / (2 * room.first_s), 0, 1)  # grows while reflections become dense
    early = np.zeros(samples)
    delays = room.first_s * (1 + 5 * np.sort(rng.random(REFLECTIONS)))
    places = np.round(delays * RESPONSE_RATE).astype(int)
    np.add.at(early, places, rng.choice([-1.0, 1.0], REFLECTIONS) * room.first_s / delays)
    energies = [np.sum(resample_response(part, LEVEL_RATE) ** 2) for part in (early, tail)]
    response = np.sqrt(EARLY_SHARE / energies[0]) * early + np.sqrt((1 - EARLY_SHARE) / energies[1]) * tail
    resampled = resample_response(response, sample_rate)
    length = round(room.decay_s * sample_rate)
    return np.pad(resampled, (0, max(0, length - len(resampled))))[:length]


def add_room(waveform: "torch.Tensor", sample_rate: int, name: str, keep_tail: bool = False) -> "torch.Tensor":
    """Place a waveform in a room at unchanged energy.

    If the result would exceed [-1, 1], the whole clip is made quieter instead of clipped.

    Args:
        waveform: (samples,) or (channels, samples) in [-1, 1]; each channel has its own reflections.
        name: a key of ``ROOMS``.
        keep_tail: True to let the room decay after the end; the result is then longer.

    Returns:
        As many channels of as many samples, or with the tail decay_s * sample_rate - 1 more. Equal to the input if the
        room is "dry".

    Raises:
        ValueError: no such room.
    """
    room = get_room(name)
    if room is None or not float(waveform.abs().max()):
        return waveform
    import torch

    from stylediff.waveform import PEAK_LIMIT

    channels = waveform.detach().cpu().reshape(-1, waveform.shape[-1])
    tail = round(room.decay_s * sample_rate) - 1 if keep_tail else 0
    made = torch.empty(len(channels), channels.shape[1] + tail)
    energy_before = energy_after = 0.0
    for number, channel in enumerate(channels):
        dry, wet = channel.numpy(), made[number].numpy()
        convolve(dry, room_filter(room, sample_rate, SEED + number), CONVOLVED_S * sample_rate, wet)
        energy_before += energy(dry)
        energy_after += energy(wet)
    gain, peak = (energy_before / energy_after) ** 0.5, max(abs(float(end)) for end in made.aminmax())
    made *= min(gain, PEAK_LIMIT / peak)
    return made.reshape(*waveform.shape[:-1], -1).to(waveform)


def convolve(signal: "np.ndarray", response: "np.ndarray", block: int, out: "np.ndarray") -> None:
    """Convolve a signal with a response, block by block.

    Args:
        out: (samples + response - 1,) float32, which gets the result; a shorter one gets its beginning.
    """
    import numpy as np
    import scipy.signal

    rest = np.zeros(len(response) - 1)  # of the blocks so far
    for first in range(0, len(signal), block):
        last = min(len(signal), first + block)
        piece = scipy.signal.oaconvolve(signal[first:last].astype(np.float64), response)
        piece[: len(rest)] += rest
        out[first:last], rest = piece[: last - first], piece[last - first :]
    out[len(signal) :] = rest[: len(out) - len(signal)]


def energy(signal: "np.ndarray") -> float:
    """Sum of squares, in float64 and in bounded memory."""
    import numpy as np

    blocks = (signal[first : first + ENERGY_BLOCK].astype(np.float64) for first in range(0, len(signal), ENERGY_BLOCK))
    return float(sum(np.dot(block, block) for block in blocks))


def room_filter(room: Room, sample_rate: int, seed: int) -> "np.ndarray":
    """Response of a room with the direct sound."""
    response = room.mix * impulse_response(room, sample_rate, seed)  # a copy
    response[0] += 1 - room.mix
    return response
