import json

import numpy as np
import pytest
import torch

from stylediff.audio import resample, to_mono
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.experiments.robustness import CLEAN, CONDITIONS, write_markdown

main = command("robustness")

RATE = 22050


def tone(hz: float = 440.0, seconds: float = 2.0) -> torch.Tensor:
    return 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * RATE)) / RATE)


def strongest_hz(waveform: torch.Tensor, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.numpy() * np.hanning(len(waveform))))
    return float(spectrum.argmax() * rate / len(waveform))


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_keeps_the_note_and_its_length_except_for_the_pace(name: str) -> None:
    recording = CONDITIONS[name](tone(), RATE)
    mono = to_mono(recording.waveform, recording.sample_rate, RATE)
    assert len(mono) == pytest.approx(2 * RATE / recording.pace, rel=0.05)
    assert strongest_hz(mono, RATE) == pytest.approx(440 * recording.pace, abs=2)
    assert (name == CLEAN) == (recording.waveform.shape == (2 * RATE,) and torch.equal(recording.waveform, tone()))


def test_conditions_have_the_stated_strength() -> None:
    clean = tone()
    assert CONDITIONS["40 cents sharp"](clean, RATE).pace == pytest.approx(2 ** (40 / 1200))
    noise = CONDITIONS["noise"](clean, RATE).waveform - clean
    assert 20 * float((noise.std() / clean.std()).log10()) == pytest.approx(-20, abs=0.2)
    hum = CONDITIONS["hum"](clean, RATE).waveform - clean
    assert 20 * float((hum.std() / clean.std()).log10()) == pytest.approx(-26, abs=0.2)
    assert strongest_hz(hum, RATE) == pytest.approx(50, abs=1)
    high = tone(6000)
    assert float(CONDITIONS["telephone"](high, RATE).waveform.std()) < 0.1 * float(high.std())
    eight = CONDITIONS["8 kHz"](high, RATE)
    assert eight.sample_rate == 8000
    assert float(resample(eight.waveform, 8000, RATE).std()) < 0.1 * float(high.std())
    assert CONDITIONS["stereo"](clean, RATE).waveform.shape == (2, 2 * RATE)


def test_the_table_names_the_conditions_below_the_limit() -> None:
    share = dict.fromkeys(CONDITIONS, 0.8) | {"room": 0.6}
    page = write_markdown([{"hardship": name, "frame_f": value} for name, value in share.items()])
    assert "| room | 0.600" in page
    assert "| 0.750 |" in page
    assert "these keep less than 0.85 of frame F: room." in page


@pytest.mark.slow
def test_a_case_is_measured_in_every_condition(dataset, tmp_path) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "model")
    arguments = ["--data", str(dataset[0]), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--clips", "1", "--workers", "1"]) == 0
    results = json.loads((tmp_path / "out" / "robustness.json").read_text())
    assert {result["hardship"] for result in results} == set(CONDITIONS)
    assert all(0 <= result["frame_f"] <= 1 for result in results)


def test_a_missing_data_set_is_reported(tmp_path, capsys) -> None:
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
