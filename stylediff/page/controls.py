"""What a visitor sets: the instrument by name or by a clip of it, quality, seed, and which part of the clip."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from stylediff.dynamics import DYNAMICS
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.handlers import sentences
from stylediff.page.settings import LARGEST_SEED, LATEST_START_S, MAX_GUIDANCE, MAX_STEPS, PRESETS, ChoiceError, Choices
from stylediff.page.uploads import MAX_SECONDS
from stylediff.sampling import STEPS

Labels = Callable[[str], Any]

COPY_LINK = f"""(...values) => {{
  const names = {list(Choices().to_dict())};
  const query = new URLSearchParams(names.map((name, place) => [name, values[place]]));
  navigator.clipboard.writeText(location.origin + location.pathname + "?" + query);
}}"""


@dataclass(frozen=True)
class Controls:
    """The settings' components, those of ``Choices`` first and in its order.

    Attributes:
        random_seed: tick for a new seed each time.
        is_matching: whether the reference clip counts, not the name alone.
        reference: clip of an instrument to sound like.
    """

    target: gr.Radio
    steps: gr.Slider
    guidance: gr.Slider
    strength: gr.Slider
    seed: gr.Number
    start_s: gr.Number
    length_s: gr.Slider
    like: gr.Slider
    dynamics: gr.Slider
    enhance: gr.Checkbox
    random_seed: gr.Checkbox
    is_matching: gr.State
    reference: gr.Audio

    def all(self) -> list[Any]:
        """Those of ``Choices``."""
        return [getattr(self, name) for name in Choices().to_dict()]


def instrument_buttons(label: Any, elem_id: str) -> gr.Radio:
    return gr.Radio(list(INSTRUMENT_NAMES), value="violin", label=label, elem_id=elem_id, elem_classes="buttons")


def preset_buttons(t: Labels, elem_id: str) -> gr.Radio:
    choices = [(t(name), name) for name in PRESETS]
    return gr.Radio(choices, value="balanced", label=t("quality"), elem_id=elem_id, elem_classes="buttons")


def build_style(t: Labels, listens: bool) -> tuple[gr.Radio, gr.Audio, gr.Slider, gr.State]:
    """The instrument by name; in a second tab, which a model that cannot listen does not show, by a clip of it."""
    is_matching = gr.State(False)
    with gr.Tabs(elem_id="style"):
        with gr.Tab(t("instrument_tab"), id="name") as by_name:
            target = instrument_buttons(t("target"), "target")
        with gr.Tab(t("match_tab"), id="clip", visible=listens) as by_clip:
            reference = gr.Audio(
                label=t("reference"), sources=["upload", "microphone"], type="filepath", elem_id="reference"
            )
            like = gr.Slider(0, 1, 1, step=0.05, label=t("like"), elem_id="like")
    for tab, matches in ((by_name, False), (by_clip, True)):
        tab.select(lambda matches=matches: matches, None, is_matching, api_visibility="private", queue=False)
    return target, reference, like, is_matching


def build_controls(t: Labels, listens: bool, mends: bool) -> Controls:
    """Settings of a conversion, the rarer ones folded away.

    Args:
        listens, mends: whether the model can match a reference clip, and whether it has an enhancer.
    """
    target, reference, like, is_matching = build_style(t, listens)
    preset = preset_buttons(t, "preset")
    with gr.Accordion(t("part"), open=False), gr.Row():
        start = gr.Number(0, label=t("start"), minimum=0, maximum=LATEST_START_S, step=0.5, elem_id="start")
        length = gr.Slider(0.5, MAX_SECONDS, min(10.0, MAX_SECONDS), step=0.5, label=t("length"), elem_id="length")
    with gr.Accordion(t("advanced"), open=False, elem_id="advanced"):
        steps = gr.Slider(1, MAX_STEPS, STEPS, step=1, label=t("steps"), elem_id="steps")
        guidance = gr.Slider(1, MAX_GUIDANCE, 1, step=0.25, label=t("guidance"), elem_id="guidance")
        strength = gr.Slider(0, 1, 1, step=0.05, label=t("strength"), elem_id="strength")
        dynamics = gr.Slider(0, 1, DYNAMICS, step=0.05, label=t("dynamics"), elem_id="dynamics")
        enhance = gr.Checkbox(True, label=t("enhance"), elem_id="enhance", visible=mends)
        with gr.Row():
            seed = gr.Number(0, label=t("seed"), precision=0, minimum=0, maximum=LARGEST_SEED, elem_id="seed")
            random_seed = gr.Checkbox(False, label=t("random_seed"), elem_id="random")
        taken = (start, length, like, dynamics, enhance)
        controls = Controls(target, steps, guidance, strength, seed, *taken, random_seed, is_matching, reference)
        with gr.Row():
            load = gr.UploadButton(t("load_settings"), file_types=[".json"], size="sm", elem_id="load")
            link = gr.Button(t("copy_link"), size="sm", elem_id="link")
    preset.input(lambda name: PRESETS[name], preset, [steps, guidance], api_visibility="private", queue=False)
    load.upload(load_settings, load, controls.all(), api_visibility="private", queue=False)
    link.click(None, controls.all(), None, js=COPY_LINK)
    return controls


def shown(choices: Choices) -> dict[str, Any]:
    """Settings as the controls can show them: no longer than this page converts."""
    return choices.to_dict() | {"length_s": min(choices.length_s, MAX_SECONDS)}


def load_settings(path: str) -> list[Any]:
    """Settings from a file, in the order of the controls."""
    with sentences():
        choices = Choices.from_json(Path(path).read_text(encoding="utf-8", errors="replace"))
    return list(shown(choices).values())


def read_query(request: gr.Request) -> list[Any]:
    """Settings from the link that opened the page; those of a link that makes no sense are left alone."""
    query = {name: value for name, value in request.query_params.items() if not name.startswith("__")}
    try:
        choices = shown(Choices.from_dict(query))
    except ChoiceError as error:
        gr.Warning(str(error))
        return [gr.skip()] * len(Choices().to_dict())
    return [value if name in query else gr.skip() for name, value in choices.items()]
