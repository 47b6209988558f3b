"""Time a conversion alone and beside busy loops, for ways in which idle OpenMP threads wait.

python -m tests.tools.measure_wait_policy [--loops 2] [--runs 9]

The shipped model converts five seconds of sound, in turn with each policy, so that other load on the machine meets
all cases alike. The table has the medians and their ratio to the first row.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
from contextlib import contextmanager

from tests.helpers.files import ROOT

PROGRAM = """
import time

import torch

from stylediff.checkpoint import load_pipeline

pipeline = load_pipeline(device="cpu")
pipeline.set_progress_bar_config(disable=True)
waveform = 0.1 * torch.randn(5 * 22050, generator=torch.Generator().manual_seed(0))
print("ready", flush=True)
while input() == "go":
    started = time.perf_counter()
    pipeline(waveform, 22050, target="violin", num_inference_steps=4, generator=torch.Generator().manual_seed(0))
    print(time.perf_counter() - started, flush=True)
"""
SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
POLICIES = {
    "default": {},
    "active": {"OMP_WAIT_POLICY": "ACTIVE"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
} | {f"spin {count:,}": {"GOMP_SPINCOUNT": str(count)} for count in (1_000, 10_000, 50_000)}


class Converter:
    """A process that converts when asked, with a wait policy, and is stopped between conversions."""

    def __init__(self, policy: str, cores: int) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        environment = inherited | {"OMP_NUM_THREADS": str(cores)} | POLICIES[policy]
        command = [sys.executable, "-c", PROGRAM]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        self.process.stdout.readline()
        self.convert()  # the first conversion is slower

    def convert(self) -> float:
        """Convert once, and return the seconds."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        seconds = float(self.process.stdout.readline())
        self.process.send_signal(signal.SIGSTOP)  # its idle threads may spin
        return seconds

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def busy_loops(count: int):
    """Keep cores busy with processes that compute without end."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    args = parser.parse_args()
    cases = [(policy, loops) for loops in (0, args.loops) for policy in POLICIES]
    seconds: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    converters = {policy: Converter(policy, args.cores) for policy in POLICIES}
    for _ in range(args.runs):
        for policy, loops in cases:
            with busy_loops(loops):
                seconds[policy, loops].append(converters[policy].convert())
            print(f"{policy}, {loops} loops: {seconds[policy, loops][-1]:.2f} s", file=sys.stderr, flush=True)
    for converter in converters.values():
        converter.close()
    first = statistics.median(seconds[cases[0]])
    print("| policy | busy loops | median, s | least, s | ratio |\n|---|---|---|---|---|")
    for policy, loops in cases:
        times = seconds[policy, loops]
        middle = statistics.median(times)
        print(f"| {policy} | {loops} | {middle:.2f} | {min(times):.2f} | {middle / first:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
