"""Borrow a GPU for each conversion on Hugging Face ZeroGPU.

Elsewhere nothing happens.
"""

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

from stylediff.mel import MelConfig
from stylediff.page.settings import Choices
from stylediff.page.uploads import Clip
from stylediff.pipeline import OVERLAP_FRAMES, WINDOW_FRAMES
from stylediff.windows import window_starts

try:
    import spaces  # there on Spaces only; must come before CUDA is touched
except ImportError:
    spaces = None

# Whether each conversion runs in a fork of this process; the package is also there on Spaces without ZeroGPU.
FORKS = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")

START_SECONDS, PASS_SECONDS = 8.0, 0.1  # a pass is one network on one window
OTHER_PASSES = 4  # encoding, decoding, correcting, making sound
PADDED_FRAMES = 64  # the pipeline pads to multiples of this at most

Function = TypeVar("Function", bound=Callable[..., Any])


def window_count(seconds: float) -> int:
    """Return the largest number of overlapping windows of a clip."""
    mel = MelConfig()
    frames = mel.frames(round(seconds * mel.sample_rate))
    return len(window_starts(-(-frames // PADDED_FRAMES) * PADDED_FRAMES, WINDOW_FRAMES, OVERLAP_FRAMES))


def seconds_needed(clip: Clip, choices: Choices, previews: int = 0, _reference: Clip | None = None) -> int:
    """Return an upper bound of a conversion's GPU time in seconds.

    Short requests wait less, and come out of the visitor's quota.
    """
    denoising = choices.steps * (1 if choices.guidance == 1 else 2)
    passes = window_count(clip.seconds) * (denoising + previews + OTHER_PASSES)
    return math.ceil(START_SECONDS + PASS_SECONDS * passes)


def on_gpu(function: Function, duration: Callable[..., int] = seconds_needed) -> Function:
    """Give a function a GPU for as long as it needs.

    Args:
        duration: takes the function's arguments and returns an upper bound in seconds.
    """
    return function if spaces is None else spaces.GPU(duration=duration)(function)
