"""Independent jobs in several processes, or in this one."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    job: Callable[[Item], Result], items: Sequence[Item], workers: int, chunk_size: int = 1
) -> Iterator[Result]:
    """Yield a job's results for all items, in order of completion.

    With one worker or one item, this process does the work. Each process computes on one thread, so that results do not
    depend on the number of workers.
    """
    if min(workers, len(items)) <= 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield from map(job, items)
        finally:
            torch.set_num_threads(threads)
        return
    with multiprocessing.get_context("spawn").Pool(workers, torch.set_num_threads, (1,)) as pool:
        yield from pool.imap_unordered(job, items, chunk_size)
