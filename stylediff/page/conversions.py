"""One conversion, step by step, which can be stopped at any step."""

import copy
import queue
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from stylediff.page.inference_thread import compute
from stylediff.page.settings import Choices
from stylediff.page.uploads import Clip
from stylediff.page.zero_gpu import FORKS, check_duration, on_gpu
from stylediff.pipeline import StyleTransferOutput, StyleTransferPipeline
from stylediff.reference_style import mix_styles
from stylediff.sampling import count_steps
from stylediff.streaming import Part, PartSampler

PREVIEWS = 4  # most pictures during one denoising
STEPS_A_PREVIEW = 10  # fewest steps between two pictures: a picture needs a decoding, which costs three steps

STREAMED_S = 20.0  # longer clips can be heard before they are ready
LISTENED_S, LISTENED_SHARE = 10.0, 2.0  # sound that is made for it: as long as the rest takes, and more

Events = Generator["Step | Heard | StyleTransferOutput", None, None]  # the steps, then the result


def count_previews(steps: int) -> int:
    """Largest number of previews for a number of steps."""
    return min(PREVIEWS, steps // STEPS_A_PREVIEW)


class StoppedError(Exception):
    """Raised inside a conversion whose result is no longer wanted."""


@dataclass(frozen=True)
class Step:
    """A finished denoising step.

    Attributes:
        number, total: number of this step, and of all steps.
        seconds_left: estimated time until the last step.
        mel: (mels, frames), the current latents decoded; None for most steps.
        is_part: True if windows of a long clip are counted instead of steps.
    """

    number: int
    total: int
    seconds_left: float
    mel: torch.Tensor | None
    is_part: bool = False


@dataclass(frozen=True)
class Heard:
    """Sound that is ready before the whole result is.

    Attributes:
        samples: (samples,) float32 that follow those of the last one.
        sample_rate: Hz.
    """

    samples: np.ndarray
    sample_rate: int


@dataclass
class Reporter:
    """Callback of the pipeline that reports each step, or stops it.

    Some reports include a picture.
    """

    total: int
    frames: int
    previews: int
    events: "queue.Queue[Step | Heard | StyleTransferOutput | BaseException]"
    stop: threading.Event
    started: float
    streams: bool = False  # reports sound of parts
    heard_s: float = 0.0  # of them

    def __call__(
        self, pipeline: StyleTransferPipeline, step: int, _timestep: torch.Tensor, tensors: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        done, mel = step + 1, None
        self.check()
        if self.previews and done < self.total and done % -(-self.total // self.previews) == 0:
            mel = pipeline.decode_latents(tensors["latents"], self.frames)[0, 0].cpu()
        self.report(done, self.total, mel)
        return tensors

    def check(self) -> None:
        """Raise StoppedError if nobody waits any more."""
        if self.stop.is_set():
            raise StoppedError

    def report(self, done: int, total: int, mel: torch.Tensor | None = None) -> None:
        """Report steps that are done, or stop."""
        self.check()
        pace = (time.monotonic() - self.started) / done
        self.events.put(Step(done, total, pace * (total - done), mel, self.streams))

    def report_part(self, part: Part) -> bool:
        """Report windows that are done, and sound.

        Returns False once there is sound enough until the result is ready.
        """
        self.report(part.done, part.total)
        if part.audio is not None:
            rate = round(part.sample_rate)
            self.heard_s += len(part.audio) / rate
            self.events.put(Heard(part.audio.cpu().numpy(), rate))
        needed = (time.monotonic() - self.started) / max(1, part.done) * part.total
        return self.heard_s < LISTENED_S + LISTENED_SHARE * needed


def copy_for_run(pipeline: StyleTransferPipeline) -> StyleTransferPipeline:
    """Copy a pipeline; the copy has its own scheduler.

    Each run counts its own timesteps: two runs must not share a scheduler.
    """
    parts = pipeline.components | {"scheduler": copy.deepcopy(pipeline.scheduler)}
    own = StyleTransferPipeline(**parts, recommended=pipeline.recommended)
    own.set_progress_bar_config(disable=True)
    return own


def choose_style(pipeline: StyleTransferPipeline, choices: Choices, reference: Clip | None) -> dict[str, Any]:
    """Return target and brightness as arguments of the pipeline.

    The target is a name, or style tokens mixed with a reference clip's.
    """
    if reference is None:
        return {"target": choices.target}
    samples = torch.from_numpy(reference.samples)
    return mix_styles(pipeline, choices.target, samples, reference.sample_rate, choices.like)


def run(
    pipeline: StyleTransferPipeline, clip: Clip, choices: Choices, reference: Clip | None, reporter: Reporter
) -> None:
    """Convert a clip and queue the result or the error.

    A long clip is made in parts, which can be heard.
    """
    try:
        if reporter.stop.is_set():
            raise StoppedError
        own = copy_for_run(pipeline)
        result = own(
            torch.from_numpy(clip.samples),
            clip.sample_rate,
            **choose_style(own, choices, reference),
            generator=torch.Generator().manual_seed(choices.seed),
            callback_on_step_end=reporter,
            sampler=PartSampler(reporter.report_part) if reporter.streams else None,
            **choices.kwargs(),
        )
        on_cpu: dict[str, Any] = {
            name: value.cpu() for name, value in result.items() if isinstance(value, torch.Tensor)
        }
        reporter.events.put(replace(result, **on_cpu))
    except StoppedError:
        return
    except BaseException as error:  # any error goes to the caller that waits for the result
        reporter.events.put(error)


def convert(
    pipeline: StyleTransferPipeline,
    clip: Clip,
    choices: Choices,
    previews: int,
    reference: Clip | None = None,
    streams: bool = False,
) -> Events:
    """Yield each step, and finally the result, on the CPU.

    Closing the iterator ends the computation at its next step.

    Args:
        choices: with a value for every setting (see ``TransferSettings.resolve``).
        streams: True to yield sound before the result, and progress by windows instead of steps.

    Raises:
        AudioError: the clip cannot be used.
        ValueError: a reference clip for a model that accepts none.
    """
    reporter = Reporter(
        total=count_steps(choices.steps, choices.strength),
        frames=pipeline.mel.frames(round(clip.seconds * pipeline.mel.sample_rate)),
        previews=previews,
        events=queue.Queue(),
        stop=threading.Event(),
        started=time.monotonic(),
        streams=streams,
    )
    compute(partial(run, pipeline, clip, choices, reference, reporter))
    try:
        while True:
            event = reporter.events.get()
            if isinstance(event, BaseException):
                raise event
            yield event
            if isinstance(event, StyleTransferOutput):
                return
    finally:
        reporter.stop.set()  # and no wait for the running step, which would hold up the next click


class Converter:
    """Converts clips with one pipeline, on a borrowed GPU if available."""

    def __init__(self, pipeline: StyleTransferPipeline) -> None:
        def convert_clip(
            clip: Clip, choices: Choices, previews: int, reference: Clip | None = None, streams: bool = False
        ) -> Events:
            yield from convert(pipeline, clip, choices, previews, reference, streams)

        self.pipeline = pipeline
        self.convert_clip = on_gpu(convert_clip)

    def resolve(self, choices: Choices, is_matching: bool = False) -> Choices:
        """Return choices with a value for every setting.

        Args:
            is_matching: True if a reference clip is the target. Settings recommended for the named instrument apply
                unless the clip has the full weight.
        """
        counts = not is_matching or choices.like < 1
        return choices.resolve(self.pipeline.recommended_settings(choices.target) if counts else {})

    def is_mix(self, clip: Clip) -> bool:
        """Return True if several instruments seem to play.

        False where the model waits on a GPU that only a conversion borrows.
        """
        return not FORKS and self.pipeline.is_mix(clip.samples, clip.sample_rate)

    def __call__(
        self, clip: Clip, choices: Choices, reference: Clip | None = None, shows_previews: bool = False
    ) -> Events:
        """Convert a clip, as ``convert`` does.

        Args:
            shows_previews: True for pictures of a short clip, and for sound of a long one.
        """
        choices = self.resolve(choices, reference is not None)
        streams = shows_previews and clip.seconds > STREAMED_S
        previews = count_previews(choices.steps) if shows_previews and not streams else 0
        check_duration(clip, choices, previews)
        yield from self.convert_clip(clip, choices, previews, reference, streams)


def warm_up(pipeline: StyleTransferPipeline) -> None:
    """Convert a second of silence before the first visitor arrives.

    One-time initialisation then delays no visitor.
    """
    rate = pipeline.mel.sample_rate
    silence = Clip(np.zeros((1, rate), np.float32), rate, 0.0, 1.0, "silence")
    for _ in convert(pipeline, silence, Choices(steps=1).resolve({}), previews=0):
        pass
