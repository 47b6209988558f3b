"""Status line of a run: a bar, a sentence, perhaps a picture."""

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from stylediff.page.conversions import Step
from stylediff.page.inference_thread import IN_BROWSER

# Shares of a conversion. The sound is made in one go, so the bar moves on by itself for as long as that usually takes.
READING, STEPS, SOUND, DRAWING = 0.03, 0.5, 0.9, 0.95
SOUND_S = 0.08  # to make a second of sound


def show_status(text: str, share: float | None = None, seconds: float = 0.3, picture: str = "") -> str:
    """Return the status line; with a share, something is running.

    Args:
        share: of the work, shown as a bar.
        seconds: in which the bar reaches it.
        picture: address of a picture.
    """
    shown = html.escape(text)
    if share is None:
        return f'<div class="status" role="status"><span>{shown}</span></div>'
    style = f"width:{100 * share:.1f}%;transition-duration:{seconds:.1f}s"
    bar = (
        f'<div class="bar" role="progressbar" aria-label="{shown}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * share:.0f}"><i style="{style}"></i></div>'
    )
    image = f'<img src="{picture}" alt="">' if picture else ""
    return f'<div class="status running" role="status">{bar}<span>{shown}</span>{image}</div>'


def show_step(step: Step, words: dict[str, str], seconds_after: float = 0.0, picture: str = "", which: str = "") -> str:
    """Return the status line of a running step.

    Args:
        seconds_after: estimated time from the last step to the end.
        which: what comes before the sentence, such as the instrument.
    """
    if step.number == step.total and seconds_after:
        return show_status(which + words["vocoding"], SOUND, seconds_after)
    left = step.seconds_left + seconds_after
    done, seconds = step.number / step.total, f"{max(left, 1):.0f}"
    if step.is_part:
        text = words["part_made"].format(share=f"{STEPS * done:.0%}", seconds=seconds)
    else:
        text = words["step"].format(number=step.number, total=step.total, seconds=seconds)
    share = READING + (STEPS - READING) * done
    return show_status(which + text, share, picture=picture)


def clear_on_error(updates: Iterator[tuple[Any, ...]], outputs: int) -> Iterator[tuple[Any, ...]]:
    """Pass updates on, and clear the status before an error.

    Args:
        outputs: number of values in an update; the first is the status.
    """
    try:
        yield from updates
    except gr.Error:
        yield "", *(gr.skip(),) * (outputs - 1)
        raise


def show_start(button: gr.Button, status: gr.HTML) -> None:
    """Say at once that a click has started a run.

    The browser calls listeners in their order: this one comes before that of the run.
    """
    button.click(None, None, status, js="() => window.stylediff.starting()", **IN_BROWSER)


def connect_stop(stop: gr.Button, runs: list[Any], status: gr.HTML) -> None:
    """Make a button end runs, and say so at once."""
    stop.click(None, None, status, js="() => window.stylediff.stopped()", **IN_BROWSER)
    stop.click(None, None, None, cancels=runs, **IN_BROWSER)
