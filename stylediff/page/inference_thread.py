"""Long-lived threads that run the model for the page.

There is one thread for each conversion that may run at the same time.

OpenMP keeps a thread pool for each thread that computes in parallel. Idle pool threads wait actively only while all
pools together fit the cores; beyond that, every small operation has to wake them. So the model is loaded and used in
the same threads, and all other threads compute on one core.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from typing import TypeVar

import torch

from stylediff.page.environment import read_number
from stylediff.page.zero_gpu import FORKS

CONCURRENCY = int(read_number("STYLEDIFF_CONCURRENCY", 1, 1))  # conversions at the same time
MODEL = {"concurrency_limit": CONCURRENCY, "concurrency_id": "model"}  # shared by all events that run the model

# Shared by all others. Listeners outside the queue are no alternative: their errors reach no visitor.
LIGHT = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
IN_BROWSER = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}  # without a function here

Result = TypeVar("Result")
Job = Callable[[], None]


def work_off(jobs: "queue.SimpleQueue[Job]", cores: int) -> None:
    """Run jobs from a queue in turn, on a number of cores."""
    torch.set_num_threads(cores)
    torch.get_num_threads()  # until a thread has asked, it takes the number set last in any thread
    while True:
        jobs.get()()


@lru_cache(maxsize=1)
def open_queue() -> "queue.SimpleQueue[Job]":
    """Return the queue of the threads and start them with it.

    They start in the first process that computes, which may be a fork.
    """
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for _ in range(CONCURRENCY):
        threading.Thread(target=work_off, args=(jobs, torch.get_num_threads()), daemon=True).start()
    return jobs


def compute(function: Callable[[], Result]) -> "Future[Result]":
    """Run a function in a long-lived thread and return its result."""
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # any error goes to the caller that waits for the result
            future.set_exception(error)

    open_queue().put(work)
    return future


def load_apart(load: Callable[[], Result]) -> Result:
    """Run ``load`` in a long-lived thread and return its result.

    After that, this thread and later ones use one core each.

    If conversions run in forks of this process, which its threads do not reach, ``load`` runs in the calling thread.
    """
    if FORKS:
        return load()
    loaded = compute(load).result()
    torch.set_num_threads(1)
    return loaded
