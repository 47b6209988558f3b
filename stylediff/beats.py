"""Beats of a recording, found by librosa."""

import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

LONGEST_WAIT_S = 120.0


def lock_path() -> Path:
    """Path of the lock that this user's processes share."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"stylediff-beats-{user}.lock"


@lru_cache(maxsize=1)
def compile_tracker() -> None:
    """Find beats once, so that librosa's functions are compiled.

    Two processes that compile them at the same moment can leave files that crash every later process, so one waits for
    the other. Where no lock can be made, or another process holds it for too long, it goes on without.
    """
    import librosa  # slow to import

    lock = FileLock(lock_path())
    with suppress(Timeout, OSError):
        lock.acquire(timeout=LONGEST_WAIT_S)
    try:
        librosa.beat.beat_track(onset_envelope=np.tile([1.0, 0.0, 0.0, 0.0], 32), trim=False)
    finally:
        lock.release()


def track_beats(**arguments: Any) -> np.ndarray:
    """Return the beats of a recording, untrimmed.

    They are those of ``librosa.beat.beat_track`` (Ellis 2007).

    Args:
        arguments: of librosa's function.
    """
    import librosa  # slow to import

    compile_tracker()
    return librosa.beat.beat_track(trim=False, **arguments)[1]
