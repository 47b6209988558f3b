"""Borrowing a GPU for each conversion where the page runs on Hugging Face ZeroGPU; elsewhere nothing happens."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from stylediff.page.choices import Choices
from stylediff.page.clips import Clip

try:
    import spaces  # there on Spaces only; must come before CUDA is touched
except ImportError:
    spaces = None

START_SECONDS, STEP_SECONDS, WINDOW_SECONDS = 8.0, 0.1, 5.0

Function = TypeVar("Function", bound=Callable[..., Any])


def seconds_needed(clip: Clip, choices: Choices, previews: int = 0, reference: Clip | None = None) -> int:
    """Upper bound of a conversion's GPU time: short requests wait less, and come out of the visitor's quota."""
    passes = choices.steps * (1 if choices.guidance == 1 else 2) * math.ceil(clip.seconds / WINDOW_SECONDS)
    return math.ceil(START_SECONDS + STEP_SECONDS * (passes + previews))


def on_gpu(function: Function) -> Function:
    """A function of a clip, choices and previews that gets a GPU for as long as it needs."""
    return function if spaces is None else spaces.GPU(duration=seconds_needed)(function)
