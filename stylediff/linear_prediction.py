"""Linear prediction: fill short gaps of a waveform from both sides."""

import numpy as np

LEAST_ORDER, MOST_ORDER = 32, 1000
ORDER_S = 0.023  # order of the predictor, as a length of time
CONTEXT_S = 0.1  # on each side, from which it is estimated
JANSSEN_ITERATIONS = 3
LARGEST = 1.5  # of what is predicted, over the largest sample known
RIDGE = 1e-12  # keeps the equations solvable where tones are perfectly steady


def estimate_predictor(samples: np.ndarray, order: int) -> np.ndarray:
    """Coefficients (order + 1,) of the prediction error filter, by Burg's method.

    The first is 1. The filter is stable.
    """
    forward, backward = samples[1:].astype(np.float64), samples[:-1].astype(np.float64)
    filter_ = np.ones(1)
    for _ in range(order):
        energy = forward @ forward + backward @ backward
        reflection = -2 * (forward @ backward) / energy if energy > 1e-20 else 0.0
        extended = np.append(filter_, 0.0)
        filter_ = extended + reflection * extended[::-1]
        forward, backward = (forward + reflection * backward)[1:], (backward + reflection * forward)[:-1]
    return filter_


def choose_order(known: int, gap: int, sample_rate: int) -> int:
    """Return the order for a context of ``known`` samples and a gap."""
    most = min(round(ORDER_S * sample_rate), MOST_ORDER, max(LEAST_ORDER, known // 3), 3 * gap + LEAST_ORDER)
    return max(1, min(most, known - 2))


def extrapolate(context: np.ndarray, samples: int, sample_rate: int) -> np.ndarray:
    """Continue a waveform by its linear prediction, (samples,)."""
    import scipy.signal

    if len(context) < 4 or not context.any():
        return np.zeros(samples)
    order = choose_order(len(context), samples, sample_rate)
    filter_ = estimate_predictor(context, order)
    state = scipy.signal.lfiltic([1.0], filter_, context[::-1][:order])
    largest = LARGEST * np.abs(context).max()
    return scipy.signal.lfilter([1.0], filter_, np.zeros(samples), zi=state)[0].clip(-largest, largest)


def predict_both_sides(waveform: np.ndarray, first: int, last: int, sample_rate: int) -> np.ndarray:
    """Fill a gap by the predictions of both sides, crossfaded.

    Source: Kauppinen and Roth 2002.

    Args:
        waveform: (samples,) float64.
        first, last: first sample of the gap, and the one after its last.

    Returns:
        (last - first,).
    """
    reach, samples = round(CONTEXT_S * sample_rate), last - first
    before = extrapolate(waveform[max(0, first - reach) : first], samples, sample_rate)
    after = extrapolate(waveform[last : last + reach][::-1], samples, sample_rate)[::-1]
    share = np.sin((np.arange(samples) + 0.5) / samples * np.pi / 2) ** 2
    return before * (1 - share) + after * share


def interpolate(waveform: np.ndarray, first: int, last: int, sample_rate: int) -> np.ndarray:
    """Fill a short gap with the samples that fit a predictor best.

    The predictor and the samples are estimated in turn (Janssen, Veldhuis and Vries 1986). The arguments and the result
    are those of ``predict_both_sides``, whose result is where it starts from.
    """
    import scipy.linalg

    filled = waveform.astype(np.float64).copy()
    filled[first:last] = predict_both_sides(filled, first, last, sample_rate)
    reach, samples = round(CONTEXT_S * sample_rate), last - first
    begin, end = max(0, first - reach), min(len(filled), last + reach)
    order = choose_order(end - begin - samples, samples, sample_rate)
    gap = slice(first - begin, last - begin)
    part = filled[begin:end].copy()
    for _ in range(JANSSEN_ITERATIONS if np.ptp(part) > 0 else 0):
        filter_ = estimate_predictor(part, order)
        correlation = np.correlate(filter_, filter_, "full")[order:]  # of the coefficients
        kernel = np.concatenate([correlation[:0:-1], correlation])
        known = part.copy()
        known[gap] = 0
        right = -np.convolve(known, kernel, "full")[order : order + len(known)][gap]
        column = np.zeros(samples)
        column[: min(samples, order + 1)] = correlation[:samples]
        column[0] *= 1 + RIDGE
        part[gap] = scipy.linalg.solve_toeplitz(column, right)
    largest = 2 * np.abs(np.delete(filled[begin:end], np.arange(gap.start, gap.stop))).max(initial=0)
    is_usable = np.isfinite(part).all() and np.abs(part[gap]).max(initial=0) <= largest
    return part[gap].copy() if is_usable else filled[first:last].copy()
