"""Settings of a process, made before torch and librosa are imported."""

import importlib.util
import os
import tempfile
from pathlib import Path

SPIN_COUNT = "50000"  # turns before a thread sleeps, of GNU's OpenMP; its default is 300,000


def prepare_process() -> None:
    """Let idle threads sleep soon, and give numba a folder.

    OpenMP threads that spin while they wait take the cores from other processes. Threads that sleep at once take long
    to wake up. numba, which librosa imports, fails
    where neither its package's folder nor the home folder can be written. What is set already stays.
    """
    if not os.environ.get("OMP_WAIT_POLICY"):
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    if not os.environ.get("NUMBA_CACHE_DIR") and not any(map(is_writable, cache_places())):
        os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="stylediff_numba_")


def cache_places() -> list[Path]:
    """Folders that numba tries, one after another."""
    spec = importlib.util.find_spec("librosa")
    package = [] if spec is None or spec.origin is None else [Path(spec.origin).parent]
    return [*package, Path(os.environ.get("HOME") or "/nonexistent")]


def is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)
