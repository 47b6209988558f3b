"""Prepare recorded notes for a SoundFont: trim, tune, level, loop."""

from pathlib import Path

import librosa
import numpy as np
import pyloudnorm
import scipy.signal
import soxr
import torch

from stylediff.audio import AudioError, read_audio, to_mono

SAMPLE_RATE = 44100
SUSTAINED, STRUCK = "sustained", "struck"
KINDS = (SUSTAINED, STRUCK)

LEAD_IN_S, FADE_IN_S = 0.004, 0.003
ONSET_DB = {SUSTAINED: -34.0, STRUCK: -40.0}  # relative to the loudest moment
NOISE_MARGIN_DB = 10.0  # an onset is at least this much louder than the sound before it
LONGEST_RISE_S = {SUSTAINED: 0.12, STRUCK: 0.01}  # from the onset to half of the peak

STEADY_FROM_S, STEADY_TO_S = 0.06, 1.6
SEARCHED, LARGEST_DETUNING, LARGEST_SPREAD = 150.0, 50.0, 35.0  # cents
LEAST_LIKENESS = 0.75  # smallest correlation of a note with itself one period later

END_DB = 60.0  # level relative to the loudest moment at which a struck note ends
FADE_SHARE, FADE_S = 0.25, (0.1, 1.5)

LOOP_LEVEL = 0.5  # share of the sustained level that a loop must exceed
LOOP_AFTER_RISE_S, LOOP_BEFORE_END_S = 0.1, 0.02
SHORTEST_LOOP_S, SHORTEST_STEADY_S, LOOP_SEARCH_S = 0.2, 0.35, 4.0
CROSSFADE_S = 0.06
AFTER_LOOP = 64  # samples


class NoteError(ValueError):
    """A recording of a note that cannot be used."""


def load_note(path: Path) -> np.ndarray:
    """Load a recorded note as mono (samples,) float64 at ``SAMPLE_RATE``.

    Channels are averaged.

    Raises:
        NoteError: the recording cannot be read, or is silent.
    """
    try:
        samples, sample_rate = read_audio(path)
        waveform = to_mono(torch.from_numpy(samples), sample_rate, SAMPLE_RATE).numpy().astype(np.float64)
    except AudioError as error:
        raise NoteError(str(error)) from error
    waveform = waveform - waveform.mean()
    if np.abs(waveform).max() < 10 ** (-55 / 20):
        raise NoteError("it is silent")
    return waveform


def levels_db(waveform: np.ndarray, window_s: float, hop_s: float) -> tuple[np.ndarray, int]:
    """Level of a waveform over time.

    Returns:
        dB relative to the loudest moment, (moments,), with moment t centred on t hops; and the hop in samples.
    """
    window, hop = 2 * round(window_s * SAMPLE_RATE / 2), round(hop_s * SAMPLE_RATE)
    level = librosa.feature.rms(y=waveform, frame_length=window, hop_length=hop)[0]
    return librosa.amplitude_to_db(level, ref=np.max, top_db=120), hop


def trim_note(waveform: np.ndarray, kind: str) -> np.ndarray:
    """Cut a note 4 ms before its onset and fade it in.

    The onset is where the sound rises above the sound before it. If reaching half of the peak takes longer than
    ``LONGEST_RISE_S``, the beginning is cut off too: a late note is worse than a harder attack.

    Args:
        waveform: (samples,).

    Returns:
        The trimmed note, (samples,).
    """
    level, hop = levels_db(waveform, 0.003, 0.001)
    before = float(np.percentile(level[: int(level.argmax()) + 1], 5))
    threshold = min(max(ONSET_DB[kind], before + NOISE_MARGIN_DB), -15.0)
    lasting = scipy.signal.medfilt((level > threshold).astype(float), 9)  # clicks of up to 4 ms are not onsets
    rising = int(np.argmax(lasting > 0))
    near = level[rising : rising + round(0.6 / 0.001)]
    half = rising + int(np.argmax(near > near.max() - 6))
    onset = max(rising, half - round(LONGEST_RISE_S[kind] / 0.001))
    first = max(0, onset * hop - round(LEAD_IN_S * SAMPLE_RATE))
    trimmed = waveform[first:].copy()
    fade = min(round(FADE_IN_S * SAMPLE_RATE), len(trimmed))
    trimmed[:fade] *= np.sin(np.linspace(0, np.pi / 2, fade)) ** 2
    return trimmed


def measure_cents(waveform: np.ndarray, pitch: int) -> float:
    """Measure a note's deviation from its stated pitch, in cents.

    The pitch is found by YIN (de Cheveigné and Kawahara 2002).

    High partials are filtered out, because those of stiff strings are sharp. YIN searches only near the stated pitch,
    since a strong third partial could mislead it elsewhere.

    Args:
        waveform: (samples,), starting just before the onset.

    Raises:
        NoteError: no steady pitch, or a pitch closer to another key.
    """
    hz = 440 * 2 ** ((pitch - 69) / 12)
    steady = waveform[round(STEADY_FROM_S * SAMPLE_RATE) : round(STEADY_TO_S * SAMPLE_RATE)]
    # Relative to the stated frequency: the resampler keeps partials below 4, with 64 samples per period.
    slow = soxr.resample(steady, SAMPLE_RATE, 8 * hz)
    waves = soxr.resample(slow, 8.0, 64.0)
    length = max(1024, 2 ** round(np.log2(0.05 * 64 * hz)))
    if len(waves) < length:
        raise NoteError(f"{len(waveform) / SAMPLE_RATE:.2f} s are too short to measure the pitch")
    frames = {"frame_length": length, "hop_length": length // 4, "center": False}
    reach = 2 ** (SEARCHED / 1200)
    ratios = librosa.yin(waves, fmin=1 / reach, fmax=reach, sr=64, **frames)
    loudness = librosa.feature.rms(y=waves, **frames)[0]
    cents = 1200 * np.log2(ratios)[loudness > 0.1 * loudness.max()]
    middle = float(np.median(cents))
    period = 64 * 2 ** (-middle / 1200)
    likeness = self_likeness(waves, period)
    if likeness > 0.5 and max(self_likeness(waves, period / part) for part in (2, 3)) > 0.98 * likeness:
        raise NoteError(f"it sounds an octave or more above its stated pitch {pitch}: is the table right?")
    if abs(middle) > LARGEST_DETUNING:
        raise NoteError(f"it is off its stated pitch {pitch} by {abs(middle):.0f} cents or more")
    if likeness < LEAST_LIKENESS or np.median(np.abs(cents - middle)) > LARGEST_SPREAD:
        raise NoteError(f"it has no steady sound at its stated pitch {pitch}")
    return middle


def self_likeness(waveform: np.ndarray, lag: float) -> float:
    """Correlation of a waveform, (samples,), with a delayed copy."""
    ahead, behind = waveform[round(lag) :], waveform[: -round(lag)]
    return float(ahead @ behind / (np.linalg.norm(ahead) * np.linalg.norm(behind) + 1e-12))


def note_loudness(waveform: np.ndarray, kind: str) -> float:
    """Measure the loudness of a note in LUFS (ITU-R BS.1770).

    The first 1.3 s count, or 0.5 s for a struck note.
    """
    seconds = 1.3 if kind == SUSTAINED else 0.5
    beginning = waveform[: round(seconds * SAMPLE_RATE)]
    beginning = np.pad(beginning, (0, max(0, round(0.21 * SAMPLE_RATE) - len(beginning))))
    return float(pyloudnorm.Meter(SAMPLE_RATE, block_size=0.2).integrated_loudness(beginning))


def fade_out(waveform: np.ndarray, longest_s: float) -> np.ndarray:
    """Cut a struck note and fade it out, with its recorded decay.

    Args:
        waveform: (samples,).
        longest_s: longest length; the rest is cut off.
    """
    _, (_, end) = librosa.effects.trim(waveform, top_db=END_DB, frame_length=2048, hop_length=512)
    decayed = waveform[: min(end, round(longest_s * SAMPLE_RATE))].copy()
    fade = round(np.clip(FADE_SHARE * len(decayed), FADE_S[0] * SAMPLE_RATE, FADE_S[1] * SAMPLE_RATE))
    fade = min(fade, len(decayed))
    decayed[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    return decayed


def find_loop(waveform: np.ndarray) -> tuple[int, int]:
    """Find the best loop in the steady part of a note.

    The 60 ms before both ends are compared by normalised correlation; among equals, the longer loop is chosen.

    Args:
        waveform: (samples,).

    Raises:
        NoteError: the steady part is too short.
    """
    level, hop = levels_db(waveform, 0.04, 0.01)
    strong = np.flatnonzero(level > np.percentile(level, 90) + 20 * np.log10(LOOP_LEVEL))
    fade, shortest = round(CROSSFADE_S * SAMPLE_RATE), round(SHORTEST_LOOP_S * SAMPLE_RATE)
    first = int(strong[0]) * hop + round(LOOP_AFTER_RISE_S * SAMPLE_RATE)
    last = int(strong[-1]) * hop - round(LOOP_BEFORE_END_S * SAMPLE_RATE)
    last = min(last, len(waveform) - AFTER_LOOP, first + round(LOOP_SEARCH_S * SAMPLE_RATE))
    if last - first < SHORTEST_STEADY_S * SAMPLE_RATE:
        raise NoteError(
            f"{max(0, last - first) / SAMPLE_RATE:.2f} s of steady sound are too short for a loop; "
            f"{SHORTEST_STEADY_S} s are needed, or the kind is struck"
        )
    best = (-np.inf, 0, 0)
    for end in np.linspace(max(last - 2 * shortest, first + fade + shortest), last, 16).astype(int):
        template = waveform[end - fade : end]
        searched = waveform[first : end - shortest]
        if len(searched) < fade:
            continue
        products = scipy.signal.fftconvolve(searched, template[::-1], "valid")
        sums = np.concatenate([[0.0], np.cumsum(searched**2)])
        energies = np.maximum(sums[fade:] - sums[:-fade], 1e-12)
        starts = first + fade + np.arange(len(products))
        likeness = products / np.sqrt(energies * np.sum(template**2) + 1e-12)
        score = likeness + 0.05 * np.minimum((end - starts) / SAMPLE_RATE, 2.0)
        place = int(score.argmax())
        if score[place] > best[0]:
            best = (float(score[place]), int(starts[place]), int(end))
    return best[1:]


def close_loop(waveform: np.ndarray, loop: tuple[int, int]) -> np.ndarray:
    """Make a loop repeat seamlessly.

    Its level is evened out, and its end is crossfaded into the sound before its start.

    Args:
        waveform: (samples,).
        loop: first sample and end.

    Returns:
        (end of the loop + ``AFTER_LOOP``,).

    Raises:
        NoteError: the loop is outside of the note, or too short.
    """
    start, end = loop
    fade = min(round(CROSSFADE_S * SAMPLE_RATE), start, (end - start) // 2)
    if fade < 32 or end > len(waveform):
        part = f"{start / SAMPLE_RATE:.3f} s to {end / SAMPLE_RATE:.3f} s"
        raise NoteError(f"its loop from {part} after the onset is outside of the note or too short")
    closed = waveform[:end].copy()
    before, after = (np.sqrt(np.mean(closed[place - fade : place] ** 2) + 1e-12) for place in (start, end))
    closed[start:] *= (before / after) ** np.linspace(0, 1, end - start)
    incoming, outgoing = closed[start - fade : start].copy(), closed[end - fade :]
    likeness = float(incoming @ outgoing / (np.linalg.norm(incoming) * np.linalg.norm(outgoing) + 1e-12))
    place = np.linspace(0, 1, fade)
    mixed = (1 - place) * outgoing + place * incoming
    # A crossfade of uncorrelated sounds loses level: with correlation r the power is p^2 + (1-p)^2 + 2rp(1-p).
    closed[end - fade :] = mixed / np.sqrt((1 - place) ** 2 + place**2 + 2 * max(likeness, 0.0) * place * (1 - place))
    return np.concatenate([closed, np.resize(closed[start:], AFTER_LOOP)])
