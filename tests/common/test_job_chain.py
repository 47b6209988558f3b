"""Jobs: finished ones are skipped, budgets become flags, failures are named."""

import sys
from pathlib import Path

import pytest

from train.common import job_chain
from train.common.job_chain import Job, JobError, run_job, run_jobs


def make_job(name: str, result: Path, command: str = "no_such_module", minutes: float = 0.0) -> Job:
    return Job(name=name, does="It does something.", command=command, result=result, minutes=minutes)


def test_a_budget_becomes_a_flag(tmp_path: Path) -> None:
    job = make_job("autoencoder", tmp_path / "done", "autoencoder", 2.5)
    assert job.flags() == ["--budget-minutes", "2.5"]
    assert make_job("latents", tmp_path / "done").flags() == []


def test_settings_become_flags(tmp_path: Path) -> None:
    settings = {"batch_size": 8, "widths": [4, 8]}
    job = Job(name="a", does="b", command="denoiser", settings=settings, result=tmp_path / "done")
    assert job.command_line() == [sys.executable, "-m", "train", "denoiser", "--batch-size", "8", "--widths", "4", "8"]


def test_a_command_that_fails_raises_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="stage 'nonsense' failed"):
        run_job(make_job("nonsense", tmp_path / "done"), "1/1 nonsense")


def test_what_is_done_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    done, left = (make_job(name, tmp_path / name) for name in ("done", "left"))
    done.result.write_text("")
    (tmp_path / "finished.json").write_text('{"done": 1.5}')
    with pytest.raises(JobError, match="left"):
        run_jobs([done, left], tmp_path)
    assert "== 1/2 done: done" in capsys.readouterr().out


def test_a_result_that_a_failing_command_left_is_not_taken_for_finished(tmp_path: Path) -> None:
    job = make_job("half", tmp_path / "half")
    job.result.write_text("")
    with pytest.raises(JobError, match="half"):
        run_jobs([job], tmp_path)
    assert not (tmp_path / "finished.json").exists()


def test_a_command_that_ends_well_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    runs = []

    def run(job: Job, label: str) -> float:
        runs.append(job.name)
        job.result.write_text("")
        return 7.0

    monkeypatch.setattr(job_chain, "run_job", run)
    plan = [make_job(name, tmp_path / name, minutes=1.0) for name in ("one", "two")]
    for _ in range(2):
        run_jobs(plan, tmp_path)
    assert runs == ["one", "two"]
    assert "in all" in capsys.readouterr().out
    plan[1].result.unlink()
    run_jobs(plan, tmp_path)
    assert runs == ["one", "two", "two"]
