"""Overlapping windows over the last axis, and crossfades."""

from collections.abc import Callable

import torch


def window_starts(length: int, window: int, overlap: int) -> list[int]:
    """Start positions of windows that cover ``length`` exactly.

    Raises:
        ValueError: the overlap is not smaller than the window.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"overlap {overlap} must be smaller than the window {window}")
    if length <= window:
        return [0]
    return [*range(0, length - window, window - overlap), length - window]


def crossfade_weights(starts: list[int], window: int, overlap: int, position: int) -> torch.Tensor:
    r"""Return the weights (window,) of one window, ramped over overlaps.

            _________
           /         \        window 0, 1, 2: where two overlap,
    ______/_\_______/_\____    their weights are normalised to one by `map_windows`
    """
    weights = torch.ones(window)
    ramp = (torch.arange(overlap) + 0.5) / max(1, overlap)
    if position > 0:
        weights[:overlap] = ramp
    if position < len(starts) - 1:
        weights[window - overlap :] = torch.minimum(weights[window - overlap :], ramp.flip(0))
    return weights


def map_windows(
    function: Callable[[torch.Tensor], torch.Tensor], signal: torch.Tensor, window: int, overlap: int
) -> torch.Tensor:
    """Apply a function to overlapping windows and crossfade its results.

    The function may change the length of the last axis by a constant factor, as encoding and decoding do.

    Args:
        function: (..., n) -> (..., n * factor).
        signal: (..., length).

    Returns:
        (..., length * factor).
    """
    length = signal.shape[-1]
    starts = window_starts(length, window, overlap)
    if len(starts) == 1:
        return function(signal)
    total = sums = torch.empty(0)
    for position, start in enumerate(starts):
        result = function(signal[..., start : start + window])
        scale = result.shape[-1] / window
        first, size, faded = (round(value * scale) for value in (start, window, overlap))
        if position == 0:
            total = result.new_zeros(*result.shape[:-1], round(length * scale))
            sums = result.new_zeros(total.shape[-1])
        weights = crossfade_weights(starts, size, faded, position).to(result)
        total[..., first : first + size] += result * weights
        sums[first : first + size] += weights
    return total / sums


def crossfade(first: torch.Tensor, second: torch.Tensor, overlap: int) -> torch.Tensor:
    """Join two signals with a crossfade.

    (..., n) and (..., m) become (..., n + m - overlap).

    The last values of the first fade into the first values of the second.
    """
    ramp = ((torch.arange(overlap) + 0.5) / overlap).to(first)
    faded = torch.lerp(first[..., -overlap:], second[..., :overlap], ramp)
    return torch.cat([first[..., :-overlap], faded, second[..., overlap:]], dim=-1)
