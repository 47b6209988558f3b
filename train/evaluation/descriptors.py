"""Descriptors of notes: vibrato, energy between partials, attack.

Each partial of a note is shifted to 0 Hz and low-pass filtered (heterodyne analysis, Moorer 1975). The slope of its
phase is the deviation in pitch, the magnitude its envelope. Unlike a pitch tracker, this follows one note among others,
because partials close to those of another note are excluded.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy.signal
import torch

from stylediff.audio import SILENCE_RMS
from stylediff.notes import Note

TRACK_HOP_S, ATTACK_HOP_S = 0.005, 0.002
TRACK_PARTIALS, ATTACK_PARTIALS, GAP_PARTIALS = 4, 6, 8
HIGHEST_HZ = 5000.0

HELD_S = 0.4  # shorter notes are not measured for vibrato
ONSET_S, RELEASE_S = 0.08, 0.02  # margins of a note that are excluded
FIT_S, FIT_HOP_S = 0.4, 0.1
RATES_HZ = np.arange(4.0, 8.01, 0.25)
UNSTEADY_CENTS = 15.0  # of the fit's residual; above it the pitch track is unreliable
CLEAR_SHARE = 0.5  # of variance that the fitted vibrato must explain for its rate to count

GAP_WINDOW = 4096
GAP_WIDTH, PEAK_WIDTH = 0.15, 0.2  # share of the fundamental, on either side
WEAKEST_PARTIAL_DB = -60.0  # relative to the note's strongest

ATTACK_BEFORE_S, ATTACK_AFTER_S = 0.1, 0.3
LEVEL_WINDOW_S = 0.01
RISE_DB = 10.0  # smallest rise of a note above the sound before it


@dataclass(frozen=True)
class Vibrato:
    """Vibrato of the held notes of a clip, as medians.

    Attributes:
        depth_cents: amplitude, half of the range between lowest and highest pitch; small without vibrato.
        rate_hz: rate, or None if no note has a clear vibrato.
        notes: number of held notes whose pitch could be tracked.
    """

    depth_cents: float
    rate_hz: float | None
    notes: int


def to_hz(pitch: float) -> float:
    """Frequency of a MIDI pitch."""
    return 440.0 * 2 ** ((pitch - 69) / 12)


def shift_partial(samples: np.ndarray, sample_rate: int, hz: float, window_s: float, hop: int) -> np.ndarray:
    """Complex envelope around a frequency, one value every ``hop`` samples.

    Args:
        samples: (samples,).
        window_s: length of the Hann window of the low-pass filter, which passes 2 / window_s Hz on either side.
    """
    window = np.hanning(round(window_s * sample_rate) | 1)
    carrier = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / sample_rate)
    return scipy.signal.fftconvolve(samples * carrier, 2 * window / window.sum(), mode="same")[::hop]


def notes_beside(note: Note, notes: tuple[Note, ...]) -> list[Note]:
    """Notes of other pitches that sound at the same time."""
    return [n for n in notes if n.pitch != note.pitch and n.start < note.end and n.end > note.start]


def track_pitch(waveform: np.ndarray, sample_rate: int, note: Note, notes: tuple[Note, ...]) -> np.ndarray | None:
    """Track a note's deviation from its pitch, in cents.

    There is a value every 5 ms between onset and release.

    Returns:
        (frames,), or None if the note is too short or masked by others.
    """
    start, end = (round(time * sample_rate) for time in (note.start + ONSET_S, note.end - RELEASE_S))
    samples, hop = waveform[max(0, start) : end], round(TRACK_HOP_S * sample_rate)
    if len(samples) < FIT_S * sample_rate:
        return None
    fundamental = to_hz(note.pitch)
    window_s = max(0.03, 4 / fundamental)
    others = [to_hz(other.pitch) for other in notes_beside(note, notes)]
    weighted, weights = np.zeros(1), 0.0
    for partial in range(1, TRACK_PARTIALS + 1):
        hz = partial * fundamental
        distances = (abs(round(hz / other) * other - hz) for other in others if other < hz + 2 / window_s)
        if hz > HIGHEST_HZ or min(distances, default=math.inf) < 2 / window_s:
            continue
        envelope = shift_partial(samples, sample_rate, hz, window_s, hop)
        steps = envelope[1:] * envelope[:-1].conj()
        deviation_hz = np.angle(steps) * sample_rate / hop / (2 * np.pi)
        weight = float(np.abs(steps).mean())
        weighted = weighted + weight * 1200 * np.log2(np.maximum(1.0, hz + deviation_hz) / hz)
        weights += weight
    margin = round(window_s / 2 / TRACK_HOP_S)  # at the edges the filter reaches beyond the samples
    return weighted[margin:-margin] / weights if weights > 0 else None


def fit_vibrato(cents: np.ndarray) -> tuple[float, float, float, float] | None:
    """Fit a sinusoid and a line to windows of a pitch track.

    The windows are 0.4 s long.

    Args:
        cents: (frames,), every 5 ms.

    Returns:
        Medians over the windows: amplitude in cents, rate in Hz, explained share of variance, and residual in cents.
            None if the track is shorter than a window.
    """
    length, hop = round(FIT_S / TRACK_HOP_S), round(FIT_HOP_S / TRACK_HOP_S)
    if len(cents) < length:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(cents, length)[::hop].T
    time = np.arange(length) * TRACK_HOP_S
    line = np.stack([np.ones(length), time], axis=1)
    straight = windows - line @ np.linalg.lstsq(line, windows, rcond=None)[0]
    total = np.square(straight).mean(0)
    residuals, amplitudes = [], []
    for rate in RATES_HZ:
        phase = 2 * np.pi * rate * time
        basis = np.concatenate([line, np.stack([np.sin(phase), np.cos(phase)], axis=1)], axis=1)
        weights = np.linalg.lstsq(basis, windows, rcond=None)[0]
        residuals.append(np.square(windows - basis @ weights).mean(0))
        amplitudes.append(np.hypot(weights[2], weights[3]))
    best, columns = np.argmin(residuals, axis=0), np.arange(windows.shape[1])
    left = np.array(residuals)[best, columns]
    explained = 1 - left / np.maximum(total, 1e-9)
    values = (np.array(amplitudes)[best, columns], RATES_HZ[best], explained, np.sqrt(left))
    amplitude, rate, share, residual = (float(np.median(value)) for value in values)
    return amplitude, rate, share, residual


def measure_vibrato(waveform: torch.Tensor, sample_rate: int, notes: tuple[Note, ...]) -> Vibrato | None:
    """Measure the vibrato of a clip's held notes, or return None.

    A held note lasts at least 0.4 s. None means that no note can be tracked.

    Args:
        waveform: (samples,).
        notes: notes of the clip, from a score or a transcription.
    """
    samples = waveform.numpy().astype(np.float64)
    fits = []
    for note in notes:
        track = track_pitch(samples, sample_rate, note, notes) if note.end - note.start >= HELD_S else None
        fit = None if track is None else fit_vibrato(track)
        if fit is not None and fit[3] <= UNSTEADY_CENTS:
            fits.append(fit)
    if not fits:
        return None
    rates = [rate for _, rate, share, _ in fits if share >= CLEAR_SHARE]
    return Vibrato(float(np.median([fit[0] for fit in fits])), float(np.median(rates)) if rates else None, len(fits))


def lone_stretches(notes: tuple[Note, ...], shortest_s: float) -> list[tuple[Note, float, float]]:
    """Find spans in which one note sounds alone, without its onset.

    Each is a note with start and end in seconds.
    """
    edges = sorted({time for note in notes for time in (note.start, note.end)})
    stretches = []
    for start, end in itertools.pairwise(edges):
        sounding = [note for note in notes if note.start < end and note.end > start]
        if len(sounding) == 1:
            start = max(start, sounding[0].start + ONSET_S)
            if end - start >= shortest_s:
                stretches.append((sounding[0], start, end))
    return stretches


def energy_between_partials(waveform: torch.Tensor, sample_rate: int, notes: tuple[Note, ...]) -> float | None:
    """Level between neighbouring partials, relative to these, in dB.

    Bow noise, breath, room and noise raise it.

    It is the median over partials, frames and notes that sound alone, or None without such notes.

    Args:
        waveform: (samples,).
        notes: notes of the clip, from a score or a transcription.
    """
    samples, levels = waveform.numpy().astype(np.float64), []
    for note, start, end in lone_stretches(notes, GAP_WINDOW / sample_rate):
        track = track_pitch(samples, sample_rate, note, (note,))
        cents = 0.0 if track is None else float(np.median(track))
        fundamental = to_hz(note.pitch) * 2 ** (cents / 1200)
        part = samples[round(start * sample_rate) : round(end * sample_rate)]
        if len(part) < GAP_WINDOW:
            continue
        _, _, spectrum = scipy.signal.stft(part, sample_rate, nperseg=GAP_WINDOW, boundary=None, padded=False)
        power = np.square(np.abs(spectrum)).mean(1)
        hz = np.arange(len(power)) * sample_rate / GAP_WINDOW
        count = min(GAP_PARTIALS, int(HIGHEST_HZ / fundamental))
        peaks = [
            power[np.abs(hz - number * fundamental) <= PEAK_WIDTH * fundamental].max() for number in range(1, count + 1)
        ]
        loudest = max(peaks, default=0.0)
        for number, (lower, upper) in enumerate(itertools.pairwise(peaks), start=1):
            between = power[np.abs(hz - (number + 0.5) * fundamental) <= GAP_WIDTH * fundamental].mean()
            if min(lower, upper) > loudest * 10 ** (WEAKEST_PARTIAL_DB / 10):
                levels.append(10 * math.log10(max(between, 1e-20) / math.sqrt(lower * upper)))
    return float(np.median(levels)) if levels else None


def note_envelope(samples: np.ndarray, sample_rate: int, pitch: int, hop: int) -> np.ndarray:
    """Amplitude of a note's first six partials, every ``hop`` samples."""
    fundamental = to_hz(pitch)
    window_s = max(0.012, 3 / fundamental)
    partials = [number * fundamental for number in range(1, ATTACK_PARTIALS + 1) if number * fundamental < HIGHEST_HZ]
    envelopes = [np.abs(shift_partial(samples, sample_rate, hz, window_s, hop)) for hz in partials]
    return np.sqrt(np.square(envelopes).sum(0))


def rise_time(envelope: np.ndarray, hop_s: float) -> float | None:
    """Seconds from 10 % to 90 % of an envelope's rise.

    It rises from its lowest value before the peak to the peak.

    The rise starts at the envelope's lowest value before the peak.

    Returns:
        None if it rises by less than 10 dB.
    """
    peak = int(envelope.argmax())
    base = int(envelope[: peak + 1].argmin())
    low, high = envelope[base], envelope[peak]
    if high < low * 10 ** (RISE_DB / 20) or high <= 0:
        return None
    share = (envelope[base : peak + 1] - low) / (high - low)
    start = int(np.flatnonzero(share <= 0.1)[-1])
    risen = int(np.flatnonzero(share[start:] >= 0.9)[0])
    return risen * hop_s


def attack_time(waveform: torch.Tensor, sample_rate: int, notes: tuple[Note, ...]) -> float | None:
    """Median rise time of notes in seconds, or None.

    Only notes that rise above the sound before them are used.

    Onsets may be off by 50 ms, as in a transcription. The resolution of the analysis is about 10 ms.

    Args:
        waveform: (samples,).
        notes: notes of the clip, from a score or a transcription.
    """
    samples, hop = waveform.numpy().astype(np.float64), round(ATTACK_HOP_S * sample_rate)
    before, after = round(ATTACK_BEFORE_S * sample_rate), round(ATTACK_AFTER_S * sample_rate)
    padded, times = np.pad(samples, (before, after)), []
    for note in notes:
        onset = round(note.start * sample_rate)
        if 0 <= onset < len(samples):
            part = padded[
                onset : onset + before + min(after, round((note.end - note.start) * sample_rate) + before // 2)
            ]
            time = rise_time(note_envelope(part, sample_rate, note.pitch, hop), hop / sample_rate)
            times += [] if time is None else [time]
    return float(np.median(times)) if times else None


def half_level_time(waveform: torch.Tensor, sample_rate: int) -> float | None:
    """Seconds until a note reaches half of its peak amplitude.

    The note starts at 0. None means silence.

    Args:
        waveform: (samples,) of one note.
    """
    samples, hop = waveform.numpy().astype(np.float64), round(ATTACK_HOP_S * sample_rate)
    length = round(LEVEL_WINDOW_S * sample_rate)
    power = scipy.signal.fftconvolve(np.square(samples), np.ones(length) / length, mode="full")[length - 1 :: hop]
    level = np.sqrt(power.clip(0))
    return None if level.max() < SILENCE_RMS else float(np.argmax(level >= level.max() / 2)) * hop / sample_rate
