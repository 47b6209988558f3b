from collections.abc import Callable

import numpy as np
import pytest
import torch

from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.notes import Note
from train.evaluation.metrics.notes import timely_share
from train.evaluation.metrics.sound import correlation, level_contour, mel_contour, momentary_loudness

RATE = 22050
SCORE = (Note(0.0, 0.5, 60, 80), Note(0.5, 1.0, 64, 80), Note(1.0, 1.5, 67, 80))


def detected(delays: list[float], pitches: list[int]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.array([0.0, 0.5, 1.0]) + delays
    return np.stack([starts, starts + 0.4], axis=1), np.array(pitches, dtype=float)


def test_onsets_count_only_for_detected_notes() -> None:
    assert timely_share(SCORE, *detected([0.01, 0.05, 0.02], [60, 64, 67])) == pytest.approx(2 / 3)
    assert timely_share(SCORE, *detected([0.01, 0.05, 0.02], [60, 64, 70])) == pytest.approx(1 / 2)
    assert timely_share(SCORE, *detected([0.2, 0.2, 0.2], [60, 64, 67])) is None
    assert timely_share((), *detected([0, 0, 0], [60, 64, 67])) is None
    assert timely_share(SCORE, np.zeros((0, 2)), np.zeros(0)) is None


def swell(seconds: float = 2.0, backwards: bool = False) -> torch.Tensor:
    """A tone that grows from -40 dB to 0 dB."""
    time = torch.arange(round(seconds * RATE)) / RATE
    level_db = -40 * (time / seconds if backwards else 1 - time / seconds)
    return 10 ** (level_db / 20) * torch.sin(2 * torch.pi * 440 * time)


def test_the_contour_is_the_level_in_db_over_a_floor() -> None:
    contour = level_contour(torch.cat([swell(), torch.zeros(RATE)]), RATE)
    assert len(contour) == 60
    assert float(contour[:40].diff().min()) > 0
    assert float(contour[50]) == pytest.approx(float(contour.max()) - 40)
    assert float(contour.max()) == pytest.approx(-3, abs=1)  # the power of a full sine is half


@pytest.mark.parametrize("seconds", [0.05, 0.4])
def test_the_contour_of_a_log_mel_is_that_of_its_sound(seconds: float) -> None:
    contour = mel_contour(waveform_to_mel(0.1 * swell()[None], MelConfig())[0, 0], seconds, MelConfig())
    assert len(contour) == {0.05: 170, 0.4: 18}[seconds]
    assert float(contour.max() - contour.min()) == pytest.approx({0.05: 39, 0.4: 32}[seconds], abs=2)
    expected = torch.linspace(float(contour[2]), float(contour[-3]), len(contour) - 4)
    torch.testing.assert_close(contour[2:-2], expected, atol=0.5, rtol=0)


def test_momentary_loudness_is_that_of_the_standard() -> None:
    # EBU Tech 3341 requires -23 LUFS for a stereo sine of -23 dBFS at 1 kHz; one channel has 3 dB less.
    time = torch.arange(2 * RATE) / RATE
    tone = 10 ** (-23 / 20) * torch.sin(2 * torch.pi * 1000 * time)
    loudness = momentary_loudness(torch.cat([tone, torch.zeros(RATE)]), RATE)
    assert len(loudness) == 27  # blocks of three seconds
    assert float(loudness[:17].mean()) == pytest.approx(-26, abs=0.2)
    assert float(loudness[-1]) == pytest.approx(float(loudness.max()) - 40)
    assert momentary_loudness(torch.zeros(100), RATE).tolist() == [-70]


@pytest.mark.parametrize("contour", [level_contour, momentary_loudness])
def test_contours_that_rise_together_correlate_and_opposite_ones_do_not(
    contour: Callable[[torch.Tensor, int], torch.Tensor],
) -> None:
    rising = contour(swell(), RATE)
    assert correlation(contour(0.1 * swell(), RATE), rising) == pytest.approx(1, abs=1e-3)
    assert correlation(contour(swell(backwards=True), RATE), rising) == pytest.approx(-1, abs=0.02)
    steady = torch.sin(2 * torch.pi * 440 * torch.arange(2 * RATE) / RATE)
    assert correlation(contour(steady, RATE), rising) is None
