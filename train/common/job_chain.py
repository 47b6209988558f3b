"""Run a chain of commands and skip those whose result exists.

Each job prints what it does, how long it took and what it made.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.common.cli import to_flags
from train.common.files import write_atomically


class JobError(RuntimeError):
    """A failed job; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command.

    Attributes:
        name: name of the job.
        does: description in one sentence.
        command: command of ``python -m train``.
        settings: arguments by name.
        result: file that it writes.
        is_trainer: True if several processes can share the work.
        minutes: time budget, passed as ``--budget-minutes`` (0: none).

    Examples:
        >>> from pathlib import Path
        >>> from train.common.job_chain import Job
        >>> job = Job(name="mels", does="Caches.", command="cache-mels", settings={"data": "set"}, result=Path("mels"))
        >>> job.flags()
        ['--data', 'set']
    """

    name: str
    does: str
    command: str
    settings: dict[str, Any] = field(default_factory=dict)
    result: Path
    is_trainer: bool = False
    minutes: float = 0.0

    def flags(self) -> list[str]:
        """Arguments on the command line."""
        budget = {"budget_minutes": round(self.minutes, 4)} if self.minutes else {}
        return to_flags(self.settings | budget)

    def command_line(self) -> list[str]:
        """Command line of the process to start."""
        launcher = accelerate_launcher() if self.is_trainer else []
        return [sys.executable, "-m", *launcher, "train", self.command, *self.flags()]


def accelerate_launcher() -> list[str]:
    """Return the launcher's command line for several processes.

    It is empty if one process is enough.

    Several processes are used on several GPUs, or as set by ``accelerate config``. For one process the launcher would
    only add its start-up time.
    """
    import torch  # slow, and not needed to parse a recipe's arguments
    from accelerate.commands.config.config_args import default_config_file

    words = ["accelerate.commands.launch"]
    if not Path(default_config_file).is_file():
        processes = torch.cuda.device_count()
        if processes < 2:
            return []
        words += ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1"]
        words += [
            "--mixed_precision",
            "no",
            "--dynamo_backend",
            "no",
        ]  # the launcher's defaults, set here because it warns about them otherwise
    # By default, accelerate gives a process on CPUs one thread.
    return [*words, "--num_cpu_threads_per_process", str(torch.get_num_threads()), "-m"]


def show_seconds(seconds: float) -> str:
    """Format a duration in seconds, or in minutes from two minutes on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def run_process(job: Job) -> int:
    """Run a job in its own process; return the exit code."""
    return subprocess.run(job.command_line(), check=False).returncode


def run_job(job: Job, label: str) -> float:
    """Run a job's command, and return the seconds it took.

    Args:
        label: number and name of the job, for the log.

    Raises:
        JobError: the job failed; rerunning resumes it.
    """
    budget = f" Budget: {show_seconds(60 * job.minutes)}." if job.minutes else ""
    print(f"== {label}. {job.does}{budget}", flush=True)
    started = time.monotonic()
    if run_process(job):
        raise JobError(f"stage '{job.name}' failed (see above). Fix the problem and rerun the same command to resume.")
    seconds = time.monotonic() - started
    made = job.result.parent
    size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    print(f"== {label}: {show_seconds(seconds)}, made {made} ({size / 1e6:.1f} MB)", flush=True)
    return seconds


def run_jobs(jobs: list[Job], out: Path) -> None:
    """Run all unfinished jobs.

    A job is finished if ``finished.json`` in ``out`` lists it and its result exists.

    Raises:
        JobError: a job failed.
    """
    path = out / "finished.json"
    seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    for number, job in enumerate(jobs, start=1):
        label = f"{number}/{len(jobs)} {job.name}"
        if job.name in seconds and job.result.is_file():
            print(f"== {label}: done", flush=True)
            continue
        seconds[job.name] = round(run_job(job, label), 1)
        write_atomically(path, json.dumps(seconds))
    print("\n".join(summary_lines(jobs, seconds)), flush=True)


def summary_lines(jobs: list[Job], seconds: dict[str, float]) -> list[str]:
    """Table of the jobs' times and budgets, one line each.

    The last line has the totals.
    """
    width = max(len(job.name) for job in jobs)
    lines = ["", f"{'':{width}} {'seconds':>8} {'budget':>8}"]
    for job in jobs:
        budget = f"{60 * job.minutes:.0f}" if job.minutes else ""
        lines.append(f"{job.name:{width}} {seconds[job.name]:8.0f} {budget:>8}".rstrip())
    total, budgets = sum(seconds[job.name] for job in jobs), sum(60 * job.minutes for job in jobs)
    return [*lines, f"{'total':{width}} {total:8.0f} {f'{budgets:.0f}' if budgets else '':>8}".rstrip()]
