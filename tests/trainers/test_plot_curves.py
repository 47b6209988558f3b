"""Plots of training logs; repeated steps are plotted once."""

from pathlib import Path

import pytest
from torch.utils import tensorboard

from tests.helpers.commands import command
from train.trainers.plot_curves import plot_curves, read_curves

main = command("plot-curves")


def write_log(folder: Path, values: dict[int, float], name: str = "loss") -> None:
    writer = tensorboard.SummaryWriter(str(folder))
    for step, value in values.items():
        writer.add_scalar(name, value, step)
    writer.close()


def test_repeated_steps_count_once(tmp_path: Path) -> None:
    write_log(tmp_path / "log" / "first", {1: 5.0, 2: 4.0, 3: 3.0, 4: 9.0})
    write_log(tmp_path / "log" / "second", {3: 2.5, 5: 2.0})
    assert read_curves(tmp_path) == {"loss": ([1, 2, 3, 5], [5.0, 4.0, 2.5, 2.0])}


def test_runs_are_lines_and_scalars_are_panels(tmp_path: Path) -> None:
    for number in range(2):
        write_log(tmp_path / f"run{number}", {1: 1.0 + number, 2: 0.5})
    write_log(tmp_path / "run1", {2: 0.7}, "validation")
    figure = plot_curves({run.name: read_curves(run) for run in tmp_path.iterdir()}, ["loss", "validation"])
    assert [axes.get_title() for axes in figure.axes] == ["loss", "validation"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1]
    assert figure.axes[1].lines[0].get_ydata() == pytest.approx([0.7])
    runs = [str(tmp_path / "run0"), str(tmp_path / "run1")]
    assert main(["--run", *runs, "--scalar", "loss", "--out", str(tmp_path / "curves.png")]) == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_scalar_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_log(tmp_path, {1: 1.0})
    assert main(["--run", str(tmp_path), "--scalar", "los", "--out", str(tmp_path / "x.png")]) == 2
    assert "no run has logged 'los'; choose from loss" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["--run", str(tmp_path / "empty"), "--scalar", "loss", "--out", str(tmp_path / "x.png")]) == 2
    assert "has no training logs" in capsys.readouterr().err
