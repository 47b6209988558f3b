"""Find damaged parts: dropouts, clicks, clipped runs, noise bursts."""

from dataclasses import dataclass

import numpy as np

from stylediff.linear_prediction import estimate_predictor, extrapolate

DROPOUT, CLICK, CLIPPED, BURST = "dropout", "click", "clipped", "burst"
SHORTEST_DROPOUT_S = 0.001
LONGEST_DROPOUT_S = 2.0
SOUND_S = 0.003  # looked at on both sides of a dropout
SOUND_RMS = 0.003

CLICK_BLOCK_S, CLICK_ORDER = 0.05, 24
CLICK_RATIO = 14.0  # of the prediction error, over its usual size
LONGEST_CLICK_S = 0.005
CLICK_MARGIN_S = 0.0004
BEFORE_CLICK_S, AFTER_CLICK_S = 0.05, 0.003
ISOLATION = 6.0  # an attack goes on, a click does not

FEWEST_CLIPPED = 4  # equal samples at the largest value
CLIPPED_SHARE = 0.98

BURST_HOP_S, BURST_FRAME_S = 0.005, 0.02
BURST_FLATNESS = 0.25  # white noise has 0.56, tones below 0.05
BURST_BAND_HZ = (1000, 9000)
SHORTEST_BURST_S, LONGEST_BURST_S = 0.01, 0.8
BURST_RISE_DB = 8.0  # over the band's level on both sides
JOIN_S = 0.003  # damage closer than this is one


@dataclass(frozen=True)
class Damage:
    """A damaged part of a recording, in seconds."""

    start_s: float
    end_s: float
    kind: str

    def describe(self) -> str:
        return f"{self.kind} {self.start_s:.3f}–{self.end_s:.3f} s"


def find_runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """Edges of runs of true values: first, and one after the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def find_dropouts(waveform: np.ndarray, sample_rate: int) -> list[Damage]:
    """Find silence with sound right before and right after it.

    Args:
        waveform: (channels, samples).
    """
    reach, found = round(SOUND_S * sample_rate), []
    for first, last in find_runs((waveform == waveform[:, :1] * 0).all(0)):
        seconds = (last - first) / sample_rate
        sides = waveform[:, max(0, first - reach) : first], waveform[:, last : last + reach]
        sounds = all(side.size and np.sqrt((side**2).mean()) > SOUND_RMS for side in sides)
        if sounds and SHORTEST_DROPOUT_S <= seconds <= LONGEST_DROPOUT_S:
            found.append(Damage(first / sample_rate, last / sample_rate, DROPOUT))
    return found


def find_clipped(waveform: np.ndarray, sample_rate: int) -> list[Damage]:
    """Find runs of samples that stay at the largest value, (channels, samples)."""
    top = np.abs(waveform).max(1, keepdims=True)
    if not top.any():
        return []
    at_top = (np.abs(waveform) >= CLIPPED_SHARE * top) & (np.abs(waveform) > 0.1)
    flat = np.pad(np.abs(np.diff(waveform, axis=1)) <= 1e-4, ((0, 0), (1, 0)))
    runs = find_runs((at_top & flat).any(0))
    return [
        Damage((first - 1) / sample_rate, last / sample_rate, CLIPPED)
        for first, last in runs
        if last - first + 1 >= FEWEST_CLIPPED
    ]


def prediction_error(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Error of a linear prediction over its usual size, (samples,).

    Predictor and usual size (by the median) are those of each block.
    """
    import scipy.signal

    block, ratio = round(CLICK_BLOCK_S * sample_rate), np.zeros(len(samples))
    for start in range(0, len(samples) - block + 1, block):
        begin = max(0, start - CLICK_ORDER)
        part = samples[begin : start + block]
        if not part.any():
            continue
        limit = 6 * np.median(np.abs(part)) + 1e-9
        error = scipy.signal.lfilter(estimate_predictor(np.clip(part, -limit, limit), CLICK_ORDER), [1.0], part)
        error = np.abs(error[start - begin :])
        ratio[start : start + block] = error / (1.4826 * np.median(error) + 1e-5)
    return ratio


def isolation(samples: np.ndarray, first: int, last: int, sample_rate: int) -> float:
    """How far a part deviates from a prediction, over what follows it.

    The prediction from the sound before goes on through the part. What follows a click agrees with it, what follows an
    attack does not.
    """
    before, after = round(BEFORE_CLICK_S * sample_rate), round(AFTER_CLICK_S * sample_rate)
    context, true = samples[max(0, first - before) : first], samples[first : last + after].astype(np.float64)
    if len(context) < before // 2 or len(true) < last - first + after:
        return 0.0
    deviation = true - extrapolate(context.astype(np.float64), len(true), sample_rate)
    size = last - first
    return float(np.abs(deviation[:size]).max() / (np.sqrt((deviation[size:] ** 2).mean()) + 1e-4))


def find_clicks(waveform: np.ndarray, sample_rate: int) -> list[Damage]:
    """Find clicks in (channels, samples).

    They are short errors of a linear prediction that no attack follows.
    """
    ratio = np.max([prediction_error(channel, sample_rate) for channel in waveform.astype(np.float64)], axis=0)
    join, margin = round(JOIN_S * sample_rate), round(CLICK_MARGIN_S * sample_rate)
    found = []
    for first, last in join_runs(find_runs(ratio > CLICK_RATIO), join):
        start, end = max(0, first - margin), min(len(ratio), last + margin)
        is_short = (last - first) / sample_rate <= LONGEST_CLICK_S
        if is_short and max(isolation(channel, start, end, sample_rate) for channel in waveform) > ISOLATION:
            found.append(Damage(start / sample_rate, end / sample_rate, CLICK))
    return found


def find_bursts(waveform: np.ndarray, sample_rate: int) -> list[Damage]:
    """Find short noise that covers the music, (channels, samples)."""
    import librosa

    hop, length = round(BURST_HOP_S * sample_rate), round(BURST_FRAME_S * sample_rate)
    power = np.abs(librosa.stft(waveform.mean(0), n_fft=length, hop_length=hop)) ** 2 + 1e-10
    hz = np.fft.rfftfreq(length, 1 / sample_rate)
    power = power[(hz >= BURST_BAND_HZ[0]) & (hz <= BURST_BAND_HZ[1])]
    flatness = np.exp(np.log(power).mean(0)) / power.mean(0)
    level = 10 * np.log10(power.mean(0))
    reach, found = round(0.05 / BURST_HOP_S), []
    for first, last in join_runs(find_runs(flatness > BURST_FLATNESS), 2):
        seconds = (last - first) * BURST_HOP_S
        sides = np.concatenate([level[max(0, first - reach) : max(0, first - 4)], level[last + 4 : last + reach]])
        stands_out = sides.size and np.median(level[first:last]) > sides.max() + BURST_RISE_DB
        if stands_out and SHORTEST_BURST_S <= seconds <= LONGEST_BURST_S:
            edges = (first * hop - length // 2, last * hop + length // 2)
            start, end = max(0, edges[0]), min(waveform.shape[1], edges[1])
            found.append(Damage(start / sample_rate, end / sample_rate, BURST))
    return found


def join_runs(runs: list[tuple[int, int]], distance: int) -> list[tuple[int, int]]:
    """Join runs that are at most ``distance`` apart."""
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and first - joined[-1][1] <= distance:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def find_damage(waveform: np.ndarray, sample_rate: int) -> list[Damage]:
    """Find damaged parts, in order of time and without overlaps.

    Args:
        waveform: (channels, samples) in [-1, 1].
    """
    finders = (find_dropouts, find_bursts, find_clipped, find_clicks)
    found = [damage for find in finders for damage in find(waveform, sample_rate)]
    kept: list[Damage] = []
    for damage in sorted(found, key=lambda one: (one.start_s, -one.end_s)):
        if kept and damage.start_s <= kept[-1].end_s + JOIN_S:
            last = kept[-1]
            longer = max(last, damage, key=lambda one: one.end_s - one.start_s)
            kept[-1] = Damage(last.start_s, max(last.end_s, damage.end_s), longer.kind)
        else:
            kept.append(damage)
    return kept
