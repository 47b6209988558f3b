"""Measures of upper bands, and the command's page."""

import json

import numpy as np
import pytest
import soundfile
import torch

from stylediff.bandwidth import BandExtender
from tests.helpers.commands import command
from train.experiments.bandwidth import BRIGHT, HINTED, OURS, SILENCE, TRUE, Case, compare, measure

main = command("bandwidth")


def noise(seed: int) -> torch.Tensor:
    return 0.05 * torch.randn(88_064, generator=torch.Generator().manual_seed(seed))


def test_distance_and_level_of_noise():
    assert compare(noise(0), noise(0)) == (0.0, 0.0, 0.0)
    distance, without_floor, level = compare(noise(0), noise(1))
    assert 6 < distance < 9  # of two random spectra
    assert without_floor == pytest.approx(distance, rel=0.05)
    assert abs(level) < 0.3
    assert compare(torch.zeros(88_064), noise(0))[1] > 200
    assert compare(0.5 * noise(0), noise(0))[2] == pytest.approx(-6.02, abs=0.01)


def test_systems_rank_as_they_must_and_silent_bands_do_not_count():
    cases = [Case(one, None, None) for one in (noise(0), torch.zeros(88_064))]
    count, results = measure(cases, BandExtender(width=16, layers=1))
    assert count == 1
    assert results[TRUE][0] < results[SILENCE][0]
    assert results[TRUE][2] < 1
    assert results[SILENCE][2] > 20
    assert HINTED not in results  # there is no source
    assert results[BRIGHT] == results[OURS]  # nor a reference clip


def test_a_reference_clip_takes_the_level_nearer_to_the_truth():
    extender = BandExtender(width=16, layers=1)
    _, results = measure([Case(noise(0), noise(1), noise(2))], extender)
    assert results[BRIGHT][2] < results[OURS][2]
    assert results[HINTED] != results[OURS]


@pytest.mark.slow
def test_the_command_writes_a_page(scores, soundfonts, tmp_path):
    BandExtender(width=16, layers=1).save_pretrained(tmp_path / "extender")
    (tmp_path / "recordings" / "flute").mkdir(parents=True)
    for number in range(9):  # some of them are held out
        soundfile.write(tmp_path / "recordings" / "flute" / f"{number}.wav", np.tile(noise(number), 3), 44_100)
    arguments = ["--midi", str(scores), "--test-soundfont", str(soundfonts[2]), "--clips", "2"]
    arguments += ["--recordings", str(tmp_path / "recordings"), "--extender", str(tmp_path / "extender")]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    values = json.loads((tmp_path / "out" / "bandwidth.json").read_text())
    assert set(values) == {"unseen renders", "held-out recordings"}
    assert values["held-out recordings"]["clips"] > 0
    assert f"| {OURS} |" in (tmp_path / "out" / "bandwidth.md").read_text()
