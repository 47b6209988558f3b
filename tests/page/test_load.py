"""The page under load, with a tiny pipeline in a process of its own."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.tools.load_page import load
from train.evaluation.costs import STATUS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATUS.is_file(), reason="this system does not report the memory in use"),
]


def load_apart(*values, **settings) -> list[str]:
    """Load a page from another thread, because the browser of other tests keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(load, *values, **settings).result()


def test_all_callers_at_once_get_a_result_where_there_is_room_and_no_file_is_left():
    assert load_apart(24, at_once=24, kept_s=15.0, seed=0, warm_up=4) == []
