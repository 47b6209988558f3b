"""Jobs on the model's thread that report steps and can be stopped."""

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from stylediff.page.conversions import Reporter, Step, StoppedError
from stylediff.page.inference_thread import compute

Result = TypeVar("Result")


def run_steps(job: Callable[[Reporter], Result], total: int) -> Generator[Step | Result, None, None]:
    """Yield each step of a job, and finally its result.

    Closing the iterator ends the job at its next step.

    Args:
        job: takes the callback to give to the pipeline.
        total: denoising steps of the job.
    """
    events: queue.Queue[Any] = queue.Queue()
    reporter = Reporter(
        total=total, frames=0, previews=0, events=events, stop=threading.Event(), started=time.monotonic()
    )

    def work() -> None:
        try:
            events.put((job(reporter),))
        except StoppedError:
            return
        except BaseException as error:  # whatever it is, it belongs to whoever waits for the result
            events.put(error)

    compute(work)
    try:
        while True:
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, tuple):
                yield event[0]
                return
            yield event
    finally:
        reporter.stop.set()  # and no wait for the running step, which would hold up the next click
