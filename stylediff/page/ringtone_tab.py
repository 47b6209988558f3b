"""Ringtones on the page and in the API."""

import inspect
import math
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

from stylediff.audio import read_part
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.api import path_of, set_parameters, with_request
from stylediff.page.background_jobs import run_steps
from stylediff.page.controls import Components, Labels, build_control
from stylediff.page.conversions import Reporter, Step, copy_for_run
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.inference_thread import MODEL
from stylediff.page.sentences import describe_tone
from stylediff.page.status import clear_on_error, connect_stop, show_start, show_status, show_step
from stylediff.page.temp_folders import new_folder
from stylediff.page.translations import words_for
from stylediff.page.zero_gpu import PASS_SECONDS, START_SECONDS, on_gpu, window_count
from stylediff.pipeline import StyleTransferPipeline
from stylediff.plotting import waveform_figure
from stylediff.ringtone import (
    LONGEST_S,
    LONGEST_SOURCE_S,
    ORIGINAL,
    OWN_SETTINGS,
    Ringtone,
    RingtoneSettings,
    make_ringtone,
)
from stylediff.sampling import count_steps
from stylediff.settings import SettingError, declarations
from stylediff.tone_files import FORMATS, read_title, title_from, tone_name, write_tone

ANALYSIS_SECONDS = 20.0  # beats, level and files
KEPT_TITLE = 80

Events = Generator[Step | Ringtone, None, None]


def gpu_seconds(_samples: np.ndarray, _sample_rate: int, settings: RingtoneSettings) -> int:
    """Return an upper bound of a ringtone's GPU time in seconds."""
    passes = window_count(LONGEST_S + 2) * ((settings.steps or 1) + 4)
    return math.ceil(START_SECONDS + ANALYSIS_SECONDS + PASS_SECONDS * passes)


class Toner:
    """Makes ringtones with one pipeline, on a borrowed GPU if available."""

    def __init__(self, pipeline: StyleTransferPipeline) -> None:
        def make(samples: np.ndarray, sample_rate: int, settings: RingtoneSettings) -> Events:
            def job(reporter: Reporter) -> Ringtone:
                return make_ringtone(copy_for_run(pipeline), torch.from_numpy(samples), sample_rate, settings, reporter)

            yield from run_steps(job, count_steps(settings.steps, settings.strength))

        self.pipeline = pipeline
        self.make = on_gpu(make, gpu_seconds)

    def __call__(self, path: str, settings: RingtoneSettings) -> Events:
        """Yield each step, and finally the ringtone of a file."""
        samples, sample_rate, _ = read_part(path, 0.0, LONGEST_SOURCE_S)
        yield from self.make(samples, sample_rate, self.resolve(settings))

    def resolve(self, settings: RingtoneSettings) -> RingtoneSettings:
        """Return settings with a value for each but the start."""
        is_known = settings.to != ORIGINAL
        return settings.resolve(self.pipeline.recommended_settings(settings.to) if is_known else {})


def write_tones(tone: Ringtone, title: str) -> dict[str, Path]:
    """Write a ringtone in every format; return the files by ending."""
    instrument = None if tone.settings.to == ORIGINAL else tone.settings.to
    folder = new_folder()
    files = {ending: folder / f"{tone_name(title, instrument)}{ending}" for ending in FORMATS}
    for path in files.values():
        write_tone(path, tone.audio, tone.sample_rate, title, tone.settings.loop)
    return files


def find_title(title: str | None, path: str) -> str:
    """Return the title given, else the file's, else one from its name."""
    return (title or "").strip()[:KEPT_TITLE] or read_title(Path(path)) or title_from(Path(path).stem)


def plot_phrase(path: str, tone: Ringtone) -> Image.Image:
    """Plot the piece with the part that rings, and the beats."""
    samples, sample_rate, _ = read_part(path, 0.0, LONGEST_SOURCE_S)
    phrase = tone.phrase
    return waveform_figure(samples.mean(0), sample_rate, [(phrase.start_s, phrase.end_s)], phrase.beats_s)


def build_tone_controls(t: Labels) -> Components:
    """Controls of the settings that only ringtones have."""

    def label(key: str) -> Any:
        return t(key) if key in ("auto", "on", "off") else t(f"tone_{key}")

    settings = declarations(RingtoneSettings)
    choices = [(t("tone_original"), ORIGINAL), *((t(name), name) for name in INSTRUMENT_NAMES)]
    to = gr.Radio(choices, value=ORIGINAL, label=t("target"), elem_id="tone_to", elem_classes="buttons")
    shown: Components = {"to": to}
    shown |= {name: build_control(name, settings[name], label, f"tone_{name}") for name in ("seconds", "loop")}
    with gr.Accordion(t("advanced"), open=False, elem_id="tone_advanced"):
        shown |= {name: build_control(name, settings[name], label, f"tone_{name}") for name in ("start_s", "fade")}
        shown["seed"] = gr.Number(0, label=t("seed"), precision=0, minimum=0, elem_id="tone_seed")
    return shown


class RingtoneTab:
    """The page's ringtone tab and the endpoint, around a pipeline."""

    def __init__(self, pipeline: StyleTransferPipeline) -> None:
        self.toner = Toner(pipeline)

    def build(self, t: Labels) -> None:
        """Build the tab: piece, instrument, length, and the tone as files."""
        with gr.Row():
            with gr.Column():
                gr.Markdown(t("tone_intro"))
                source = gr.Audio(
                    label=t("source"),
                    sources=["upload", "microphone"],
                    type="filepath",
                    buttons=[],
                    elem_id="tone_source",
                )
                controls = build_tone_controls(t)
                title = gr.Textbox(label=t("tone_title"), placeholder=t("auto"), max_lines=1, elem_id="tone_title")
            with gr.Column():
                with gr.Row(elem_classes="actions"):
                    go = gr.Button(t("tone_go"), variant="primary", elem_id="tone_go", elem_classes="go")
                    stop = gr.Button(t("stop"), variant="stop", elem_id="tone_stop", elem_classes="stop")
                status = gr.HTML("", elem_id="tone_status")
                output = gr.Audio(
                    label=t("tone_output"), type="filepath", interactive=False, loop=True, elem_id="tone_output"
                )
                files = gr.File(
                    label=t("tone_files"), file_count="multiple", interactive=False, height=260, elem_id="tone_files"
                )
                facts = gr.Markdown(elem_id="tone_facts")
        picture = gr.Image(
            show_label=False, label=t("tone_part"), type="pil", format="png", interactive=False, elem_id="tone_part"
        )
        names = list(controls)

        def make(path: str | None, title: str, *values: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
            updates = self.show(path, title, dict(zip(names, values, strict=True)), request)
            yield from clear_on_error(updates, 5)

        show_start(go, status)
        run = go.click(
            with_request(make, ["path", "title", *names]),
            [source, title, *controls.values()],
            [status, output, files, facts, picture],
            show_progress="hidden",
            api_visibility="private",
            **MODEL,
        )
        connect_stop(stop, [run], status)

    def show(
        self, path: str | None, title: str, values: dict[str, Any], request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Make a ringtone; updates are status, sound, files, facts and picture."""
        words = words_for(request.headers.get("accept-language"))
        with as_gradio_errors(words):
            if not path:
                raise PageError("no_clip")
            settings = RingtoneSettings.from_dict(values | {"seed": values["seed"] or 0})
            yield show_status(words["tone_listening"], 0), gr.skip(), gr.skip(), gr.skip(), gr.skip()
            started = time.monotonic()
            with closing(self.toner(path, settings)) as events:
                for event in events:
                    if isinstance(event, Step):
                        yield show_step(event, words), gr.skip(), gr.skip(), gr.skip(), gr.skip()
                        continue
                    files = write_tones(event, find_title(title, path))
                    done = words["done"].format(seconds=f"{time.monotonic() - started:.1f}")
                    paths = [str(file) for file in files.values()]
                    yield show_status(done), paths[-1], paths, describe_tone(event, words), plot_phrase(path, event)

    def endpoint(self) -> Callable[..., tuple[FileData, dict[str, Any]]]:
        """The function behind ``/ringtone``."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        settings = declarations(RingtoneSettings)
        order = [*OWN_SETTINGS, *(name for name in settings if name not in OWN_SETTINGS)]
        parameters = [
            inspect.Parameter("source", kind, annotation=FileData),
            *(settings[name].parameter(name, kind) for name in order),
            inspect.Parameter("format", kind, default="m4r", annotation=str),
            inspect.Parameter("title", kind, default=None, annotation=str | None),
        ]

        def ringtone(*values: Any) -> tuple[FileData, dict[str, Any]]:
            """Make a ringtone of the best part of a piece.

            Gives the file, and the part that was chosen.
            """
            given = dict(zip((parameter.name for parameter in parameters), values, strict=True))
            with as_gradio_errors():
                path, ending = path_of(given.pop("source"), "no_clip"), f".{given.pop('format')}"
                if ending not in FORMATS:
                    known = ", ".join(name[1:] for name in FORMATS)
                    raise SettingError(f"format must be one of {known}, got {ending[1:]!r}")
                title = find_title(given.pop("title"), path)
                tone = next(e for e in self.toner(path, RingtoneSettings.from_dict(given)) if isinstance(e, Ringtone))
                file = write_tones(tone, title)[ending]
                phrase = tone.phrase
                facts = tone.settings.to_dict() | {
                    "title": title,
                    "start_s": round(phrase.start_s, 3),
                    "end_s": round(phrase.end_s, 3),
                    "duration_s": round(tone.seconds, 3),
                    "bars": phrase.bars,
                    "beats_a_minute": round(phrase.tempo, 1),
                    "loudness_lufs": round(tone.loudness_lufs, 1),
                }
                if tone.is_mix:
                    facts["warning"] = words_for(None)["is_mix"]
                return FileData(path=str(file), orig_name=file.name), facts

        return set_parameters(ringtone, parameters, tuple[FileData, dict[str, Any]])
