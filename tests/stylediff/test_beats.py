"""Beats, and the lock under which librosa's functions are compiled."""

import threading

import numpy as np
import pytest
from filelock import FileLock

from stylediff import beats
from stylediff.beats import compile_tracker, lock_path, track_beats


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    compile_tracker.cache_clear()


def test_beats_of_a_pulse_are_found():
    onsets = np.tile([1.0] + 21 * [0.0], 20)  # every half second
    found = track_beats(onset_envelope=onsets, sr=22050, hop_length=512)
    assert len(found) >= 18
    assert np.diff(found) == pytest.approx(22, abs=1)


def test_the_first_call_waits_for_another_process():
    thread = threading.Thread(target=compile_tracker)
    with FileLock(lock_path()):
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(60)
    assert not thread.is_alive()


def test_without_a_lock_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing" / "folder"))
    monkeypatch.setattr(beats, "LONGEST_WAIT_S", 0.1)
    compile_tracker()
    (tmp_path / "file").touch()
    compile_tracker.cache_clear()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    compile_tracker()
