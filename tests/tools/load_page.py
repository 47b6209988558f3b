"""Load the page with many callers: each gets a result, memory stays flat, and no file is left.

python -m tests.tools.load_page --callers 500
python -m tests.tools.load_page --conversions 1000 [--at-once 4] [--kept 20]

The page has a tiny model and runs in a process of its own. ``--callers`` all call at once, with room in the queue.
``--conversions`` is a soak: a few callers convert in turn, and results are kept for ``--kept`` seconds. The exit code
is 1 if a call got no result, memory grew by more than ``GROWTH_MIB``, or a file is left.
"""

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import TONE_RATE, write_tone

GROWTH_MIB = 100
WARM_UP = 20
SERVER = """
import sys, time
from stylediff.page import temp_folders
from stylediff.page.inference_thread import load_apart
from stylediff.page.layout import build_page
from tests.helpers.tiny_pipeline import tiny_pipeline

port, kept_s = int(sys.argv[1]), float(sys.argv[2])
temp_folders.KEPT_SECONDS = kept_s
page, options = build_page(load_apart(tiny_pipeline), [])
page.delete_cache = (kept_s, kept_s)
page.launch(server_name="127.0.0.1", server_port=port, quiet=True, **options)
"""


@dataclass
class Page:
    """A running page: its address, process, and folder of temporary files."""

    address: str
    process: "subprocess.Popen[bytes]"
    folder: Path

    def memory_mib(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))

    def count_files(self) -> int:
        return sum(path.is_file() for path in self.folder.rglob("*.*"))


@contextmanager
def serve(room: int, kept_s: float):
    """Run a page with room for callers in its queue."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"TMPDIR": scratch, "GRADIO_TEMP_DIR": f"{scratch}/gradio"}
        command = [sys.executable, "-c", SERVER, str(port), str(kept_s)]
        environment = os.environ | folders | {"STYLEDIFF_QUEUE": str(room), "GRADIO_ANALYTICS_ENABLED": "False"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        page = Page(f"http://127.0.0.1:{port}", process, Path(scratch))
        try:
            wait_for(page)
            yield page
        finally:
            process.kill()
            process.wait()


def wait_for(page: Page) -> None:
    """Wait until the page answers.

    Raises:
        RuntimeError: it ended, or did not answer for five minutes.
    """
    deadline = time.monotonic() + 300
    while page.process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{page.address}/gradio_api/startup-events", timeout=30)
            return
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError("the page did not start")


async def call(client: httpx.AsyncClient, page: Page, clip: bytes, seed: int) -> bool:
    """Upload a clip of one's own and convert it; return True if a result came back.

    Equal clips would share a file, which the page deletes when the first of them has expired.
    """
    api = f"{page.address}/gradio_api"
    own = clip[:-4] + seed.to_bytes(4, "little")
    [path] = (await client.post(f"{api}/upload", files={"files": ("clip.wav", own)})).json()
    source = {"path": path, "meta": {"_type": "gradio.FileData"}}
    sent = await client.post(f"{api}/call/convert", json={"data": [source, "harp", 1, 1.0, 1.0, seed]})
    if "event_id" not in sent.json():
        print(f"a call was refused with {sent.status_code}: {sent.text[:500]}")
        return False
    answer = await client.get(f"{api}/call/convert/{sent.json()['event_id']}")
    return "event: complete" in answer.text


async def call_all(page: Page, clip: bytes, seeds: list[int], at_once: int) -> int:
    """Convert with each seed, some at once; return the number of results."""
    turns = asyncio.Semaphore(at_once)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # servers end idle connections
    async with httpx.AsyncClient(timeout=3600, limits=limits) as client:

        async def take_turn(seed: int) -> bool:
            async with turns:
                try:
                    return await call(client, page, clip, seed)
                except httpx.TransportError as error:
                    print(f"a call ended with {error!r}")
                    return False

        return sum(await asyncio.gather(*(take_turn(seed) for seed in seeds)))


def load(count: int, at_once: int, kept_s: float, seed: int, warm_up: int = WARM_UP) -> list[str]:
    """Convert ``count`` times, print the figures, and return what went wrong.

    Args:
        warm_up: conversions before memory is measured first.
    """
    draw = random.Random(seed)
    seeds = [draw.randrange(2**31) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder, serve(at_once, kept_s) as page:
        clip = write_tone(Path(folder) / "clip.wav", round(0.6 * TONE_RATE)).read_bytes()
        own_files = page.count_files()  # the sounds of the tab "About"
        asyncio.run(call_all(page, clip, [draw.randrange(2**31) for _ in range(warm_up)], min(4, at_once)))
        before, started = page.memory_mib(), time.monotonic()
        results = asyncio.run(call_all(page, clip, seeds, at_once))
        seconds, grown = time.monotonic() - started, page.memory_mib() - before
        print(f"{results} of {count} results in {seconds:.0f} s, {at_once} at once")
        print(f"memory: {before:.0f} MiB before, {grown:+.0f} MiB after")
        wrong = [] if results == count else [f"{count - results} calls without a result"]
        wrong += [f"memory grew by {grown:.0f} MiB"] if grown > GROWTH_MIB else []
        return wrong + (find_leftovers(page, clip, kept_s, own_files) if kept_s < 600 else [])


def find_leftovers(page: Page, clip: bytes, kept_s: float, own_files: int) -> list[str]:
    """Return a sentence if there are more files than the page's own and those of one conversion."""
    most = page.count_files() - own_files
    time.sleep(2 * kept_s + 2)
    asyncio.run(call_all(page, clip, [0], 1))
    left = page.count_files() - own_files
    print(f"files: {most} at the end, {left} after one more conversion {2 * kept_s + 2:.0f} s later")
    return [f"{left} files are left"] if left > 4 else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=0)
    parser.add_argument("--conversions", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=4, help="callers of the soak")
    parser.add_argument("--kept", type=float, default=20.0, help="seconds that the soak's results are kept")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    wrong: list[str] = []
    if args.callers:
        wrong += load(args.callers, args.callers, 3600.0, args.seed)
    if args.conversions:
        wrong += load(args.conversions, args.at_once, args.kept, args.seed)
    print("\n".join(wrong) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
