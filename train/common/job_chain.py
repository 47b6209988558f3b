"""Run a chain of commands and skip those whose result exists.

Trainers in the chain can share a time budget.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from train.common.files import write_atomically

PROBE_MINUTES = 1.0


class JobError(RuntimeError):
    """A stage that failed; the message names it."""


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        name: what it makes.
        command: of ``python -m train``.
        flags: its arguments, but for the steps of a trainer.
        result: a file that it leaves.
        run: folder of a trainer's run, whose steps a budget decides; None for other stages.
    """

    name: str
    command: str
    flags: list[str]
    result: Path
    run: Path | None = None

    def command_line(self, extra: list[str]) -> list[str]:
        import torch  # slow, and none of the recipe's arguments needs it

        # Left to itself, accelerate gives a process on CPUs one thread.
        threads = ["--num_cpu_threads_per_process", str(torch.get_num_threads())]
        launcher = ["accelerate.commands.launch", *threads, "-m"] if self.run else []
        return [sys.executable, "-m", *launcher, "train", self.command, *self.flags, *extra]


def run_job(job: Job, extra: list[str]) -> None:
    """Runs a stage's command.

    Raises:
        JobError: it failed; run again, it goes on there.
    """
    print(f"== {job.name}", flush=True)
    if subprocess.run(job.command_line(extra), check=False).returncode:
        raise JobError(f"the stage '{job.name}' failed; mend what it says and run the same command again")


def estimate_steps(job: Job, minutes: float) -> int:
    """Estimate the steps that fit into a number of minutes.

    The estimate comes from a short trial run in a scratch folder.

    The first steps are timed: a trainer whose later ones cost more, as the vocoder's do, takes longer.
    """
    import torch

    assert job.run is not None
    scratch = job.run.with_name(f"{job.run.name}.trial")
    shutil.rmtree(scratch, ignore_errors=True)
    flags = [str(scratch) if flag == str(job.run) else flag for flag in job.flags]
    tried = min(PROBE_MINUTES, minutes / 10)
    probe = Job(f"{job.name}: timing", job.command, flags, scratch, scratch)
    run_job(probe, ["--minutes", str(tried)])
    steps = torch.load(scratch / "checkpoint.pt", map_location="cpu", weights_only=True)["step"]
    shutil.rmtree(scratch)
    # A trainer counts its minutes from its first step, without what it loads.
    return max(1, int(steps * minutes / tried))


def planned_steps(job: Job, minutes: float, out: Path) -> list[str]:
    """Return the ``--steps`` flag of a trainer with a time budget.

    The number is decided once and kept in ``out`` for later resumptions.

    Other stages get none, and nor does a trainer without limit, which is 0.
    """
    if not minutes or job.run is None:
        return []
    path = out / "steps.json"
    plan = json.loads(path.read_text()) if path.is_file() else {}
    if job.name not in plan:
        plan[job.name] = estimate_steps(job, minutes)
        write_atomically(path, json.dumps(plan))
    return ["--steps", str(plan[job.name])]


def run_jobs(jobs: list[Job], minutes: dict[str, float], out: Path) -> None:
    """Run every job that is not finished yet.

    A job is finished if ``finished.json`` in ``out`` says so and its result exists.

    Args:
        minutes: of trainers by the names of their stages; others run their default number of steps.

    Raises:
        JobError: a stage failed.
    """
    path = out / "finished.json"
    finished = json.loads(path.read_text()) if path.is_file() else []
    for job in jobs:
        if job.name in finished and job.result.is_file():
            print(f"== {job.name}: done", flush=True)
            continue
        run_job(job, planned_steps(job, minutes.get(job.name, 0.0), out))
        finished = [*dict.fromkeys([*finished, job.name])]
        write_atomically(path, json.dumps(finished))
