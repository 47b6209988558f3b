"""Repair on the page and in the API."""

import inspect
import math
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from gradio.data_classes import FileData
from PIL import Image

from stylediff.audio import resample
from stylediff.damage import Damage
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import normalized_mel
from stylediff.page.api import path_of, set_parameters, with_request
from stylediff.page.background_jobs import run_steps
from stylediff.page.controls import Components, Labels, build_control
from stylediff.page.conversions import Reporter, Step, copy_for_run
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.inference_thread import MODEL
from stylediff.page.player import Shown, build_player, player_value
from stylediff.page.sentences import describe_repair
from stylediff.page.settings import safe_name, sample_seed
from stylediff.page.status import clear_on_error, connect_stop, show_start, show_status, show_step
from stylediff.page.temp_folders import new_folder
from stylediff.page.translations import words_for
from stylediff.page.uploads import MAX_SECONDS, Clip, load_clip
from stylediff.page.zero_gpu import PASS_SECONDS, START_SECONDS, on_gpu
from stylediff.pipeline import StyleTransferPipeline
from stylediff.plotting import STRIP_SIZE, repair_figure, waveform_strip
from stylediff.repair import RECOGNISED, Repair, RepairSettings, read_gaps, repair, write_exact
from stylediff.settings import declarations

MOST_GAPS = 20  # longer ones that the time on a borrowed GPU is counted for
SUBTYPE = "PCM_24"

Events = Generator[Step | Repair, None, None]


def gpu_seconds(clip: Clip, _gaps: list[Damage], settings: RepairSettings) -> int:
    """Return an upper bound of a repair's GPU time in seconds."""
    return math.ceil(START_SECONDS + clip.seconds / 4 + PASS_SECONDS * MOST_GAPS * (settings.steps + 4))


def split_gaps(text: str | None) -> list[Damage]:
    """Gaps of a text, as "1.20-1.45, 3-3.1"."""
    return read_gaps([part for part in re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text or "")) if part])


class RepairTab:
    """The page's repair tab and the endpoint, around a pipeline."""

    def __init__(self, pipeline: StyleTransferPipeline) -> None:
        def work(clip: Clip, gaps: list[Damage], settings: RepairSettings) -> Events:
            def job(reporter: Reporter) -> Repair:
                reporter.check()
                own, waveform = copy_for_run(pipeline), torch.from_numpy(clip.samples)
                return repair(own, waveform, clip.sample_rate, gaps, settings, reporter.report)

            yield from run_steps(job, total=1)

        self.mel = pipeline.mel
        self.work = on_gpu(work, gpu_seconds)

    def build(self, t: Labels) -> None:
        """Build the tab: recording, damage, and the repaired recording."""
        with gr.Row():
            with gr.Column():
                gr.Markdown(t("repair_intro"))
                source = gr.Audio(
                    label=t("source"),
                    sources=["upload", "microphone"],
                    type="filepath",
                    buttons=[],
                    elem_id="repair_source",
                )
                gr.Markdown(t("repair_mark"))
                strip = gr.Image(
                    show_label=False, label=t("repair_mark"), type="numpy", format="png", interactive=False,
                    visible=False, buttons=[], elem_id="repair_strip",
                )  # fmt: skip
                controls = build_repair_controls(t)
            with gr.Column():
                with gr.Row(elem_classes="actions"):
                    go = gr.Button(t("repair_go"), variant="primary", elem_id="repair_go", elem_classes="go")
                    stop = gr.Button(t("stop"), variant="stop", elem_id="repair_stop", elem_classes="stop")
                    again = gr.Button(t("reroll"), elem_id="repair_again", elem_classes="go")
                outputs = build_repair_outputs()
        outputs["picture"] = gr.Image(
            show_label=False, label=t("repair_parts"), type="pil", format="png", interactive=False,
            elem_id="repair_parts",
        )  # fmt: skip
        connect_strip(source, strip, controls["gaps"])
        shown = [*outputs.values(), controls["seed"]]
        buttons = ((go, False), (again, True))
        runs = [self.connect_run(button, new_seed, source, controls, shown) for button, new_seed in buttons]
        connect_stop(stop, runs, outputs["status"])

    def connect_run(
        self, button: gr.Button, new_seed: bool, source: gr.Audio, controls: Components, outputs: list[Any]
    ) -> Any:
        """Make a button repair the recording, perhaps with a new seed."""
        names, player = list(controls), outputs[1]
        show_start(button, outputs[0])

        def run(path: str | None, *values: Any, request: gr.Request) -> Iterator[Any]:
            given = dict(zip(names, values, strict=True))
            given["seed"] = sample_seed() if new_seed else given["seed"] or 0
            yield from clear_on_error(self.show(path, given, player, request), len(outputs))

        return button.click(
            with_request(run, ["path", *names]),
            [source, *controls.values()],
            outputs,
            show_progress="hidden",
            api_visibility="private",
            **MODEL,
        )

    def show(
        self, path: str | None, values: dict[str, Any], player: gr.HTML, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Repair a recording; updates are status, player, facts, picture and seed."""
        words, idle = words_for(request.headers.get("accept-language")), (gr.skip(),) * 3
        with as_gradio_errors(words):
            if not path:
                raise PageError("no_clip")
            gaps, settings = split_gaps(values["gaps"]), RepairSettings.from_dict(values)
            yield show_status(words["repair_listening"], 0), *idle, settings.seed
            started = time.monotonic()
            clip = load_clip(path, 0.0, MAX_SECONDS)
            with closing(self.work(clip, gaps, settings)) as events:
                for event in events:
                    if isinstance(event, Step):
                        yield show_step(event, words), *idle, gr.skip()
                        continue
                    before, after = write_pair(clip, event)
                    done = words["done"].format(seconds=f"{time.monotonic() - started:.1f}")
                    shown = Shown(
                        title=after.stem, target=words["repair_output"], sounds=(before, after), pictures=(),
                        seconds=clip.seconds, files={"WAV": after},
                    )  # fmt: skip
                    value = player_value(player, shown, words)
                    yield (
                        show_status(done),
                        value,
                        describe_repair(event, words),
                        self.plot(clip, event, words),
                        settings.seed,
                    )

    def plot(self, clip: Clip, result: Repair, words: dict[str, str]) -> Image.Image:
        """Plot both spectrograms with the repaired parts marked."""
        mels = []
        for samples in (torch.from_numpy(clip.samples), result.audio):
            mono = resample(samples.mean(0), clip.sample_rate, self.mel.sample_rate)
            mels.append(normalized_mel(mono, self.mel)[0][0, 0])
        spans = [(damage.start_s, damage.end_s) for damage in result.damages]
        return repair_figure(mels[0], mels[1], (words["repair_before"], words["repair_after"]), spans, self.mel)

    def endpoint(self) -> Callable[..., tuple[FileData, dict[str, Any]]]:
        """The function behind ``/repair``."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            inspect.Parameter("source", kind, annotation=FileData),
            inspect.Parameter("gaps", kind, default="", annotation=str),
            *(setting.parameter(name, kind) for name, setting in declarations(RepairSettings).items()),
        ]

        def repair_one(*values: Any) -> tuple[FileData, dict[str, Any]]:
            """Repair damaged parts of a recording, its noise, and losses of codecs.

            Gives a wav file of the same length, rate and channels, and the parts that were repaired.
            """
            given = dict(zip((parameter.name for parameter in parameters), values, strict=True))
            with as_gradio_errors():
                path, gaps = path_of(given.pop("source"), "no_clip"), split_gaps(given.pop("gaps"))
                clip, settings = load_clip(path, 0.0, MAX_SECONDS), RepairSettings.from_dict(given)
                result = next(e for e in self.work(clip, gaps, settings) if isinstance(e, Repair))
                _, file = write_pair(clip, result)
                parts = [
                    {"start_s": round(part.start_s, 4), "end_s": round(part.end_s, 4), "kind": part.kind}
                    for part in result.damages
                ]
                facts = settings.to_dict() | {"parts": parts, "noise": result.noise and result.noise.describe()}
                return FileData(path=str(file), orig_name=file.name), facts

        return set_parameters(repair_one, parameters, tuple[FileData, dict[str, Any]])


def build_repair_controls(t: Labels) -> Components:
    """Controls of a repair: how damage is found, and the settings."""

    def label(key: str) -> Any:
        return t(f"repair_{key}")

    settings = declarations(RepairSettings)
    shown: Components = {"auto": gr.Checkbox(True, label=label("auto"), elem_id="repair_auto")}
    shown["gaps"] = gr.Textbox("", label=label("gaps"), max_lines=2, elem_id="repair_gaps")
    shown["denoise"] = build_control("denoise", settings["denoise"], label, "repair_denoise")
    with gr.Accordion(t("advanced"), open=False, elem_id="repair_advanced"):
        choices = [(t("repair_recognised"), RECOGNISED), *((t(name), name) for name in INSTRUMENT_NAMES)]
        shown["instrument"] = gr.Radio(
            choices, value=RECOGNISED, label=label("instrument"), elem_id="repair_instrument", elem_classes="buttons"
        )
        for name in ("steps", "temperature"):
            shown[name] = build_control(name, settings[name], label, f"repair_{name}")
        shown["seed"] = gr.Number(0, label=t("seed"), precision=0, minimum=0, elem_id="repair_seed")
    return shown


def build_repair_outputs() -> Components:
    """Components that show a repaired recording, in the order of ``show``."""
    return {
        "status": gr.HTML("", elem_id="repair_status"),
        "player": build_player("repair_player"),
        "facts": gr.Markdown(elem_id="repair_facts"),
    }


def connect_strip(source: gr.Audio, strip: gr.Image, gaps: gr.Textbox) -> None:
    """Let damaged parts be marked by two taps on the drawn recording."""
    start = gr.State(None)
    private = {"api_visibility": "private", "queue": False}
    source.change(show_strip, [source, gaps], [strip, start], **private)
    gaps.change(show_strip, [source, gaps], [strip, start], **private)
    strip.select(mark_gap, [source, gaps, start], [gaps, start, strip], **private)


def show_strip(path: str | None, text: str) -> tuple[Any, None]:
    """Draw the recording with the damaged parts that are named."""
    if not path:
        return gr.update(visible=False), None
    with as_gradio_errors():
        clip = load_clip(path, 0.0, MAX_SECONDS)
    try:
        gaps = split_gaps(text)
    except ValueError:  # still being typed
        gaps = []
    spans = [(gap.start_s / clip.seconds, gap.end_s / clip.seconds) for gap in gaps]
    return gr.update(value=waveform_strip(clip.samples.mean(0), spans), visible=True), None


def mark_gap(path: str, text: str, start_s: float | None, event: gr.SelectData) -> tuple[Any, Any, Any]:
    """Mark the start of a damaged part, then its end."""
    clip = load_clip(path, 0.0, MAX_SECONDS)
    clicked_s = float(event.index[0]) / STRIP_SIZE[1] * clip.seconds
    if start_s is None:
        here = clicked_s / clip.seconds
        return gr.skip(), clicked_s, waveform_strip(clip.samples.mean(0), [(here, here)])
    first, last = sorted((start_s, clicked_s))
    new = f"{first:.3f}-{max(last, first + 0.001):.3f}"
    return ", ".join(filter(None, (text, new))), None, gr.skip()


def write_pair(clip: Clip, result: Repair) -> tuple[Path, Path]:
    """Write the recording before and after to a new folder."""
    folder = new_folder()
    paths = folder / "source.wav", folder / f"{safe_name(clip.name) or 'clip'}_repaired.wav"
    for path, samples in zip(paths, (np.asarray(clip.samples), result.audio.numpy()), strict=True):
        write_exact(path, torch.from_numpy(samples), clip.sample_rate, SUBTYPE)
    return paths
