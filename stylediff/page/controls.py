"""Controls: instrument or reference clip, quality, seed, part of the clip."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.errors import as_gradio_errors, explain
from stylediff.page.handlers import Submission
from stylediff.page.inference_thread import IN_BROWSER, LIGHT
from stylediff.page.settings import LARGEST_SEED, LATEST_START_S, PRESETS, Choices, control_value, show_choices
from stylediff.page.translations import words_for
from stylediff.page.uploads import MAX_SECONDS
from stylediff.settings import AUTO, Setting, SettingError, TransferSettings, declarations

Labels = Callable[[str], Any]
Components = dict[str, Any]  # by setting


def copy_link(names: list[str]) -> str:
    """Return a script that copies a link with the chosen settings.

    The link leaves out settings without a value.
    """
    return f"""(...values) => {{
  const query = new URLSearchParams();
  {names}.forEach((name, place) => {{
    if (![null, "", "{AUTO}"].includes(values[place])) query.set(name, values[place]);
  }});
  window.stylediff.copy(location.origin + location.pathname + "?" + query, document.querySelector("#link"));
}}"""


def which_preset() -> str:
    """Return a script that says which preset the settings are, if any."""
    presets = {name: list(show_choices(values).values()) for name, values in PRESETS.items()}
    return f"""(...values) => {{
  const same = ([, preset]) => preset.every((value, place) => String(value) === String(values[place] ?? ""));
  return Object.entries({json.dumps(presets)}).find(same)?.[0] ?? null;
}}"""


@dataclass(frozen=True)
class Style:
    """The components that choose what the clip is played by.

    Attributes:
        target: an instrument.
        more: further instruments, played in the same run.
        reference: clip of the instrument to sound like.
        like: weight of that clip.
        is_matching: True if the clip is the target, and not the instrument.
    """

    target: gr.Radio
    more: gr.CheckboxGroup
    reference: gr.Audio
    like: gr.Slider
    is_matching: gr.Checkbox


@dataclass(frozen=True)
class Controls:
    """The components that make up a conversion's settings.

    Attributes:
        choices: components of the fields of ``Choices``.
        style: components that choose what the clip is played by.
        random_seed: checkbox for a new seed each time.
        preset: choice of a preset.
    """

    choices: Components
    style: Style
    random_seed: gr.Checkbox
    preset: gr.Radio

    def inputs(self) -> set[Any]:
        """Components whose values ``read`` takes."""
        return {*self.choices.values(), self.style.is_matching, self.style.reference, self.style.more}

    def read(self, values: dict[Any, Any], source: gr.Audio, draws_seed: Any) -> Submission:
        """Read a visitor's choices from values by component.

        Args:
            source: component of the clip.
            draws_seed: component whose value is true for a new seed.
        """
        return Submission(
            source=values[source] or "",
            choices={name: values[component] for name, component in self.choices.items()},
            draws_seed=values[draws_seed],
            is_matching=values[self.style.is_matching],
            reference=values[self.style.reference] or "",
            more=tuple(values[self.style.more]),
        )


def build_control(name: str, setting: Setting, t: Labels, elem_id: str, visible: bool = True) -> Any:
    """Build the control of a setting, labelled in the visitor's language.

    Its label is the text ``name``, its choices are the texts ``name_choice``.

    A number is a slider, or a text box if it may be left empty (gradio's number box shows 0 for no value). A text is a
    row of buttons. A flag is a checkbox, or a row of buttons if it may be left to the model.
    """
    options = {"label": t(name), "elem_id": elem_id, "visible": visible}
    value = control_value(setting, None if setting.is_auto else setting.default)
    if setting.kind in (int, float):
        high = min(setting.high, setting.high_served)
        if not setting.is_auto:
            return gr.Slider(setting.low, high, value, step=setting.step, **options)
        no_history = gr.InputHTMLAttributes(autocomplete="off")
        limits = f"{setting.low:g} – {high:g}"
        return gr.Textbox(value, info=limits, placeholder=t(AUTO), max_lines=1, html_attributes=no_history, **options)
    if setting.kind is bool and not setting.is_auto:
        return gr.Checkbox(value, **options)
    auto = [(t(AUTO), AUTO)] if setting.is_auto else []
    named = [(t(f"{name}_{choice}"), choice) for choice in setting.choices] or [(t("on"), "true"), (t("off"), "false")]
    return gr.Radio(auto + named, value=value, elem_classes="buttons", **options)


def build_transfer_controls(t: Labels, has_enhancer: bool, prefix: str = "") -> Components:
    """Build the controls of ``TransferSettings``.

    Args:
        has_enhancer: False hides the enhancer's control.
        prefix: prefix of the elements' ids.
    """
    shown = {name: setting for name, setting in declarations(TransferSettings).items() if setting.is_shown}
    visible = {"enhance": has_enhancer}
    return {n: build_control(n, setting, t, prefix + n, visible.get(n, True)) for n, setting in shown.items()}


def instrument_tiles(t: Labels, elem_id: str) -> gr.Radio:
    """Build a tile for each instrument."""
    choices = [(t(name), name) for name in INSTRUMENT_NAMES]
    return gr.Radio(choices, value="violin", label=t("target"), elem_id=elem_id, elem_classes="tiles")


def preset_buttons(t: Labels, elem_id: str) -> gr.Radio:
    choices = [(t(name), name) for name in PRESETS]
    return gr.Radio(choices, value="balanced", label=t("quality"), elem_id=elem_id, elem_classes="buttons")


def build_style(t: Labels, accepts_reference: bool) -> Style:
    """Build the choice of an instrument by name or by a clip.

    The tab for clips is hidden if the model accepts none.
    """
    is_matching = gr.Checkbox(False, visible=False)  # the browser keeps it
    with gr.Tabs(elem_id="style"):
        with gr.Tab(t("instrument_tab"), id="name") as by_name:
            target = instrument_tiles(t, "target")
            with gr.Accordion(t("more"), open=False, elem_id="more"):
                choices = [(t(name), name) for name in INSTRUMENT_NAMES]
                more = gr.CheckboxGroup(choices, label=t("more"), show_label=False, container=False)
            hear = gr.Button(t("hear"), size="sm", elem_id="hear")
            hear.click(None, None, None, js="() => window.stylediff.hear()", **IN_BROWSER)
        with gr.Tab(t("match_tab"), id="clip", visible=accepts_reference) as by_clip:
            reference = gr.Audio(
                label=t("reference"), sources=["upload", "microphone"], type="filepath", buttons=[], elem_id="reference"
            )
            like = gr.Slider(0, 1, 1, step=0.05, label=t("like"), elem_id="like")
    for tab, matches in ((by_name, False), (by_clip, True)):
        tab.select(lambda matches=matches: matches, None, is_matching, api_visibility="private", queue=False)
    return Style(target, more, reference, like, is_matching)


def build_part(t: Labels) -> Components:
    """Build the choice of a part of the clip, folded away.

    Usually all of it is converted.
    """
    with gr.Accordion(t("part"), open=False, elem_id="part"), gr.Row():
        start = gr.Number(0, label=t("start"), minimum=0, maximum=LATEST_START_S, step=0.5, elem_id="start")
        length = gr.Slider(0.5, MAX_SECONDS, MAX_SECONDS, step=0.5, label=t("length"), elem_id="length")
    return {"start_s": start, "length_s": length}


def build_controls(t: Labels, style: Style, part: Components, has_enhancer: bool) -> Controls:
    """Build the rarer settings of a conversion, folded away.

    Args:
        style: what ``build_style`` built.
        part: what ``build_part`` built.
        has_enhancer: False hides the enhancer's control.
    """
    choices: Components = {"target": style.target, "like": style.like} | part
    with gr.Accordion(t("advanced"), open=False, elem_id="advanced"):
        preset = preset_buttons(t, "preset")
        choices |= build_transfer_controls(t, has_enhancer)
        with gr.Row():
            choices["seed"] = gr.Number(
                0, label=t("seed"), precision=0, minimum=0, maximum=LARGEST_SEED, elem_id="seed"
            )
            random_seed = gr.Checkbox(False, label=t("random_seed"), elem_id="random")
        with gr.Row():
            load = gr.UploadButton(t("load_settings"), file_types=[".json"], size="sm", elem_id="load")
            link = gr.Button(t("copy_link"), size="sm", elem_id="link")
    names, components = list(choices), list(choices.values())
    follow_preset(preset, choices)
    load.upload(load_in_order(names), load, components, **LIGHT)
    link.click(None, components, None, js=copy_link(names), **IN_BROWSER)
    return Controls(choices, style, random_seed, preset)


def follow_preset(preset: gr.Radio, choices: Components) -> None:
    """Make the controls follow the preset, and the preset the controls."""
    names = list(next(iter(PRESETS.values())))
    components = [choices[name] for name in names]

    def choose(name: str) -> list[Any]:
        return in_order(show_choices(PRESETS[name]), names)

    preset.input(choose, preset, components, **LIGHT)
    for component in components:
        component.change(None, components, preset, js=which_preset(), **IN_BROWSER)


def in_order(values: dict[str, Any], names: list[str]) -> list[Any]:
    """Return updates of the controls in order.

    Controls without a value are not changed.
    """
    return [values.get(name, gr.skip()) for name in names]


def load_in_order(names: list[str]) -> Callable[[str, gr.Request], list[Any]]:
    """Return a handler that reads a settings file for the controls."""

    def load(path: str, request: gr.Request) -> list[Any]:
        with as_gradio_errors(words_for(request.headers.get("accept-language"))):
            return in_order(load_settings(path), names)

    return load


def load_settings(path: str) -> dict[str, Any]:
    """Read values for the controls from a settings file."""
    return show_choices(Choices.from_json(Path(path).read_text(encoding="utf-8", errors="replace")).to_dict())


def read_query(names: list[str], request: gr.Request) -> list[Any]:
    """Return updates of the controls from the link that opened the page.

    An invalid link changes nothing.
    """
    query = {name: value for name, value in request.query_params.items() if not name.startswith("__")}
    try:
        choices = show_choices(Choices.from_dict(query).to_dict())
    except SettingError as error:
        gr.Warning(explain(error, words_for(request.headers.get("accept-language"))))
        return in_order({}, names)
    return in_order({name: value for name, value in choices.items() if name in query}, names)
