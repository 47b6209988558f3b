"""The converted part of a clip: a strip to drag on."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np

from stylediff.audio import MIN_SECONDS, read_sound
from stylediff.containers import UNEXPECTED
from stylediff.page.clip_notes import notes_of, warn_of_range
from stylediff.page.conversions import Converter
from stylediff.page.errors import explain
from stylediff.page.html_component import build_html_component
from stylediff.page.sentences import describe_part, warn_of
from stylediff.page.translations import words_for
from stylediff.page.uploads import MAX_SECONDS, load_clip

HEARD_S = 60.0  # of the part, for its warnings
DRAWN_S = 600.0  # of longer files, no waveform is drawn
PEAKS = 300  # across the strip
START_STEP_S, LENGTH_STEP_S = 0.1, 0.5


def build_clip_part(elem_id: str) -> gr.HTML:
    """Build the strip, which is empty until there is a clip."""
    return build_html_component("clip_part", elem_id)


@lru_cache(maxsize=16)
def peaks_of(path: str) -> tuple[float, ...]:
    """Peaks of a whole file in equal stretches.

    The highest is 1. A long file gives none.

    Raises:
        AudioError: the file cannot be read.
    """
    sound = read_sound(path, 0.0, DRAWN_S)
    if sound.seconds < sound.file_seconds - 0.1:
        return ()
    loudest = np.abs(sound.samples).max(0)
    peaks = np.array([part.max(initial=0) for part in np.array_split(loudest, min(PEAKS, len(loudest)))])
    return tuple(float(peak) for peak in (peaks / max(peaks.max(initial=0), 1e-9)).round(3))


def build_clip_check(converter: Converter) -> Callable[..., dict[str, Any]]:
    """Build the function that describes and checks the converted part."""

    @lru_cache(maxsize=16)
    def sounds_mixed(path: str, start_s: float, length_s: float) -> bool:
        return converter.is_mix(load_clip(path, start_s, min(length_s, HEARD_S)))

    def check_clip(
        path: str | None,
        start_s: float | None,
        length_s: float | None,
        target: str,
        semitones: float | None,
        fit: str,
        is_matching: bool,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Value of the strip: the part that is converted, and warnings."""
        words = words_for(request.headers.get("accept-language"))
        if not path:
            return {"lines": []}
        try:
            clip = load_clip(path, start_s or 0.0, length_s or MAX_SECONDS)
            lines = [describe_part(clip, words), *warn_of(clip, words)]
            if clip.seconds > MIN_SECONDS:
                lines += [words["is_mix"]] if sounds_mixed(path, clip.start_s, clip.seconds) else []
                if not is_matching and fit != "true":
                    notes = notes_of(path, clip.start_s, min(clip.seconds, HEARD_S))
                    lines += warn_of_range(notes, target, semitones or 0.0, words)
            return {
                "lines": lines,
                "seconds": clip.file_seconds,
                "part": [clip.start_s, clip.start_s + clip.seconds],
                "most": MAX_SECONDS,
                "peaks": peaks_of(path),
                "label": words["drag_part"],
            }
        except (ValueError, *UNEXPECTED) as error:
            return {"lines": [explain(error, words)]}

    return check_clip


def choose_part(event: gr.EventData) -> tuple[float, float]:
    """Start and length of the stretch that was dragged, in seconds.

    A browser sends seconds. Anything else means the whole clip.
    """
    sent = [getattr(event, name, None) for name in ("first", "last")]
    first, last = (float(second) if isinstance(second, int | float) else math.nan for second in sent)
    if not (math.isfinite(first) and math.isfinite(last)):
        return 0.0, float(MAX_SECONDS)
    start = max(0.0, round(first / START_STEP_S) * START_STEP_S)
    length = round((last - start) / LENGTH_STEP_S) * LENGTH_STEP_S
    return round(start, 1), float(min(MAX_SECONDS, max(MIN_SECONDS, length)))
