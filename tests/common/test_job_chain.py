"""Stages: what is done is passed over, budgets are decided once, failures are named."""

import json
import sys
from pathlib import Path

import pytest
import torch

from train.common import job_chain
from train.common.job_chain import Job, JobError, planned_steps, run_job, run_jobs


def test_steps_of_a_budget_are_decided_once(tmp_path: Path) -> None:
    job = Job("autoencoder", "autoencoder", [], tmp_path / "done", tmp_path / "run")
    (tmp_path / "steps.json").write_text(json.dumps({"autoencoder": 123}))
    assert planned_steps(job, 10.0, tmp_path) == ["--steps", "123"]
    assert planned_steps(job, 0.0, tmp_path) == []
    assert planned_steps(Job("latents", "cache-latents", [], tmp_path / "done"), 10.0, tmp_path) == []


def test_a_command_that_fails_raises_with_its_name(tmp_path: Path) -> None:
    job = Job("nonsense", "no_such_module", [], tmp_path / "done")
    assert job.command_line([])[:3] == [sys.executable, "-m", "train"]
    with pytest.raises(JobError, match="nonsense"):
        run_job(job, [])


def test_trainers_have_all_threads(tmp_path: Path) -> None:
    command = Job("vocoder", "vocoder", ["--flag"], tmp_path / "done", tmp_path / "run").command_line(["--steps", "3"])
    assert command[command.index("--num_cpu_threads_per_process") + 1] == str(torch.get_num_threads())
    assert command[-6:] == ["-m", "train", "vocoder", "--flag", "--steps", "3"]


def test_what_is_done_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    done, left = (Job(name, "no_such_module", [], tmp_path / name) for name in ("done", "left"))
    done.result.write_text("")
    (tmp_path / "finished.json").write_text('["done"]')
    with pytest.raises(JobError, match="left"):
        run_jobs([done, left], {}, tmp_path)
    assert "== done: done" in capsys.readouterr().out


def test_a_result_that_a_failing_command_left_is_not_taken_for_finished(tmp_path: Path) -> None:
    job = Job("half", "no_such_module", [], tmp_path / "half")
    job.result.write_text("")
    with pytest.raises(JobError, match="half"):
        run_jobs([job], {}, tmp_path)
    assert not (tmp_path / "finished.json").exists()


def test_a_command_that_ends_well_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    monkeypatch.setattr(job_chain, "run_job", lambda job, extra: (runs.append(job.name), job.result.write_text("")))
    plan = [Job(name, "module", [], tmp_path / name) for name in ("one", "two")]
    for _ in range(2):
        run_jobs(plan, {}, tmp_path)
    assert runs == ["one", "two"]
    plan[1].result.unlink()
    run_jobs(plan, {}, tmp_path)
    assert runs == ["one", "two", "two"]
