"""Damage of known place and kind, and music without any."""

import numpy as np
import pytest

from stylediff.audio import read_audio
from stylediff.damage import BURST, CLICK, CLIPPED, DROPOUT, find_damage
from tests.helpers.files import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.flac"))


def music():
    samples, rate = read_audio(ROOT / "examples" / "violin_minuet.flac")
    return samples + 1e-4 * np.random.default_rng(0).standard_normal(samples.shape).astype(np.float32), rate


def only_one(waveform, rate, kind, at_s, within_s=0.01):
    [found] = find_damage(waveform, rate)
    assert found.kind == kind
    assert found.start_s == pytest.approx(at_s, abs=within_s)
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_is_found_where_nothing_is_wrong(path):
    samples, rate = read_audio(path)
    assert find_damage(samples, rate) == []


@pytest.mark.parametrize("milliseconds", [3, 30, 300])
def test_a_dropout_is_found_to_the_sample(milliseconds):
    waveform, rate = music()
    first, last = 40000, 40000 + round(milliseconds * rate / 1000)
    waveform[:, first:last] = 0
    found = only_one(waveform, rate, DROPOUT, first / rate, 0.001)
    assert found.end_s == pytest.approx(last / rate, abs=0.001)


def test_a_rest_is_no_dropout():
    waveform, rate = music()
    fade = np.linspace(1, 0, rate // 10)
    waveform[:, 40000 : 40000 + len(fade)] *= fade
    waveform[:, 40000 + len(fade) : 60000] = 0
    assert find_damage(waveform, rate) == []


def test_a_click_is_found():
    waveform, rate = music()
    waveform[:, 50000:50004] += np.array([0.4, -0.5, 0.3, -0.1])
    found = only_one(waveform, rate, CLICK, 50000 / rate)
    assert found.start_s <= 50000 / rate <= 50004 / rate <= found.end_s
    assert found.end_s - found.start_s < 0.005


def test_a_clipped_run_is_found():
    waveform, rate = music()
    waveform /= np.abs(waveform).max()
    waveform = np.clip(waveform, -0.5, 0.5)
    found = find_damage(waveform, rate)
    assert {one.kind for one in found} == {CLIPPED}
    assert len(found) > 3


def test_a_noise_burst_is_found():
    waveform, rate = music()
    burst = 0.3 * np.random.default_rng(0).standard_normal(round(0.1 * rate))
    waveform[:, 60000 : 60000 + len(burst)] += burst.astype(np.float32)
    found = only_one(waveform, rate, BURST, 60000 / rate, 0.03)
    assert found.end_s == pytest.approx(60000 / rate + 0.1, abs=0.03)


def test_silence_is_not_damaged():
    assert find_damage(np.zeros((2, 30000), np.float32), 22050) == []
