"""Layout of the page, and the handler that each part calls."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.queueing import Queue
from gradio.routes import templates

from stylediff.containers import SUFFIXES
from stylediff.page.about import draw_flow, read_about
from stylediff.page.api import build_endpoint
from stylediff.page.batch_tab import Batches
from stylediff.page.controls import (
    Controls,
    Labels,
    build_controls,
    build_transfer_controls,
    instrument_buttons,
    preset_buttons,
    read_query,
)
from stylediff.page.conversions import Converter
from stylediff.page.environment import read_number
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.examples import example_label, find_results
from stylediff.page.handlers import OUTPUTS, Handlers, connect_stop
from stylediff.page.inference_thread import MODEL
from stylediff.page.kept_runs import VISITOR
from stylediff.page.player import build_player
from stylediff.page.repair_tab import RepairTab
from stylediff.page.ringtone_tab import RingtoneTab
from stylediff.page.settings import LARGEST_SEED
from stylediff.page.translations import build_labels, words_for
from stylediff.page.uploads import MAX_UPLOAD_MB, describe_limits, describe_part
from stylediff.pipeline import StyleTransferPipeline

QUEUE_SIZE = int(read_number("STYLEDIFF_QUEUE", 16, 1))
CSS, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))


def build_result(t: Labels) -> dict[str, Any]:
    """Components that show a result; handlers use their names."""
    parts: dict[str, Any] = {"status": gr.HTML("", elem_id="status")}
    parts["output"] = gr.Audio(
        label=t("output"), type="filepath", interactive=False, elem_id="output", buttons=["download"]
    )
    parts["use"] = gr.Button(t("use_as_source"), size="sm", elem_id="use")
    # Keeps the result's file: after a stream of updates, the value that the browser sends for the output has no file.
    parts["result"] = gr.State(None)
    parts["files"] = gr.File(
        label=t("downloads"), file_count="multiple", interactive=False, height=160, elem_id="downloads"
    )
    parts["facts"] = gr.Markdown(elem_id="facts")
    return parts


def build_pictures(t: Labels) -> dict[str, Any]:
    """Build three views of both spectrograms."""
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


def build_convert_tab(converter: Converter, t: Labels, examples: list[Path]) -> Controls:
    """Build the tab for one clip: source, settings, result, pictures."""
    mel, accepts_reference = converter.pipeline.mel, converter.pipeline.style_encoder.reference is not None
    with gr.Row():
        with gr.Column():
            source = gr.Audio(
                label=t("source"), sources=["upload", "microphone"], type="filepath", format=None, elem_id="source"
            )
            gallery = gr.Column()
            controls = build_controls(t, accepts_reference, converter.pipeline.enhancer is not None)
        with gr.Column():
            with gr.Row():
                go = gr.Button(t("convert"), variant="primary", elem_id="go")
                stop = gr.Button(t("stop"), variant="stop", elem_id="stop")
                again = gr.Button(t("reroll"), elem_id="reroll")
            show_part(source, controls)
            parts = build_result(t)
            parts["player"] = build_player()
    parts |= build_pictures(t) | {"seed": controls.choices["seed"]}
    results = find_results(examples)
    handlers = Handlers(converter, mel, parts["player"], {path.stem: result for path, result in results.items()})
    outputs = [parts[name] for name in OUTPUTS]
    visitor = gr.Textbox(visible=False)
    runs = [
        connect_run(button, new_seed, visitor, handlers, source, controls, outputs)
        for button, new_seed in ((go, controls.random_seed), (again, gr.State(True)))
    ]
    connect_stop(stop, runs, parts["status"])
    stop.click(handlers.kept.stop, visitor, None, queue=False, api_visibility="private")
    connect_return(visitor, handlers, outputs)
    parts["use"].click(take_result, parts["result"], source, api_visibility="private", queue=False)
    if results:
        with gallery:
            build_gallery(results, t, handlers, source, outputs)
    return controls


def take_result(path: str | None, request: gr.Request | None = None) -> Any:
    """Return a result as the next source."""
    with as_gradio_errors(words_for(request and request.headers.get("accept-language"))):
        if path and not Path(path).is_file():
            raise PageError("result_gone")
    return path or gr.skip()


def show_part(source: gr.Audio, controls: Controls) -> None:
    """Say beside the button which part of a clip will be converted."""
    line = gr.Markdown(elem_id="part_used")
    start, length = controls.choices["start_s"], controls.choices["length_s"]

    def describe(path: str | None, start_s: float | None, length_s: float, request: gr.Request) -> str:
        words = words_for(request.headers.get("accept-language"))
        return describe_part(path, start_s or 0.0, length_s, words) if path else ""

    gr.on(
        [source.change, start.change, length.change],
        describe,
        [source, start, length],
        line,
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )


def connect_return(visitor: gr.Textbox, handlers: Handlers, outputs: list[Any]) -> None:
    """Show the conversion of a visitor whose connection was broken."""
    named = gr.on(None, None, None, visitor, js=VISITOR, api_visibility="private")
    named.then(
        handlers.restore, visitor, outputs, show_progress="hidden", concurrency_limit=None, api_visibility="private"
    )


def connect_run(
    button: gr.Button,
    new_seed: Any,
    visitor: gr.Textbox,
    handlers: Handlers,
    source: gr.Audio,
    controls: Controls,
    outputs: list[Any],
) -> Any:
    """Make a button convert the clip.

    The value of ``new_seed`` is true for a new seed.
    """

    def convert(values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        submission = replace(controls.read(values, source, new_seed), visitor=values[visitor] or "")
        yield from handlers.convert(submission, request)

    return button.click(
        convert,
        {source, new_seed, visitor} | controls.inputs(),
        outputs,
        show_progress="hidden",
        api_visibility="private",
        **MODEL,
    )


def build_gallery(
    results: dict[Path, Path], t: Labels, handlers: Handlers, source: gr.Audio, outputs: list[Any]
) -> None:
    """Build the gallery of examples with shipped results."""
    gr.Examples(
        [str(path) for path in results],
        source,
        outputs,
        handlers.show_example,
        run_on_click=True,
        cache_examples=False,
        label=t("examples"),
        example_labels=[example_label(path, result) for path, result in results.items()],
        api_visibility="private",
    )


def connect_link(page: gr.Blocks, controls: Controls) -> None:
    """Show the settings from the link that opened the page."""
    names = list(controls.choices)

    def read(request: gr.Request) -> list[Any]:
        return read_query(names, request)

    page.load(read, None, list(controls.choices.values()), api_visibility="private", concurrency_limit=None)


def build_batch_tab(converter: Converter, t: Labels) -> None:
    """Build the batch tab: settings, a table of outcomes, a zip.

    The order of the inputs is that of the parameters of ``/batch``.
    """
    files = gr.File(file_count="multiple", file_types=list(SUFFIXES), label=t("files"), elem_id="files")
    target = instrument_buttons(t("target"), "batch_target")
    preset = preset_buttons(t, "batch_preset")
    seed = gr.Number(0, label=t("seed"), precision=0, minimum=0, maximum=LARGEST_SEED)
    with gr.Accordion(t("advanced"), open=False):
        settings = build_transfer_controls(t, converter.pipeline.enhancer is not None, "batch_")
    with gr.Row():
        go = gr.Button(t("convert_all"), variant="primary", elem_id="batch_go")
        stop = gr.Button(t("stop"), variant="stop")
    status, table = gr.HTML("", elem_id="batch_status"), gr.Markdown(elem_id="outcomes")
    archive = gr.File(label=t("zip"), file_count="multiple", interactive=False, elem_id="zip")
    run = go.click(
        Batches(converter).endpoint(list(settings)), [files, target, preset, seed, *settings.values()],
        [status, table, archive],
        show_progress="hidden", api_name="batch", **MODEL,
    )  # fmt: skip
    connect_stop(stop, [run], status)


class SpeakingQueue(Queue):
    """Queue that says how many wait when it is full."""

    async def push(self, body: Any, request: Any, username: str | None) -> Any:
        success, answer, state = await super().push(body, request, username)
        if state != "queue_full":
            return success, answer, state
        accepted = request.headers.get("accept-language")
        # Browsers, which send a language, show a text of gradio's own for this state, and the answer for others.
        return False, words_for(accepted)["queue_full"].format(number=len(self)), "error" if accepted else state


class Page(gr.Blocks):
    """Blocks whose listeners use defaults for missing trailing values.

    Programs that send values without names keep working when a parameter is added.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        missing = [component.value for component in block_fn.inputs[len(inputs) :]]
        return await super().preprocess_data(block_fn, [*inputs, *missing], *args, **kwargs)


def find_base(request: Any) -> dict[str, str]:
    """Return the address that a page under a path has with a slash.

    The page's own files are relative to it, also where a visitor leaves the slash out.
    """
    root = request.app.root_path.rstrip("/")
    return {"base_url": f"{root}/"} if root and not request.url.path.rstrip("/").endswith("/runs") else {}


def build_page(pipeline: StyleTransferPipeline, examples: list[Path]) -> tuple[gr.Blocks, dict[str, Any]]:
    """Build the page of a pipeline; return it and its launch arguments."""
    t, converter, tones, repairs = build_labels(), Converter(pipeline), RingtoneTab(pipeline), RepairTab(pipeline)
    with Page(title="StyleDiff", delete_cache=(3600, 3600)) as page:
        gr.api(build_endpoint(converter), api_name="convert", **MODEL)
        gr.api(tones.endpoint(), api_name="ringtone", **MODEL)
        gr.api(repairs.endpoint(), api_name="repair", **MODEL)
        gr.Markdown("# StyleDiff")
        gr.Markdown(t("intro"), elem_id="intro")
        gr.Markdown(describe_limits(), elem_id="limits")
        gr.Markdown(t("no_microphone"), elem_id="no_microphone")
        with gr.Tab(t("convert_tab")):
            controls = build_convert_tab(converter, t, examples)
        with gr.Tab(t("batch_tab")):
            build_batch_tab(converter, t)
        with gr.Tab(t("tone_tab")):
            tones.build(t)
        with gr.Tab(t("repair_tab")):
            repairs.build(t)
        with gr.Tab(t("about_tab")):
            gr.HTML(draw_flow())
            gr.Markdown(read_about())
        connect_link(page, controls)
    options = {
        "max_file_size": f"{MAX_UPLOAD_MB}mb",
        "theme": gr.themes.Soft(),
        "css_paths": CSS,
        "js": SCRIPT.read_text().replace("SUFFIXES", json.dumps(SUFFIXES)),
        "i18n": t,
        "footer_links": ["api", "gradio", "settings"],
        "enable_monitoring": False,
        "show_error": True,
    }
    if find_base not in templates.context_processors:
        templates.context_processors.append(find_base)
    page.queue(max_size=QUEUE_SIZE)
    page._queue.__class__ = SpeakingQueue
    return page, options
