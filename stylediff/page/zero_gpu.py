"""Borrowing a GPU for each conversion where the page runs on Hugging Face ZeroGPU; elsewhere nothing happens."""

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
    """Windows, which overlap, that the pipeline cuts a clip of that length into at most."""
    mel = MelConfig()
    frames = mel.frames(round(seconds * mel.sample_rate))
    return len(window_starts(-(-frames // PADDED_FRAMES) * PADDED_FRAMES, WINDOW_FRAMES, OVERLAP_FRAMES))


def seconds_needed(clip: Clip, choices: Choices, previews: int = 0, _reference: Clip | None = None) -> int:
    """Upper bound of a conversion's GPU time: short requests wait less, and come out of the visitor's quota."""
    denoising = choices.steps * (1 if choices.guidance == 1 else 2)
    passes = window_count(clip.seconds) * (denoising + previews + OTHER_PASSES)
    return math.ceil(START_SECONDS + PASS_SECONDS * passes)


def on_gpu(function: Function) -> Function:
    """A function of a clip, choices and previews that gets a GPU for as long as it needs."""
    return function if spaces is None else spaces.GPU(duration=seconds_needed)(function)
