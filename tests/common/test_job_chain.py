"""Jobs: finished ones are skipped, each reports its result, failures are named."""

import json
import sys
from pathlib import Path

import pytest
import torch

from train.common import job_chain
from train.common.cli import to_flags
from train.common.job_chain import Job, JobError, run_jobs


def job(name: str, folder: Path, command: str = "no_such_command", **settings: object) -> Job:
    return Job(name=name, does="Does nothing.", command=command, settings=settings, result=folder / name / "done")


@pytest.fixture
def accelerate_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of accelerate's configuration, which is missing; there is no GPU."""
    from accelerate.commands.config import config_args

    monkeypatch.setattr(config_args, "default_config_file", str(tmp_path / "default_config.yaml"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    return tmp_path / "default_config.yaml"


def test_settings_are_flags() -> None:
    settings = {"batch_size": 8, "widths": (4, 8), "decoder_only": True, "enhance": False, "out": Path("run")}
    flags = ["--batch-size", "8", "--widths", "4", "8", "--decoder-only", "--no-enhance", "--out", "run"]
    assert to_flags(settings) == flags


def test_a_command_that_fails_raises_with_its_name(tmp_path: Path) -> None:
    nonsense = job("nonsense", tmp_path)
    assert nonsense.command_line() == [sys.executable, "-m", "train", "no_such_command"]
    with pytest.raises(JobError, match=r"stage 'nonsense' failed \(see above\)"):
        run_jobs([nonsense], tmp_path)
    assert not (tmp_path / "finished.json").exists()


def test_a_trainer_in_one_process_is_started_without_a_launcher(tmp_path: Path, accelerate_config: Path) -> None:
    trainer = Job(name="v", does="", command="vocoder", settings={"steps": 3}, result=tmp_path, is_trainer=True)
    assert trainer.command_line()[1:] == ["-m", "train", "vocoder", "--steps", "3"]


def test_accelerates_configuration_starts_trainers_with_all_threads(tmp_path: Path, accelerate_config: Path) -> None:
    accelerate_config.write_text("")
    trainer = Job(name="v", does="", command="vocoder", result=tmp_path, is_trainer=True, minutes=2)
    words = trainer.command_line()
    assert words[1:3] == ["-m", "accelerate.commands.launch"]
    assert words[words.index("--num_cpu_threads_per_process") + 1] == str(torch.get_num_threads())
    assert words[-5:] == ["-m", "train", "vocoder", "--budget-minutes", "2"]
    assert "accelerate.commands.launch" not in job("mels", tmp_path).command_line()


def test_each_gpu_gets_a_process(tmp_path: Path, accelerate_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    words = Job(name="v", does="", command="vocoder", result=tmp_path, is_trainer=True).command_line()
    assert words[words.index("--num_processes") + 1] == "4"


def test_finished_jobs_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    done, left = (job(name, tmp_path) for name in ("done", "left"))
    done.result.parent.mkdir()
    done.result.write_text("")
    (tmp_path / "finished.json").write_text('{"done": 3.0}')
    with pytest.raises(JobError, match="left"):
        run_jobs([done, left], tmp_path)
    assert "== 1/2 done: done" in capsys.readouterr().out


def test_the_result_of_a_failed_command_does_not_count_as_finished(tmp_path: Path) -> None:
    half = job("half", tmp_path)
    half.result.parent.mkdir()
    half.result.write_text("")
    with pytest.raises(JobError, match="half"):
        run_jobs([half], tmp_path)
    assert not (tmp_path / "finished.json").exists()


def test_a_job_says_what_it_does_how_long_it_took_and_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Jobs run as processes and once only; a deleted result is made again."""
    names = ("one", "two")
    plan = [job(name, tmp_path) for name in names]
    write = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.parent.mkdir(exist_ok=True); p.write_text('x' * 2000)"
    )
    monkeypatch.setattr(Job, "command_line", lambda self: [sys.executable, "-c", write, str(self.result)])
    for _ in range(2):
        run_jobs(plan, tmp_path)
    shown = capsys.readouterr().out
    assert shown.count("== 1/2 one. Does nothing.\n") == 1
    assert f", made {tmp_path / 'one'} (0.0 MB)" in shown
    assert [line.split()[0] for line in shown.splitlines()[-3:-1]] == list(names)
    seconds = json.loads((tmp_path / "finished.json").read_text())
    assert list(seconds) == ["one", "two"]
    assert all(0 <= value < 60 for value in seconds.values())
    plan[1].result.unlink()
    run_jobs(plan, tmp_path)
    assert plan[1].result.is_file()


def test_durations_are_readable() -> None:
    assert [job_chain.show_seconds(seconds) for seconds in (3.4, 119.0, 150.0)] == ["3 s", "119 s", "2.5 minutes"]
