"""The page itself: what is where, and which handler each part calls."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from stylediff.page.about import draw_flow, write_about
from stylediff.page.batches import Batches
from stylediff.page.choices import LARGEST_SEED, MAX_GUIDANCE, MAX_STEPS, PRESETS, ChoiceError, Choices
from stylediff.page.clips import FILE_TYPES, MAX_SECONDS, MAX_UPLOAD_MB, describe_limits
from stylediff.page.conversions import Converter, build_converter
from stylediff.page.endpoint import build_endpoint
from stylediff.page.gallery import example_label, example_result
from stylediff.page.handlers import OUTPUTS, Handlers, sentences, show_status
from stylediff.page.languages import build_labels, words_for
from stylediff.page.player import build_player
from stylediff.pipeline import StyleTransferPipeline

QUEUE_SIZE = int(os.environ.get("STYLEDIFF_QUEUE", "16"))
CONCURRENCY = int(os.environ.get("STYLEDIFF_CONCURRENCY", "1"))
LAST_STEP_SECONDS = 1.0
CSS, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))
Labels = Callable[[str], Any]
MODEL = {"concurrency_limit": CONCURRENCY, "concurrency_id": "model"}  # what everything that runs the model shares

COPY_LINK = f"""(...values) => {{
  const names = {list(Choices().to_dict())};
  const query = new URLSearchParams(names.map((name, place) => [name, values[place]]));
  navigator.clipboard.writeText(location.origin + location.pathname + "?" + query);
}}"""


@dataclass(frozen=True)
class Controls:
    """The settings' components, in the order of ``Choices``."""

    target: gr.Radio
    steps: gr.Slider
    guidance: gr.Slider
    strength: gr.Slider
    seed: gr.Number
    start_s: gr.Slider
    length_s: gr.Slider

    def all(self) -> list[Any]:
        return list(vars(self).values())


def instrument_buttons(label: Any, elem_id: str) -> gr.Radio:
    return gr.Radio(list(INSTRUMENT_NAMES), value="violin", label=label, elem_id=elem_id, elem_classes="buttons")


def preset_buttons(t: Labels, elem_id: str) -> gr.Radio:
    choices = [(t(name), name) for name in PRESETS]
    return gr.Radio(choices, value="balanced", label=t("quality"), elem_id=elem_id, elem_classes="buttons")


def build_controls(t: Labels) -> tuple[Controls, gr.Checkbox]:
    """Settings of a conversion, the rarer ones folded away, and the tick for a new seed each time."""
    target = instrument_buttons(t("target"), "target")
    preset = preset_buttons(t, "preset")
    with gr.Accordion(t("part"), open=False), gr.Row():
        start = gr.Slider(0, 600, 0, step=0.5, label=t("start"), elem_id="start")
        length = gr.Slider(0.5, MAX_SECONDS, min(10.0, MAX_SECONDS), step=0.5, label=t("length"), elem_id="length")
    with gr.Accordion(t("advanced"), open=False, elem_id="advanced"):
        steps = gr.Slider(1, MAX_STEPS, 20, step=1, label=t("steps"), elem_id="steps")
        guidance = gr.Slider(1, MAX_GUIDANCE, 1, step=0.25, label=t("guidance"), elem_id="guidance")
        strength = gr.Slider(0, 1, 1, step=0.05, label=t("strength"), elem_id="strength")
        with gr.Row():
            seed = gr.Number(0, label=t("seed"), precision=0, minimum=0, maximum=LARGEST_SEED, elem_id="seed")
            random_seed = gr.Checkbox(False, label=t("random_seed"), elem_id="random")
        controls = Controls(target, steps, guidance, strength, seed, start, length)
        with gr.Row():
            load = gr.UploadButton(t("load_settings"), file_types=[".json"], size="sm", elem_id="load")
            link = gr.Button(t("copy_link"), size="sm", elem_id="link")
    preset.input(lambda name: PRESETS[name], preset, [steps, guidance], api_visibility="private", queue=False)
    load.upload(load_settings, load, controls.all(), api_visibility="private", queue=False)
    link.click(None, controls.all(), None, js=COPY_LINK)
    return controls, random_seed


def load_settings(path: str) -> list[Any]:
    """Settings from a file, in the order of the controls."""
    with sentences():
        return list(Choices.from_json(Path(path).read_text(encoding="utf-8", errors="replace")).to_dict().values())


def read_query(request: gr.Request) -> list[Any]:
    """Settings from the link that opened the page; those of a link that makes no sense are left alone."""
    query = {name: value for name, value in request.query_params.items() if not name.startswith("__")}
    try:
        choices = Choices.from_dict(query).to_dict()
    except ChoiceError as error:
        gr.Warning(str(error))
        return [gr.skip()] * len(Choices().to_dict())
    return [value if name in query else gr.skip() for name, value in choices.items()]


def build_result(t: Labels) -> dict[str, Any]:
    """Components that show a result, by the names that handlers use."""
    parts: dict[str, Any] = {"status": gr.HTML("", elem_id="status")}
    parts["output"] = gr.Audio(
        label=t("output"), type="filepath", interactive=False, elem_id="output", buttons=["download"]
    )
    parts["use"] = gr.Button(t("use_as_source"), size="sm", elem_id="use")
    parts["files"] = gr.File(
        label=t("downloads"), file_count="multiple", interactive=False, height=110, elem_id="downloads"
    )
    parts["facts"] = gr.Markdown(elem_id="facts")
    return parts


def build_pictures(t: Labels) -> dict[str, Any]:
    """Three views of both spectrograms."""
    with gr.Tabs(elem_id="pictures"):
        with gr.Tab(t("side_by_side")):
            side = gr.Image(
                show_label=False, label=t("side_by_side"), type="pil", format="png", interactive=False, elem_id="side"
            )
        with gr.Tab(t("slider_view")):
            slider = gr.ImageSlider(
                show_label=False, label=t("slider_view"), type="pil", format="png", interactive=False, elem_id="slider"
            )
        with gr.Tab(t("difference")):
            difference = gr.Image(
                show_label=False,
                label=t("difference"),
                type="pil",
                format="png",
                interactive=False,
                elem_id="difference",
            )
    return {"side": side, "slider": slider, "difference": difference}


def build_convert_tab(converter: Converter, mel: MelConfig, t: Labels, examples: list[Path]) -> Controls:
    """One clip: source, settings, result, pictures."""
    with gr.Row():
        with gr.Column():
            source = gr.Audio(
                label=t("source"), sources=["upload", "microphone"], type="filepath", format=None, elem_id="source"
            )
            gallery = gr.Column()
            controls, random_seed = build_controls(t)
        with gr.Column():
            with gr.Row():
                go = gr.Button(t("convert"), variant="primary", elem_id="go")
                stop = gr.Button(t("stop"), variant="stop", elem_id="stop")
                again = gr.Button(t("reroll"), elem_id="reroll")
            parts = build_result(t)
            player = parts["player"] = build_player()
    parts |= build_pictures(t)
    handlers = Handlers(converter, mel, player, {path.stem: example_result(path) for path in examples})
    parts["seed"] = controls.seed
    outputs = [parts[name] for name in OUTPUTS]
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    runs = [
        button.click(handlers.convert, [source, new_seed, *controls.all()], outputs, **quiet, **MODEL)
        for button, new_seed in ((go, random_seed), (again, gr.State(True)))
    ]
    connect_stop(stop, runs, parts["status"])
    parts["use"].click(lambda path: path, parts["output"], source, api_visibility="private", queue=False)
    if examples:
        with gallery:
            labels = [example_label(path) for path in examples]
            gr.Examples(
                [str(path) for path in examples],
                source,
                outputs,
                handlers.show_example,
                run_on_click=True,
                cache_examples=False,
                label=t("examples"),
                example_labels=labels,
                api_visibility="private",
            )
    return controls


def connect_stop(stop: gr.Button, runs: list[Any], status: gr.HTML) -> None:
    """Makes a button end runs; gradio cancels once a listener is done, so the text has a listener of its own."""
    stop.click(None, None, None, cancels=runs, queue=False, api_visibility="private")
    stop.click(say_stopped, None, status, concurrency_limit=None, api_visibility="private")


def say_stopped(request: gr.Request) -> Iterator[str]:
    """Says so twice, since a step under way may report itself in between; the same text again would not be sent."""
    status = show_status(words_for(request.headers.get("accept-language"))["stopped"])
    yield status
    time.sleep(LAST_STEP_SECONDS)
    yield f"{status}<!-- again -->"


def build_batch_tab(converter: Converter, t: Labels) -> None:
    """Several files: settings, a table of outcomes, a zip."""
    files = gr.File(file_count="multiple", file_types=FILE_TYPES, label=t("files"), elem_id="files")
    target = instrument_buttons(t("target"), "batch_target")
    preset = preset_buttons(t, "batch_preset")
    seed = gr.Number(0, label=t("seed"), precision=0, minimum=0, maximum=LARGEST_SEED)
    with gr.Row():
        go = gr.Button(t("convert_all"), variant="primary", elem_id="batch_go")
        stop = gr.Button(t("stop"), variant="stop")
    status, table = gr.HTML("", elem_id="batch_status"), gr.Markdown(elem_id="outcomes")
    archive = gr.File(label=t("zip"), interactive=False, elem_id="zip")
    run = go.click(
        Batches(converter).convert_all, [files, target, preset, seed], [status, table, archive],
        show_progress="hidden", api_name="batch", **MODEL,
    )  # fmt: skip
    connect_stop(stop, [run], status)


def build_page(pipeline: StyleTransferPipeline, readme: Path, examples: list[Path]) -> tuple[gr.Blocks, dict[str, Any]]:
    """The page around a pipeline, and what to launch it with."""
    t, converter = build_labels(), build_converter(pipeline)
    with gr.Blocks(title="StyleDiff", delete_cache=(3600, 3600)) as page:
        gr.api(build_endpoint(converter, pipeline.mel), api_name="convert", **MODEL)
        gr.Markdown("# StyleDiff")
        gr.Markdown(t("intro"), elem_id="intro")
        gr.Markdown(describe_limits(), elem_id="limits")
        with gr.Tab(t("convert_tab")):
            controls = build_convert_tab(converter, pipeline.mel, t, examples)
        with gr.Tab(t("batch_tab")):
            build_batch_tab(converter, t)
        with gr.Tab(t("about_tab")):
            gr.HTML(draw_flow())
            gr.Markdown(write_about(readme))
        page.load(read_query, None, controls.all(), api_visibility="private", queue=False)
    options = {
        "max_file_size": f"{MAX_UPLOAD_MB}mb",
        "theme": gr.themes.Soft(),
        "css_paths": CSS,
        "js": SCRIPT.read_text(),
        "i18n": t,
        "footer_links": ["api", "gradio", "settings"],
        "enable_monitoring": False,
    }
    return page.queue(max_size=QUEUE_SIZE), options
