"""Conversions that go on without their visitor, with updates of plain text."""

import time

import gradio as gr
import pytest

from stylediff.page import kept_runs
from stylediff.page.kept_runs import MOST_RUNS, KeptRuns, Run


def count(total: int, closed: list[bool], step_s: float = 0.0):
    try:
        for number in range(1, total + 1):
            time.sleep(step_s)
            yield {"status": f"step {number}"} | ({"output": "a.wav"} if number == total else {})
    finally:
        closed.append(True)


def leave_after_one(run: Run, stream, stop=lambda: None) -> None:
    updates = run.follow(stream)
    next(updates)
    stop()
    updates.close()


def wait_until_over(closed: list[bool]) -> None:
    deadline = time.monotonic() + 10
    while not closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert closed


def test_a_run_whose_visitor_left_is_finished_and_shown():
    kept, closed = KeptRuns(), []
    leave_after_one(kept.start("ann"), count(5, closed, 0.02))
    *waiting, last = kept.find("ann").await_updates()
    assert last == {"status": "step 5", "output": "a.wav"}
    assert all(updates.keys() == {"status"} for updates in waiting)
    assert closed == [True]


@pytest.mark.parametrize("name", ["ann", ""])
def test_a_stopped_run_and_one_without_a_name_end_when_the_visitor_leaves(name):
    kept, closed = KeptRuns(), []
    run = kept.start(name)
    leave_after_one(run, count(10_000, closed, 0.01), stop=lambda: kept.stop(name))
    wait_until_over(closed)
    assert run.updates["status"] in ("step 1", "step 2")
    assert kept.find(name) is None


def test_a_run_that_is_stopped_while_its_visitor_listens_ends_without_another_update():
    kept, closed = KeptRuns(), []
    updates = kept.start("ann").follow(count(10_000, closed))
    next(updates)
    kept.stop("ann")
    assert list(updates) == [{}]
    assert closed == [True]


def test_a_run_that_nobody_asks_for_ends(monkeypatch):
    monkeypatch.setattr(kept_runs, "AWAITED_SECONDS", 0.1)
    closed: list[bool] = []
    run = Run()
    leave_after_one(run, count(10_000, closed, 0.01))
    wait_until_over(closed)
    assert run.updates["status"] != "step 10000"


def test_an_error_is_shown_to_a_visitor_who_comes_back():
    def fail():
        yield {"status": "step 1"}
        raise gr.Error("<b>.wav is short")

    run = Run()
    leave_after_one(run, fail())
    *_, last = run.await_updates()
    assert last == {"status": "&lt;b&gt;.wav is short"}


def test_only_the_last_runs_are_kept():
    kept = KeptRuns()
    for number in range(MOST_RUNS + 3):
        kept.start(str(number))
    assert list(kept.runs) == [str(number) for number in range(3, MOST_RUNS + 3)]
