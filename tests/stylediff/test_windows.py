import pytest
import torch

from stylediff.windows import crossfade, crossfade_weights, map_ring, map_windows, stream_windows, window_starts


@pytest.mark.parametrize("length", [5, 16, 17, 40, 100, 101])
def test_splitting_and_joining_changes_nothing(length):
    signal = torch.randn(2, 3, length)
    joined = map_windows(lambda window: window, signal, window=16, overlap=6)
    torch.testing.assert_close(joined, signal)


def test_windows_cover_the_signal_and_the_last_ends_with_it():
    starts = window_starts(100, window=16, overlap=6)
    covered = {position for start in starts for position in range(start, start + 16)}
    assert covered == set(range(100))
    assert starts[-1] == 84


def test_results_may_be_longer_by_a_constant_factor():
    signal = torch.arange(50.0)[None]
    stretched = map_windows(lambda window: window.repeat_interleave(4, dim=-1), signal, window=16, overlap=6)
    torch.testing.assert_close(stretched, signal.repeat_interleave(4, dim=-1))


def test_disagreeing_windows_fade_without_a_step():
    values = iter([0.0, 1.0])
    joined = map_windows(lambda window: torch.full_like(window, next(values)), torch.zeros(26), window=16, overlap=6)
    steps = joined.diff()
    assert steps.min() >= 0
    assert steps.max() < 0.2
    assert joined[0] == 0
    assert joined[-1] == 1


def test_a_short_signal_is_one_window_at_full_weight():
    assert window_starts(10, window=16, overlap=6) == [0]
    torch.testing.assert_close(crossfade_weights([0], 16, 6, 0), torch.ones(16))


def test_an_overlap_as_long_as_the_window_is_refused():
    with pytest.raises(ValueError, match="must be smaller"):
        window_starts(100, window=16, overlap=16)


def test_signals_fade_into_each_other() -> None:
    joined = crossfade(torch.zeros(2, 6), torch.ones(2, 5), 4)
    assert joined.shape == (2, 7)
    torch.testing.assert_close(joined[0], torch.tensor([0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1]))


@pytest.mark.parametrize("length", [3, 7, 8, 20, 33])
def test_a_ring_of_windows_is_the_identity_for_the_identity(length):
    signal = torch.randn(2, length)
    assert torch.allclose(map_ring(lambda part: part, signal, 8, 3), signal, atol=1e-6)


def test_what_follows_the_end_of_a_ring_is_its_beginning():
    def sees_the_next(part):
        return torch.nn.functional.pad(part[..., 1:], (0, 1))

    signal = torch.arange(32.0)
    inner = map_ring(lambda part: sees_the_next(part) * 1.0, signal, 16, 8)
    assert float(inner[-1]) == pytest.approx(0.0, abs=0.5)
    assert float(inner[10]) == pytest.approx(11.0, abs=0.5)


def test_a_ring_changes_its_length_by_a_factor():
    signal = torch.randn(1, 64)
    doubled = map_ring(lambda part: part.repeat_interleave(2, -1), signal, 16, 4, multiple=4)
    assert torch.allclose(doubled, signal.repeat_interleave(2, -1), atol=1e-6)


def test_a_ring_refuses_a_length_that_windows_do_not_fit():
    with pytest.raises(ValueError, match="cannot cover a ring of 30"):
        map_ring(lambda part: part, torch.zeros(30), 8, 3, multiple=4)


@pytest.mark.parametrize("length", [5, 16, 17, 40, 101])
@pytest.mark.parametrize("piece", [1, 7, 200])
@pytest.mark.parametrize("factor", [1, 4])
def test_a_signal_in_pieces_gives_the_results_of_the_whole(length, piece, factor):
    signal = torch.randn(2, length)

    def differs_by_place(window):
        ramp = torch.linspace(0, 1, window.shape[-1])
        return (window * ramp).repeat_interleave(factor, dim=-1)

    expected = map_windows(differs_by_place, signal, 16, 6)
    pieces = list(stream_windows(differs_by_place, signal.split(piece, dim=-1), length, 16, 6))
    assert torch.cat(pieces, dim=-1).equal(expected)


def test_pieces_come_before_the_end_of_the_signal():
    read = []

    def pieces():
        for number in range(10):
            read.append(number)
            yield torch.full((10,), float(number))

    stream = stream_windows(lambda window: window, pieces(), 100, 20, 5)
    assert next(stream).shape == (15,)
    assert read == [0, 1]
