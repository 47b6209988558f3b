"""Conversions that go on while their visitor's connection is broken."""

import html
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from stylediff.page.zero_gpu import FORKS

MOST_RUNS = 16
KEPT_SECONDS = 600.0
AWAITED_SECONDS = 60.0  # a conversion goes on without a visitor for as long
POLL_SECONDS = 0.5

# Unlike gradio's session, this name outlasts a reload of the tab. Some browsers allow frames no storage.
VISITOR = """() => {
  try {
    const draw = () => [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16)).join("");
    return sessionStorage.stylediff ??= draw();
  } catch { return ""; }
}"""

Updates = dict[str, Any]  # new values by name of an output


@dataclass
class Run:
    """A conversion of one visitor.

    Attributes:
        updates: the latest value of each output of the page.
        asked: when the visitor was last there, in seconds.
        goes_on: True if it goes on for a while after the visitor has left.
        is_done: True after the last update.
        is_stopped: True if the visitor wants no result.
    """

    updates: Updates = field(default_factory=dict)
    asked: float = field(default_factory=time.monotonic)
    goes_on: bool = True
    is_done: bool = False
    is_stopped: bool = False

    def follow(self, stream: Iterator[Updates]) -> Iterator[Updates]:
        """Yield and keep the updates of a conversion.

        If the visitor leaves, the conversion goes on in a thread. After Stop it ends with an update that changes
        nothing: gradio cancels by itself, but not a run that was started while it still waited for an earlier one.
        """
        is_left = False
        try:
            for updates in stream:
                if self.is_stopped:
                    stream.close()  # type: ignore[attr-defined]
                    yield {}
                    return
                self.updates |= updates
                yield updates
        except GeneratorExit:
            is_left = True
            threading.Thread(target=self.finish, args=(stream,), daemon=True).start()
            raise
        except gr.Error as error:
            self.updates = {"status": html.escape(error.message)}
            raise
        finally:
            if not is_left:
                self.is_done = True

    def finish(self, stream: Iterator[Updates]) -> None:
        """Keep the updates of a conversion that nobody receives, for a while."""
        self.asked = time.monotonic()
        try:
            with closing(stream):  # type: ignore[type-var]
                while self.goes_on and not self.is_stopped and time.monotonic() - self.asked < AWAITED_SECONDS:
                    self.updates |= next(stream)
        except StopIteration:
            pass
        except gr.Error as error:
            self.updates = {"status": html.escape(error.message)}
        finally:
            self.is_done = True

    def await_updates(self) -> Iterator[Updates]:
        """Yield the status until the conversion is done, then all updates."""
        while not self.is_done:
            self.asked = time.monotonic()
            yield {name: value for name, value in self.updates.items() if name == "status"}
            time.sleep(POLL_SECONDS)
        yield self.updates


class KeptRuns:
    """The latest conversion of each of the last visitors."""

    def __init__(self) -> None:
        self.runs: OrderedDict[str, Run] = OrderedDict()
        self.lock = threading.Lock()

    def start(self, visitor: str) -> Run:
        """Return a new run.

        That of a visitor without a name ends when the visitor leaves, and so does one in a fork.
        """
        run = Run(goes_on=bool(visitor) and not FORKS)
        with self.lock:
            if visitor:
                self.runs.pop(visitor, None)
                self.runs[visitor] = run
            while len(self.runs) > MOST_RUNS:
                self.runs.popitem(last=False)
        return run

    def find(self, visitor: str) -> Run | None:
        """Return a visitor's run, unless it is too long ago."""
        run = self.runs.get(visitor)
        return run if run and time.monotonic() - run.asked < KEPT_SECONDS else None

    def stop(self, visitor: str) -> None:
        """Forget a visitor's run, and end it if it goes on."""
        with self.lock:
            run = self.runs.pop(visitor, None)
        if run:
            run.is_stopped = True
