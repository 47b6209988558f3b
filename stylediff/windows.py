"""Overlapping windows over the last axis, and crossfades."""

from collections.abc import Callable, Iterable, Iterator

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


class Buffer:
    """Consecutive pieces of a signal, of which the first can be dropped.

    Positions count from the beginning of the signal.
    """

    def __init__(self) -> None:
        self.held = torch.empty(0)
        self.start = self.end = 0

    def append(self, piece: torch.Tensor) -> None:
        self.held = piece if self.end == self.start else torch.cat([self.held, piece], dim=-1)
        self.end += piece.shape[-1]

    def read(self, first: int, last: int) -> torch.Tensor:
        return self.held[..., first - self.start : last - self.start]

    def drop_until(self, position: int) -> None:
        self.held = self.held[..., position - self.start :].clone()
        self.start = position


def stream_windows(
    function: Callable[[torch.Tensor], torch.Tensor],
    pieces: Iterable[torch.Tensor],
    length: int,
    window: int,
    overlap: int,
) -> Iterator[torch.Tensor]:
    """Apply a function to overlapping windows of a signal in pieces.

    The results are those of ``map_windows``, in consecutive pieces: each is yielded as soon as no later window changes
    it, and no more of the signal is read until then.

    Args:
        function: (..., n) -> (..., n * factor).
        pieces: (..., n) of any lengths, together (..., length).
        length: of the whole signal.

    Yields:
        (..., n), together (..., length * factor).
    """
    source, starts = iter(pieces), window_starts(length, window, overlap)
    signal, totals, sums = Buffer(), torch.empty(0), torch.empty(0)
    for position, start in enumerate(starts):
        last = min(length, start + window)
        while signal.end < last:
            signal.append(next(source))
        result = function(signal.read(start, last))
        if len(starts) == 1:
            yield result
            return
        following = starts[position + 1] if position + 1 < len(starts) else length
        signal.drop_until(min(following, signal.end))
        scale = result.shape[-1] / window
        size, faded, finished = (round(value * scale) for value in (window, overlap, following - start))
        weights = crossfade_weights(starts, size, faded, position).to(result)
        missing = size - sums.shape[-1]
        if position == 0:
            totals, sums = result.new_zeros(*result.shape[:-1], size), result.new_zeros(size)
        else:
            totals, sums = (torch.nn.functional.pad(held, (0, missing)) for held in (totals, sums))
        totals = totals + result * weights
        sums = sums + weights
        yield totals[..., :finished] / sums[:finished]
        totals, sums = totals[..., finished:], sums[finished:]


def map_ring(
    function: Callable[[torch.Tensor], torch.Tensor], signal: torch.Tensor, window: int, overlap: int, multiple: int = 1
) -> torch.Tensor:
    """Applies a function to overlapping windows of a ring.

    Results are crossfaded. The windows wrap around: what follows the last value is the first one. A ring shorter than a
    window is seen several times in it. The function may change the length by a constant factor, as in ``map_windows``.

    Args:
        function: (..., n) -> (..., n * factor).
        signal: (..., length).
        multiple: windows start at multiples of this, which must divide the length.

    Returns:
        (..., length * factor).

    Raises:
        ValueError: the overlap is not smaller than the window, or ``multiple`` does not divide the length.
    """
    length = signal.shape[-1]
    if not 0 <= overlap < window or length % multiple:
        raise ValueError(f"cannot cover a ring of {length} by windows of {window}, {overlap} and {multiple}")
    count = -(-length // (window - overlap))
    steps = length // multiple
    total = sums = torch.empty(0)
    for start in (steps * number // count * multiple for number in range(count)):
        places = (start + torch.arange(window, device=signal.device)) % length
        result = function(signal[..., places])
        size = result.shape[-1]
        if total.numel() == 0:
            total = result.new_zeros(*result.shape[:-1], length * size // window)
            sums = result.new_zeros(total.shape[-1])
        weights = crossfade_weights([0, 0, 0], size, overlap * size // window, 1).to(result)
        into = (start * size // window + torch.arange(size, device=signal.device)) % total.shape[-1]
        total.index_add_(-1, into, result * weights)
        sums.index_add_(0, into, weights)
    return total / sums


def map_blocks(function: Callable[[slice], torch.Tensor], length: int, block: int, margin: int) -> torch.Tensor:
    """Make a long signal block by block, in bounded memory.

    Args:
        function: makes a slice of the signal, (..., samples). What it makes nearer than ``margin`` to an end of the
            slice, other than an end of the signal, is not used.
        length: of the signal.
        block: samples of a block; slices begin at multiples of it, less the margin.
        margin: samples on each side.

    Returns:
        (..., length).
    """
    whole = torch.empty(0)
    for first in range(0, length, block):
        last = min(length, first + block)
        begin = max(0, first - margin)
        part = function(slice(begin, min(length, last + margin)))
        if first == 0:
            whole = part.new_empty(*part.shape[:-1], length)
        whole[..., first:last] = part[..., first - begin : last - begin]
    return whole


def crossfade(first: torch.Tensor, second: torch.Tensor, overlap: int) -> torch.Tensor:
    """Join two signals with a crossfade.

    (..., n) and (..., m) become (..., n + m - overlap).

    The last values of the first fade into the first values of the second.
    """
    ramp = ((torch.arange(overlap) + 0.5) / overlap).to(first)
    faded = torch.lerp(first[..., -overlap:], second[..., :overlap], ramp)
    return torch.cat([first[..., :-overlap], faded, second[..., overlap:]], dim=-1)
