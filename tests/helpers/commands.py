"""Commands of the training, called within the test's process."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from train.__main__ import COMMANDS
from train.trainers.base_settings import Settings, add_settings, read_settings


def command(name: str) -> Callable[[Sequence[str]], int]:
    """Return a function that runs a command and returns its exit code."""
    return partial(COMMANDS[name].run)


def jobs_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run jobs within this process, because to start one takes longer than most of their work."""
    monkeypatch.setattr("train.common.job_chain.run_process", lambda job: command(job.command)(job.flags()))


def settings_from(cls: type[Settings], arguments: Sequence[str]) -> Settings:
    """Parse a trainer's settings from flags."""
    parser = argparse.ArgumentParser()
    add_settings(parser, cls)
    return read_settings(cls, parser.parse_args(arguments))
