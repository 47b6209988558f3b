"""Choose the part of a piece that makes a ringtone."""

from dataclasses import dataclass, replace
from itertools import pairwise

import librosa
import numpy as np

from stylediff.audio import AudioError
from stylediff.beats import track_beats

SAMPLE_RATE, HOP = 22050, 512
FEWEST_BEATS = 8  # fewer are no pulse
NEAR_FRAMES = 2  # between a beat and its onset
METERS = (4, 3)  # beats of a bar; the first is preferred by FOUR_BONUS
FOUR_BONUS = 1.1
PHRASE_BARS = 4  # music comes in multiples of them
SMALLEST_SHARE = 0.6  # of the length asked for, that whole phrases must fill
SHORTEST_S = 2.0
REFINE_S = 0.06  # how far a beat may lie from its attack
LONGEST_SILENCE_S = 0.02  # at the beginning
ATTACK_S = 0.008  # kept before an attack
NOVELTY_BEATS = 8
WEIGHTS = {"repetition": 1.0, "loudness": 0.7, "clarity": 0.5, "novelty": 0.5, "turn": 0.0}
LOOP_WEIGHTS = WEIGHTS | {"turn": 1.0}


@dataclass(frozen=True)
class Phrase:
    """The chosen part of a piece.

    Attributes:
        start_s, end_s: seconds in the piece.
        bars: whole bars in it; 0 where no beat was found.
        beats_a_bar: beats of a bar.
        tempo: beats a minute; 0 where no beat was found.
        beats_s: all beats of the piece, seconds.
    """

    start_s: float
    end_s: float
    bars: int = 0
    beats_a_bar: int = 0
    tempo: float = 0.0
    beats_s: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Pulse:
    """Beats of a piece, with features of the sound between them.

    Attributes:
        beats: (beats,) frames.
        beats_a_bar, downbeat: of the meter; the first beat that opens a bar.
        similarity: (beats, beats) cosine of the chroma of the bars that begin there.
        loudness: (beats,) decibels.
        clarity: (beats,) how far onsets stand out.
    """

    beats: np.ndarray
    beats_a_bar: int
    downbeat: int
    similarity: np.ndarray
    loudness: np.ndarray
    clarity: np.ndarray


def find_pulse(waveform: np.ndarray) -> Pulse | None:
    """Find the beats, the meter and the features of a piece.

    Beats are librosa's (Ellis 2007). Returns None where there are too few.

    Args:
        waveform: (samples,) at ``SAMPLE_RATE``.
    """
    onsets = librosa.onset.onset_strength(y=waveform, sr=SAMPLE_RATE, hop_length=HOP)
    if not onsets.any():
        return None
    beats = track_beats(onset_envelope=onsets, sr=SAMPLE_RATE, hop_length=HOP)
    beats = np.unique(beats[beats < len(onsets)])
    if len(beats) < FEWEST_BEATS:
        return None
    magnitude = np.abs(librosa.stft(waveform, n_fft=4096, hop_length=HOP))
    chroma = librosa.feature.chroma_stft(S=magnitude**2, sr=SAMPLE_RATE, n_fft=4096, tuning=0)
    power = librosa.feature.rms(S=magnitude, frame_length=4096)[0] ** 2

    parts = [slice(first, last) for first, last in pairwise([*beats, len(onsets)])]

    def by_beat(values: np.ndarray) -> np.ndarray:
        return librosa.util.sync(np.atleast_2d(values), parts)

    beat_chroma = librosa.util.normalize(by_beat(chroma), axis=0, norm=2)
    change = 1 - (beat_chroma[:, 1:] * beat_chroma[:, :-1]).sum(0)
    loudness = 10 * np.log10(by_beat(power)[0] + 1e-9)
    accents = np.array([onsets[max(0, beat - NEAR_FRAMES) : beat + NEAR_FRAMES + 1].max() for beat in beats])
    inner = slice(1, -1)  # the piece's own beginning and end are no accents
    stress = np.zeros(len(beats))
    stress[inner] = scale(accents[inner]) + scale(change[: len(beats) - 2]) + scale(loudness[inner])
    meter, downbeat = find_meter(stress)
    bars = np.concatenate([np.roll(beat_chroma, -step, axis=1) for step in range(meter)])
    mean_onset = by_beat(onsets)[0]
    return Pulse(
        beats=beats,
        beats_a_bar=meter,
        downbeat=downbeat,
        similarity=bars.T @ bars / meter,
        loudness=loudness,
        clarity=accents / (mean_onset + onsets.mean()),
    )


def scale(values: np.ndarray) -> np.ndarray:
    """Return values with mean 0 and deviation 1, or all 0."""
    return (values - values.mean()) / max(values.std(), 1e-9)


def find_meter(accents: np.ndarray) -> tuple[int, int]:
    """Return beats of a bar and the first downbeat.

    Accents on downbeats stand out most.
    """
    found = []
    for meter in METERS:
        for first in range(meter):
            is_downbeat = np.arange(len(accents)) % meter == first
            contrast = accents[is_downbeat].mean() - accents[~is_downbeat].mean()
            found.append((contrast * np.sqrt(meter) * (FOUR_BONUS if meter == METERS[0] else 1), meter, first))
    return max(found)[1:]


def count_bars(pulse: Pulse, seconds: float) -> int:
    """Return how many bars fill ``seconds``.

    They are whole phrases where these fill most of it.
    """
    beat_s = float(np.median(np.diff(pulse.beats))) * HOP / SAMPLE_RATE
    bars = int(seconds / (beat_s * pulse.beats_a_bar))
    whole = bars // PHRASE_BARS * PHRASE_BARS
    return max(1, whole if whole and whole * beat_s * pulse.beats_a_bar >= SMALLEST_SHARE * seconds else bars)


def score_phrases(pulse: Pulse, starts: np.ndarray, beats: int, is_loop: bool) -> np.ndarray:
    """Return a score of each phrase of ``beats`` beats, (starts,).

    Repetition is the mean similarity to the moment that resembles the phrase most (along a diagonal of the
    self-similarity matrix); novelty is Foote's (2000) at its first beat; a loop also gains from a last beat that
    resembles the one before the phrase.
    """
    total = len(pulse.beats)
    repetition = np.zeros(len(starts))
    for lag in range(max(beats // 2, pulse.beats_a_bar), total):
        diagonal = np.concatenate([[0.0], np.cumsum(np.diagonal(pulse.similarity, lag))])
        for offset in (0, lag):  # the other moment is later, or earlier
            first = starts - offset
            fits = (first >= 0) & (first + beats < len(diagonal))
            mean = (diagonal[np.where(fits, first + beats, 0)] - diagonal[np.where(fits, first, 0)]) / beats
            repetition = np.where(fits, np.maximum(repetition, mean), repetition)
    windows = starts[:, None] + np.arange(beats)
    parts = {
        "repetition": repetition,
        "loudness": pulse.loudness[windows].mean(1),
        "clarity": pulse.clarity[windows].mean(1),
        "novelty": np.array([novelty(pulse.similarity, start) for start in starts]),
        "turn": pulse.similarity[np.maximum(starts - 1, 0), starts + beats - 1],
    }
    weights = LOOP_WEIGHTS if is_loop else WEIGHTS
    return sum((weight * scale(parts[name]) for name, weight in weights.items()), np.zeros(len(starts)))


def novelty(similarity: np.ndarray, beat: int) -> float:
    """How much the music changes at a beat.

    This is the checkerboard kernel of Foote 2000.
    """
    before, after = slice(max(0, beat - NOVELTY_BEATS), beat), slice(beat, beat + NOVELTY_BEATS)
    if beat == 0:
        return 1.0
    return float(similarity[before, before].mean() + similarity[after, after].mean()) / 2 - float(
        similarity[before, after].mean()
    )


def refine_beat(waveform: np.ndarray, time_s: float) -> float:
    """Return the time just before the attack nearest to a beat, seconds."""
    block = round(0.002 * SAMPLE_RATE)
    first = max(0, round((time_s - REFINE_S) * SAMPLE_RATE))
    around = waveform[first : round((time_s + REFINE_S) * SAMPLE_RATE)]
    blocks = len(around) // block
    if blocks < 12:
        return max(0.0, time_s)
    power = (around[: blocks * block].reshape(-1, block) ** 2).sum(1)
    smooth = np.log(np.convolve(power, np.ones(5) / 5, "same") + 1e-9 + 1e-3 * power.max())
    rise = smooth[5:] - smooth[:-5]
    return max(0.0, (first + (int(rise.argmax()) + 3) * block) / SAMPLE_RATE - ATTACK_S)


def first_sound(waveform: np.ndarray) -> float:
    """Seconds until a waveform first comes within 40 dB of its peak."""
    return float(np.argmax(np.abs(waveform) >= 0.01 * np.abs(waveform).max())) / SAMPLE_RATE


def select_phrase(waveform: np.ndarray, seconds: float, start_s: float | None = None, is_loop: bool = False) -> Phrase:
    """Choose the part of a piece for a ringtone, cut on beats.

    Args:
        waveform: (samples,) at ``SAMPLE_RATE``.
        seconds: the longest part allowed.
        start_s: where the part begins, moved to the nearest beat; None chooses the best phrase that opens a bar.
        is_loop: True if the part will be repeated.

    Raises:
        AudioError: too short or silent, or ``start_s`` too late.
    """
    length_s = len(waveform) / SAMPLE_RATE
    latest_s = length_s - SHORTEST_S
    if latest_s < 0:
        message = f"the clip is {length_s:.1f} s long; a ringtone needs at least {SHORTEST_S:g} s"
        raise AudioError(message, "short_tone", length=f"{length_s:.1f}", least=f"{SHORTEST_S:g}")
    if float(np.abs(waveform).max()) < 1e-4:
        raise AudioError("the clip is silent; choose one with music in it", "silent")
    if start_s is not None and start_s > latest_s:
        message = f"the clip is {length_s:.1f} s long; start at second {latest_s:.1f} or before"
        raise AudioError(message, "late_tone", length=f"{length_s:.1f}", latest=f"{latest_s:.1f}")
    pulse = find_pulse(waveform)
    if pulse is None:
        start = min(first_sound(waveform) if start_s is None else start_s, latest_s)
        return Phrase(start, min(start + seconds, length_s))
    times = pulse.beats * HOP / SAMPLE_RATE
    bars = count_bars(pulse, seconds)
    first = choose_start(pulse, times, bars, is_loop) if start_s is None else int(np.abs(times - start_s).argmin())
    beats = min(bars * pulse.beats_a_bar, len(times) - 1 - first)
    phrase = cut_on_beats(waveform, pulse, first, beats, seconds)
    if not is_loop:
        phrase = skip_silence(waveform, phrase)
    if phrase.seconds >= SHORTEST_S:
        return phrase
    start = min(phrase.start_s, latest_s)
    return replace(phrase, start_s=start, end_s=min(start + seconds, length_s), bars=0)


def cut_on_beats(waveform: np.ndarray, pulse: Pulse, first: int, beats: int, seconds: float) -> Phrase:
    """Return the phrase from a beat on, at most ``seconds`` long.

    It has whole bars, unless not even one fits.
    """
    times, meter = pulse.beats * HOP / SAMPLE_RATE, pulse.beats_a_bar
    start = refine_beat(waveform, times[first])
    beats = beats // meter * meter or beats
    end = refine_beat(waveform, times[first + beats])
    while end - start > seconds and beats > 1:
        beats -= meter if beats > meter else 1
        end = refine_beat(waveform, times[first + beats])
    tempo = 60 / float(np.median(np.diff(times)))
    return Phrase(start, end, beats // meter, meter, tempo, tuple(times.tolist()))


def skip_silence(waveform: np.ndarray, phrase: Phrase) -> Phrase:
    """Return a phrase that begins with its first sound."""
    first, last = (round(edge * SAMPLE_RATE) for edge in (phrase.start_s, phrase.end_s))
    silent_s = first_sound(waveform[first:last]) - ATTACK_S
    return replace(phrase, start_s=phrase.start_s + silent_s) if silent_s > LONGEST_SILENCE_S else phrase


def choose_start(pulse: Pulse, times: np.ndarray, bars: int, is_loop: bool) -> int:
    """Return the downbeat at which the best phrase begins."""
    beats = bars * pulse.beats_a_bar
    starts = np.arange(pulse.downbeat, len(times), pulse.beats_a_bar)
    while beats > pulse.beats_a_bar and not (starts + beats < len(times)).any():
        beats -= pulse.beats_a_bar
    starts = starts[starts + beats < len(times)]
    if len(starts) == 0:
        return 0
    return int(starts[score_phrases(pulse, starts, beats, is_loop).argmax()])
