"""Layout of the page, and the handler that each part calls."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.queueing import Queue
from gradio.routes import templates
from starlette.middleware import Middleware

from stylediff.containers import SUFFIXES
from stylediff.page.about import build_about
from stylediff.page.api import build_endpoint
from stylediff.page.batch_tab import Batches
from stylediff.page.clip_notes import build_notes_endpoint
from stylediff.page.clip_part import build_clip_check, build_clip_part, choose_part
from stylediff.page.codes_tab import CodesTab
from stylediff.page.controls import (
    Components,
    Controls,
    Labels,
    build_controls,
    build_part,
    build_style,
    build_transfer_controls,
    instrument_tiles,
    preset_buttons,
    read_query,
)
from stylediff.page.conversions import Converter
from stylediff.page.environment import read_number
from stylediff.page.examples import example_label, find_results
from stylediff.page.handlers import OUTPUTS, RUN_OUTPUTS, Handlers
from stylediff.page.html_component import build_html_component
from stylediff.page.inference_thread import IN_BROWSER, LIGHT, MODEL
from stylediff.page.kept_runs import VISITOR
from stylediff.page.link_previews import BRAND, ICON, OwnHead
from stylediff.page.player import build_player
from stylediff.page.repair_tab import RepairTab
from stylediff.page.ringtone_tab import RingtoneTab
from stylediff.page.settings import LARGEST_SEED
from stylediff.page.status import connect_stop, show_start
from stylediff.page.takes import take_as_source
from stylediff.page.temp_folders import keep_deleting
from stylediff.page.theme import build_theme
from stylediff.page.tiles import PREVIEWS, tile_styles
from stylediff.page.translations import FALLBACK, PageLabels, load_texts, words_for
from stylediff.page.uploads import MAX_UPLOAD_MB, describe_limits
from stylediff.pipeline import StyleTransferPipeline

TITLE = "StyleDiff"
SCRIPT_WORDS = ("waiting", "stopped", "copied", "copy_yourself")
QUEUE_SIZE = int(read_number("STYLEDIFF_QUEUE", 16, 1))
MOST_SESSIONS = 64  # whose state gradio keeps, 0.3 MiB each; only a part half marked for repair is lost with it
IN_TURN = LIGHT | {"concurrency_limit": 1, "concurrency_id": "check"}  # the last question has the last answer
CSS, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))


def build_source(t: Labels) -> tuple[gr.Audio, gr.Row, gr.HTML]:
    """Build the first step: clip, facts about it, place for examples."""
    gr.Markdown(t("step_clip"), elem_classes="step")
    with gr.Column(elem_id="source_place"):  # is there before what it holds, as are those below
        source = gr.Audio(
            label=t("source"), show_label=False, sources=["upload", "microphone"], type="filepath", format=None,
            buttons=[], elem_id="source",
        )  # fmt: skip
    with gr.Column(elem_id="facts_place"):
        facts = build_clip_part("clip_facts")
    gallery = gr.Row(elem_id="examples")
    return source, gallery, facts


def build_convert_tab(converter: Converter, t: Labels, results: dict[Path, Path], page: gr.Blocks) -> Controls:
    """Build the tab for one clip: the steps, and the result."""
    with gr.Row():
        with gr.Column(scale=5, min_width=340, elem_id="order"):
            source, gallery, facts = build_source(t)
            part = build_part(t)
            gr.Markdown(t("step_instrument"), elem_classes="step")
            style = build_style(t, converter.pipeline.style_encoder.reference is not None)
            with gr.Column(elem_id="dock"):
                with gr.Row(elem_classes="actions"):
                    go = gr.Button(t("convert"), variant="primary", elem_id="go", elem_classes="go")
                    stop = gr.Button(t("stop"), variant="stop", elem_id="stop", elem_classes="stop")
                status = gr.HTML("", elem_id="status")
                live = build_html_component("live_sound", "live")
            controls = build_controls(t, style, part, converter.pipeline.enhancer is not None)
        with gr.Column(scale=7, min_width=340):
            player = build_player(elem_classes="reserved" if results else None)
            again = gr.Button(t("reroll"), elem_id="reroll", elem_classes="go")
    handlers = Handlers(converter, player, results)
    parts = controls.choices | {"status": status, "player": player, "source": source, "preset": controls.preset}
    parts["live"] = live
    outputs = [parts[name] for name in OUTPUTS]
    run_outputs = [parts[name] for name in RUN_OUTPUTS]
    visitor = gr.Textbox(visible=False)
    runs = [
        connect_run(button, new_seed, visitor, handlers, source, controls, run_outputs)
        for button, new_seed in ((go, controls.random_seed), (again, gr.State(True)))
    ]
    connect_stop(stop, runs, status)
    stop.click(handlers.kept.stop, visitor, None, **LIGHT)
    connect_clip(source, part, controls, facts, build_clip_check(converter))
    player.select(take_as_source, None, source, **LIGHT)
    if results:
        with gallery:
            gr.Markdown(t("examples"))
    for path in results:
        with gallery:
            button = gr.Button(t(f"example_{path.stem}"), size="sm")
        button.click(handlers.example_handler(path), None, outputs, **LIGHT)
    arrived = page.load(handlers.arrive, None, outputs, **LIGHT)
    connect_return(arrived, visitor, handlers, run_outputs)
    connect_refresh(arrived, source, controls)
    return controls


def connect_return(arrived: Any, visitor: gr.Textbox, handlers: Handlers, outputs: list[Any]) -> None:
    """Show the conversion of a visitor whose connection was broken."""
    named = arrived.then(None, None, visitor, js=VISITOR, **IN_BROWSER)
    named.then(
        handlers.restore, visitor, outputs, show_progress="hidden", concurrency_limit=None, api_visibility="private"
    )


def connect_refresh(arrived: Any, source: gr.Audio, controls: Controls) -> None:
    """Let clip and settings outlast a refresh, in the browser."""
    style = controls.style
    components = [source, style.reference, style.more, controls.random_seed, *controls.choices.values()]
    gr.on(
        [component.change for component in components], None, components, None,
        js="(...values) => { window.stylediff.remember(values); }", **IN_BROWSER,
    )  # fmt: skip
    arrived.then(None, None, components, js=f"() => window.stylediff.recall({len(components)})", **IN_BROWSER)


def connect_clip(
    source: gr.Audio, part: Components, controls: Controls, facts: gr.HTML, check_clip: Callable[..., dict[str, Any]]
) -> None:
    """Tell what will be converted, and mark an older result."""
    range_inputs = [*(controls.choices[name] for name in ("target", "transpose", "fit")), controls.style.is_matching]
    inputs = [source, *part.values(), *range_inputs]
    gr.on([component.change for component in inputs], check_clip, inputs, facts, **IN_TURN)
    chosen = facts.select(choose_part, None, list(part.values()), **LIGHT)
    chosen.then(check_clip, inputs, facts, **IN_TURN)  # folded away, the length tells no change
    gr.on(
        [source.upload, source.stop_recording, source.clear], None, None, None,
        js="() => window.stylediff.markOld()", **IN_BROWSER,
    )  # fmt: skip


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

    show_start(button, outputs[RUN_OUTPUTS.index("status")])
    return button.click(
        convert,
        {source, new_seed, visitor} | controls.inputs(),
        outputs,
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="multiple",
        **MODEL,
    )


def connect_link(page: gr.Blocks, controls: Controls) -> None:
    """Show the settings from the link that opened the page."""
    names = list(controls.choices)

    def read(request: gr.Request) -> list[Any]:
        return read_query(names, request)

    page.load(read, None, list(controls.choices.values()), **LIGHT)


def build_batch_tab(converter: Converter, t: Labels) -> None:
    """Build the batch tab: settings, a table of outcomes, a zip.

    The order of the inputs is that of the parameters of ``/batch``.
    """
    # Every kind of file is taken: gradio would refuse all of a drop for one, and the table says which was none.
    files = gr.File(file_count="multiple", label=t("files"), elem_id="files")
    target = instrument_tiles(t, "batch_target")
    preset = preset_buttons(t, "batch_preset")
    seed = gr.Number(0, label=t("seed"), precision=0, minimum=0, maximum=LARGEST_SEED)
    with gr.Accordion(t("advanced"), open=False):
        settings = build_transfer_controls(t, converter.pipeline.enhancer is not None, "batch_")
    with gr.Row(elem_classes="actions"):
        go = gr.Button(t("convert_all"), variant="primary", elem_id="batch_go", elem_classes="go")
        stop = gr.Button(t("stop"), variant="stop", elem_id="batch_stop", elem_classes="stop")
    status, table = gr.HTML("", elem_id="batch_status"), gr.Markdown(elem_id="outcomes", sanitize_html=False)
    archive = gr.File(label=t("zip"), file_count="multiple", interactive=False, elem_id="zip")
    show_start(go, status)
    run = go.click(
        Batches(converter, table).endpoint(list(settings)), [files, target, preset, seed, *settings.values()],
        [status, table, archive],
        show_progress="hidden", api_name="batch", **MODEL,
    )  # fmt: skip
    connect_stop(stop, [run], status)


def label_examples(results: dict[Path, Path]) -> dict[str, dict[str, str]]:
    """Labels of the examples, by language and key."""
    return {
        language: {
            f"example_{path.stem}": example_label(path, result, words).split(":")[0] for path, result in results.items()
        }
        for language, words in load_texts().items()
    }


def build_script() -> str:
    """Return the page's script, with the texts and names that it needs."""
    words = {language: {key: texts[key] for key in SCRIPT_WORDS} for language, texts in load_texts().items()}
    script = SCRIPT.read_text(encoding="utf-8").replace("SUFFIXES", json.dumps(SUFFIXES))
    return script.replace("WORDS", json.dumps(words)).replace("PREVIEWS", f"gradio_api/file={PREVIEWS}")


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
    """Return the address of a page under a path, with a slash.

    The page's own files are relative to it, also where a visitor leaves the slash out.
    """
    root = request.app.root_path.rstrip("/")
    return {"base_url": f"{root}/"} if root and not request.url.path.rstrip("/").endswith("/runs") else {}


def launch_options(t: gr.I18n) -> dict[str, Any]:
    """Arguments with which the page is launched."""
    return {
        "max_file_size": f"{MAX_UPLOAD_MB}mb",
        "theme": build_theme(),
        "css": f"{CSS.read_text(encoding='utf-8')}\n{tile_styles()}",
        "js": build_script(),
        "i18n": t,
        "favicon_path": str(ICON),
        "app_kwargs": {"middleware": [Middleware(OwnHead, title=TITLE, description=load_texts()[FALLBACK]["tagline"])]},
        "footer_links": ["api", "gradio", "settings"],
        "enable_monitoring": False,
        "state_session_capacity": MOST_SESSIONS,
        "show_error": True,
    }


def build_page(pipeline: StyleTransferPipeline, examples: list[Path]) -> tuple[gr.Blocks, dict[str, Any]]:
    """Build the page of a pipeline; return it and its launch arguments."""
    results = find_results(examples)
    t, converter = PageLabels(label_examples(results)), Converter(pipeline)
    tones, repairs, codes = RingtoneTab(pipeline), RepairTab(pipeline), CodesTab(pipeline)
    with Page(title=TITLE, delete_cache=(3600, 3600)) as page:
        gr.api(build_endpoint(converter), api_name="convert", **MODEL)
        gr.api(tones.endpoint(), api_name="ringtone", **MODEL)
        gr.api(repairs.endpoint(), api_name="repair", **MODEL)
        gr.api(codes.endpoint(), api_name="codes", **MODEL)
        gr.api(build_notes_endpoint(), api_name="notes", concurrency_limit=None)
        with gr.Column(elem_id="head"):
            gr.Markdown(f"# {TITLE}", elem_id="title")
            gr.Markdown(t("intro"), elem_id="intro")
            gr.Markdown(describe_limits(), elem_id="limits")
        with gr.Tab(t("convert_tab")):
            controls = build_convert_tab(converter, t, results, page)
        with gr.Tab(t("batch_tab")):
            build_batch_tab(converter, t)
        with gr.Tab(t("tone_tab")):
            tones.build(t)
        with gr.Tab(t("repair_tab")):
            repairs.build(t)
        with gr.Tab(t("codes_tab")):
            codes.build(t, list(results))
        with gr.Tab(t("about_tab")):
            build_about(t)
        connect_link(page, controls)
    gr.set_static_paths([PREVIEWS, BRAND])
    if find_base not in templates.context_processors:
        templates.context_processors.append(find_base)
    keep_deleting(page)
    page.queue(max_size=QUEUE_SIZE)
    page._queue.__class__ = SpeakingQueue
    return page, launch_options(t)
