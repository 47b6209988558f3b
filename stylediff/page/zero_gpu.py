"""Borrow a GPU for each conversion on Hugging Face ZeroGPU.

Elsewhere nothing happens.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from stylediff.mel import MelConfig
from stylediff.page.environment import on_zero_gpu
from stylediff.page.errors import PageError
from stylediff.page.settings import Choices
from stylediff.page.uploads import Clip
from stylediff.pipeline import OVERLAP_FRAMES, WINDOW_FRAMES
from stylediff.windows import window_starts

try:
    import spaces  # installed on Spaces only; must be imported before CUDA is used
except ImportError:
    spaces = None

# True if each conversion runs in a fork of this process. The package is also installed on Spaces without ZeroGPU.
FORKS = spaces is not None and on_zero_gpu()

START_SECONDS, PASS_SECONDS = 8.0, 0.1  # overhead of a conversion, and one pass of a network over one window
OTHER_PASSES = 4  # encoder, decoder, enhancer, vocoder
MOST_SECONDS = 60  # lent to visitors without an account; others get 120
PADDED_FRAMES = 64  # the pipeline pads clips to a multiple of at most this

Function = TypeVar("Function", bound=Callable[..., Any])


def window_count(seconds: float) -> int:
    """Largest number of overlapping windows of a clip."""
    mel = MelConfig()
    frames = mel.frames(round(seconds * mel.sample_rate))
    return len(window_starts(-(-frames // PADDED_FRAMES) * PADDED_FRAMES, WINDOW_FRAMES, OVERLAP_FRAMES))


def seconds_needed(
    clip: Clip, choices: Choices, previews: int = 0, _reference: Clip | None = None, _streams: bool = False
) -> int:
    """Upper bound of a conversion's GPU time in seconds.

    Shorter requests wait less and use less of the visitor's quota.
    """
    denoising = choices.steps * (1 if choices.guidance == 1 else 2)
    passes = window_count(clip.seconds) * (denoising + previews + OTHER_PASSES)
    return math.ceil(START_SECONDS + PASS_SECONDS * passes)


def check_duration(clip: Clip, choices: Choices, previews: int = 0) -> None:
    """Refuse a conversion that needs too much GPU time.

    Raises:
        PageError: it does.
    """
    seconds = seconds_needed(clip, choices, previews)
    if FORKS and seconds > MOST_SECONDS:
        raise PageError("gpu_too_long", seconds=seconds, limit=MOST_SECONDS)


def on_gpu(function: Function, duration: Callable[..., int] = seconds_needed) -> Function:
    """Give a function a GPU for as long as it needs.

    Args:
        duration: takes the function's arguments and returns an upper bound in seconds.
    """
    return function if spaces is None else spaces.GPU(duration=duration)(function)
