import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.commands import settings_from
from train.trainers.base_settings import SettingsError, TrainSettings


@dataclass(frozen=True, kw_only=True)
class ExampleSettings(TrainSettings):
    steps: int = 100
    batch_size: int = 4
    widths: tuple[int, ...] = (8, 16)
    mirror: bool = True


def test_flags_are_the_fields_and_defaults_the_published_run():
    settings = settings_from(ExampleSettings, ["--out", "run"])
    assert settings == ExampleSettings(out=Path("run"))
    arguments = "--out run --batch-size 8 --learning-rate 1e-3 --widths 4 8 12 --no-mirror --precision bf16"
    settings = settings_from(ExampleSettings, arguments.split())
    assert (settings.batch_size, settings.learning_rate, settings.widths) == (8, 1e-3, (4, 8, 12))
    assert (settings.mirror, settings.precision) == (False, "bf16")


@pytest.mark.parametrize("arguments", [[], ["--out", "run", "--steps", "many"], ["--out", "run", "--stepz", "1"]])
def test_wrong_flags_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        settings_from(ExampleSettings, arguments)
    assert exit_info.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_learning_rate_rises_stays_and_falls_to_a_tenth():
    settings = ExampleSettings(out=Path("run"), steps=100, learning_rate=1.0, warmup_steps=10, cooldown=0.3)
    rates = [settings.learning_rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10:70] == [1.0] * 60
    assert rates[85] == pytest.approx(0.5)
    assert rates[97:] == pytest.approx([0.1] * 3)


def test_short_runs_reach_the_peak_too():
    settings = ExampleSettings(out=Path("run"), steps=50, learning_rate=1.0, warmup_steps=200, cooldown=0.2)
    assert [settings.learning_rate_at(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_with_a_budget_the_learning_rate_follows_the_time() -> None:
    settings = ExampleSettings(out=Path("run"), steps=100, learning_rate=1.0, warmup_steps=10, cooldown=0.5)
    assert settings.learning_rate_at(0, 0.0) == pytest.approx(0.1), "the first step of ten"
    assert settings.learning_rate_at(4, 0.01) == pytest.approx(0.5)
    assert settings.learning_rate_at(1, 0.05) == pytest.approx(0.5), "few steps rise in a tenth of the time"
    assert settings.learning_rate_at(1, 0.3) == 1.0
    assert settings.learning_rate_at(5000, 0.75) == pytest.approx(0.5), "for any number of steps"
    assert settings.learning_rate_at(5000, 1.2) == pytest.approx(0.1)


def test_settings_are_recorded_as_json(tmp_path):
    ExampleSettings(out=tmp_path / "run", widths=(4, 8)).save()
    recorded = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert recorded["widths"] == [4, 8]
    assert recorded["out"] == str(tmp_path / "run")


def test_a_resumed_run_keeps_its_settings(tmp_path):
    ExampleSettings(out=tmp_path, batch_size=4).save()
    ExampleSettings(out=tmp_path, batch_size=4, minutes=3.0, log_every=7).save()
    with pytest.raises(SettingsError, match="was started with batch_size=4, not 8"):
        ExampleSettings(out=tmp_path, batch_size=8).save()
    with pytest.raises(SettingsError, match=r"was started with widths=\[8, 16\], not \[8\]"):
        ExampleSettings(out=tmp_path, widths=(8,)).save()
