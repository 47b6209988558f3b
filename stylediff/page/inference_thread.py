"""Long-lived threads that run the model for the page.

There is one for each conversion that may run at the same time.

OpenMP keeps a pool of threads for each thread that computes in parallel, and idle members wait ready only while all
pools together fit the cores: after that every small operation waits for them to be woken. So the model is loaded and
used in the same threads, and all others compute on one core.
"""

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from typing import TypeVar

import torch

from stylediff.page.zero_gpu import FORKS

CONCURRENCY = int(os.environ.get("STYLEDIFF_CONCURRENCY", "1"))  # conversions at a time
MODEL = {"concurrency_limit": CONCURRENCY, "concurrency_id": "model"}  # what every listener that runs the model shares

Result = TypeVar("Result")
Job = Callable[[], None]


def work_off(jobs: "queue.SimpleQueue[Job]", cores: int) -> None:
    """Does jobs in turn, for ever, on that many cores."""
    torch.set_num_threads(cores)
    torch.get_num_threads()  # a thread that has never asked takes the number that is set last, wherever it is set
    while True:
        jobs.get()()


@lru_cache(maxsize=1)
def open_queue() -> "queue.SimpleQueue[Job]":
    """Return the queue of the threads, which start with it.

    They start in the process that first computes, which may be a fork.
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
        except BaseException as error:  # whatever it is, it belongs to whoever waits for the result
            future.set_exception(error)

    open_queue().put(work)
    return future


def load_apart(load: Callable[[], Result]) -> Result:
    """Run ``load`` in a long-lived thread and return its result.

    From then on this thread and later ones use one core each.

    Where conversions run in forks of this process, which its threads do not reach, it is run right here.
    """
    if FORKS:
        return load()
    loaded = compute(load).result()
    torch.set_num_threads(1)
    return loaded
