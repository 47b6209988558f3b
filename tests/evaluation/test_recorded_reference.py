import numpy as np
import pytest

from train.evaluation.recorded_reference import RecordedReference


def clips(count: int, seed: int, offset: float = 0.0, spread: float = 1.0) -> list[np.ndarray]:
    """Features of clips of three patches: three dimensions vary, the others are constant."""
    values = np.zeros((count, 3, 200))
    values[..., :3] = offset + spread * np.random.default_rng(seed).standard_normal((count, 3, 3))
    return list(values)


def test_the_distance_grows_with_a_shift_of_the_mean():
    reference = RecordedReference(clips(60, 0))
    assert reference.axes.shape == (200, 16)
    assert reference.distance(reference.clips) == pytest.approx(0, abs=1e-6)
    assert reference.distance(clips(60, 1)) < 0.3
    near, far = (reference.distance(clips(60, 1, offset)) for offset in (1.0, 2.0))
    assert near == pytest.approx(3, rel=0.2)  # three dimensions, each shifted by 1
    assert far == pytest.approx(12, rel=0.2)


def test_the_floor_is_between_zero_and_another_instrument():
    reference = RecordedReference(clips(24, 0))
    assert 0 < reference.floor < 0.5 < reference.distance(clips(24, 1, 1.0))
    assert RecordedReference(clips(24, 0)).floor == reference.floor


def test_a_small_reference_has_fewer_dimensions():
    assert RecordedReference(clips(8, 0)).axes.shape == (200, 6)


def test_too_few_clips_are_refused():
    with pytest.raises(ValueError, match="at least 4 clips, got 3"):
        RecordedReference(clips(3, 0))
