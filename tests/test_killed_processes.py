"""Processes that are killed, run again."""

import subprocess
import sys

import pytest

from tests.helpers.files import ROOT


@pytest.mark.slow
def test_killed_work_finishes_to_the_same_bytes_when_it_is_run_again():
    # In a separate process, because it forks.
    command = [sys.executable, "-m", "tests.tools.kill_processes", "--kills", "6", "--seed", "26"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("6 kills, 0 wrong\n"), done.stdout + done.stderr[-2000:]
    assert done.returncode == 0
