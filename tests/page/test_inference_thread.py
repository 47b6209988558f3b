import subprocess
import sys
import threading

import pytest

from stylediff.page import inference_thread
from stylediff.page.inference_thread import compute, load_apart
from tests.helpers.files import ROOT

LOADING = """
import threading

import torch

from stylediff.page.inference_thread import compute, load_apart

cores = torch.get_num_threads()
loaded_in = load_apart(threading.get_ident)
later = []
thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
thread.start()
thread.join()
print(cores, compute(torch.get_num_threads).result(), torch.get_num_threads(), *later)
print(loaded_in == compute(threading.get_ident).result() != threading.get_ident())
"""


def test_jobs_run_in_turn_in_a_lasting_thread():
    first, second = compute(threading.get_ident).result(), compute(threading.get_ident).result()
    assert first == second != threading.get_ident()
    done: list[int] = []
    jobs = [compute(lambda number=number: done.append(number)) for number in range(20)]
    assert [job.result() for job in jobs] == [None] * 20
    assert done == [*range(20)]


def test_an_error_in_a_job_is_raised_to_the_caller():
    with pytest.raises(ZeroDivisionError):
        compute(lambda: 1 // 0).result()
    assert compute(lambda: 1).result() == 1


@pytest.mark.slow
def test_only_the_lasting_thread_computes_on_several_cores():
    done = subprocess.run([sys.executable, "-c", LOADING], cwd=ROOT, capture_output=True, text=True, check=True)
    numbers, is_same_thread = done.stdout.splitlines()
    cores, *others = map(int, numbers.split())
    assert others == [cores, 1, 1]
    assert is_same_thread == "True"


def test_with_forks_the_model_is_loaded_in_the_calling_thread(monkeypatch):
    monkeypatch.setattr(inference_thread, "FORKS", True)
    assert load_apart(threading.get_ident) == threading.get_ident()
