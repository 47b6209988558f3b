import os
import subprocess
import sys

import pytest

from stylediff import process
from tests.helpers.files import ROOT


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")
        del os.environ[name]


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_idle_threads_sleep_soon_unless_it_was_set_otherwise(monkeypatch, name):
    process.prepare_process()
    assert os.environ["GOMP_SPINCOUNT"] == process.SPIN_COUNT
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv(name, "7")
    process.prepare_process()
    assert os.environ[name] == "7"
    assert os.environ.get("GOMP_SPINCOUNT") in (None, "7")


def test_numba_gets_a_folder_only_where_it_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "cache_places", lambda: [tmp_path / "none", tmp_path])
    process.prepare_process()
    assert "NUMBA_CACHE_DIR" not in os.environ
    monkeypatch.setattr(process, "cache_places", lambda: [tmp_path / "none"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process.prepare_process()
    assert os.access(os.environ["NUMBA_CACHE_DIR"], os.W_OK)


def test_blank_and_bad_variables_are_defaults_or_a_sentence():
    program = (
        "from stylediff.page.environment import read_number as r; print(r('A', 60, 0.5), r('B', 1, 1), r('C', 3, 1))"
    )
    variables = {**os.environ, "A": " ", "B": "many", "C": "5"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["60", "1", "5.0"]
    assert done.stderr == "B must be a number of at least 1, got 'many'; 1 is used\n"
