"""Codes on the page and in the API."""

import base64
import inspect
import io
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
import matplotlib
import numpy as np
import torch
from gradio.data_classes import FileData
from PIL import Image

from stylediff.audio import write_audio
from stylediff.codes import LABELS, SIZES, CodedClip, CodeDictionary, CodeSettings, code_clip, load_dictionary
from stylediff.mel import MelConfig, mel_edges
from stylediff.page.api import path_of, set_parameters, with_request
from stylediff.page.background_jobs import run_steps
from stylediff.page.controls import Labels
from stylediff.page.conversions import Reporter, Step, copy_for_run
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.handlers import draw_lanes
from stylediff.page.html_component import build_html_component
from stylediff.page.inference_thread import LIGHT, MODEL
from stylediff.page.player import Shown, build_player, lane_address, player_value
from stylediff.page.settings import safe_name
from stylediff.page.status import clear_on_error, connect_stop, show_start, show_status
from stylediff.page.temp_folders import new_folder
from stylediff.page.translations import words_for
from stylediff.page.uploads import Clip, load_clip
from stylediff.page.zero_gpu import PASS_SECONDS, START_SECONDS, on_gpu, window_count
from stylediff.pipeline import StyleTransferPipeline
from stylediff.plotting import brightest, colour_image
from stylediff.settings import declarations

CODED_S = 60.0  # of a clip; a map of more would be too wide
SHEET_COLUMNS = 16  # codes in a row of the sheet of pictures
WORDS = ("codes_hint", "codes_cover", "code_pictures", "code_title")

Events = Generator[Step | CodedClip, None, None]


def gpu_seconds(clip: Clip, _settings: CodeSettings) -> int:
    """Return an upper bound of the GPU time in seconds."""
    return math.ceil(START_SECONDS + PASS_SECONDS * window_count(clip.seconds))


class CodesTab:
    """The page's tab of codes and the endpoint, around a pipeline."""

    def __init__(self, pipeline: StyleTransferPipeline) -> None:
        def work(clip: Clip, settings: CodeSettings) -> Events:
            def job(reporter: Reporter) -> CodedClip:
                reporter.check()
                dictionary = load_dictionary(int(settings.size))
                return code_clip(copy_for_run(pipeline), torch.from_numpy(clip.samples), clip.sample_rate, dictionary)

            yield from run_steps(job, total=1)

        self.mel = pipeline.mel
        self.work = on_gpu(work, gpu_seconds)

    def build(self, t: Labels, examples: list[Path]) -> None:
        """Build the tab: clip, size of the codebook, sound and map."""
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                gr.Markdown(t("codes_intro"))
                source = gr.Audio(
                    label=t("source"),
                    sources=["upload", "microphone"],
                    type="filepath",
                    buttons=[],
                    elem_id="codes_source",
                )
                with gr.Row(elem_classes="examples"):
                    gr.Markdown(t("examples"))
                    for path in examples:
                        button = gr.Button(t(path.stem.partition("_")[0]), size="sm")
                        button.click(choose_example(path), None, source, **LIGHT)
                size = gr.Radio(
                    [(f"{number:,}".replace(",", " "), str(number)) for number in SIZES],
                    value=CodeSettings().size, label=t("codes_size"), elem_id="codes_size", elem_classes="buttons",
                )  # fmt: skip
                with gr.Row(elem_classes="actions"):
                    go = gr.Button(t("codes_go"), variant="primary", elem_id="codes_go", elem_classes="go")
                    stop = gr.Button(t("stop"), variant="stop", elem_id="codes_stop", elem_classes="stop")
                status = gr.HTML("", elem_id="codes_status")
            with gr.Column(scale=7, min_width=320):
                code_map = build_html_component("code_map", "code_map")
                player = build_player("codes_player")
        outputs = [status, player, code_map]
        show_start(go, status)

        def run(path: str | None, chosen: str, request: gr.Request) -> Iterator[Any]:
            yield from clear_on_error(self.show(path, chosen, player, request), len(outputs))

        clicked = go.click(
            with_request(run, ["path", "size"]), [source, size], outputs,
            show_progress="hidden", api_visibility="private", **MODEL,
        )  # fmt: skip
        connect_stop(stop, [clicked], status)

    def show(self, path: str | None, size: str, player: gr.HTML, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Code a clip; updates are status, player and map."""
        words = words_for(request.headers.get("accept-language"))
        with as_gradio_errors(words):
            if not path:
                raise PageError("no_clip")
            settings = CodeSettings(size=size)
            yield show_status(words["codes_coding"], 0), gr.skip(), gr.skip()
            started = time.monotonic()
            clip = load_clip(path, 0.0, CODED_S)
            with closing(self.work(clip, settings)) as events:
                coded = next(event for event in events if isinstance(event, CodedClip))
            dictionary = load_dictionary(coded.size)
            before, after = write_sounds(clip, coded)
            title = words["codes_output"].format(size=coded.size)
            shown = Shown(
                title=title, target=title, sounds=(before, after), seconds=clip.seconds, files={"WAV": after},
                pictures=draw_lanes(coded.source_mel, coded.mel, self.mel),
            )  # fmt: skip
            done = words["done"].format(seconds=f"{time.monotonic() - started:.1f}")
            yield show_status(done), player_value(player, shown, words), map_value(coded, dictionary, words)

    def endpoint(self) -> Callable[..., tuple[FileData, dict[str, Any]]]:
        """The function behind ``/codes``."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            inspect.Parameter("source", kind, annotation=FileData),
            *(setting.parameter(name, kind) for name, setting in declarations(CodeSettings).items()),
        ]

        def code_one(*values: Any) -> tuple[FileData, dict[str, Any]]:
            """Turn a clip into codes and back into sound.

            Gives a wav file, and the codes with the number of bits and the error.
            """
            given = dict(zip((parameter.name for parameter in parameters), values, strict=True))
            with as_gradio_errors():
                clip = load_clip(path_of(given.pop("source"), "no_clip"), 0.0, CODED_S)
                settings = CodeSettings.from_dict(given)
                coded = next(event for event in self.work(clip, settings) if isinstance(event, CodedClip))
                _, file = write_sounds(clip, coded)
                facts = settings.to_dict() | {
                    "used": coded.used,
                    "bits_per_second": round(coded.bits_per_second, 1),
                    "error_db": round(coded.error_db, 2),
                    "codes": coded.codes.tolist(),
                }
                return FileData(path=str(file), orig_name=file.name), facts

        return set_parameters(code_one, parameters, tuple[FileData, dict[str, Any]])


def choose_example(path: Path) -> Callable[[], str]:
    """Return a handler that gives the path of an example."""
    return lambda: str(path)


def write_sounds(clip: Clip, coded: CodedClip) -> tuple[Path, Path]:
    """Write the clip and what its codes keep to a new folder."""
    folder = new_folder()
    paths = folder / "source.flac", folder / f"{safe_name(clip.name) or 'clip'}_{coded.size}_codes.wav"
    write_audio(paths[0], torch.from_numpy(clip.samples).mean(0), clip.sample_rate)
    write_audio(paths[1], coded.audio, coded.sample_rate)
    return paths


def map_value(coded: CodedClip, dictionary: CodeDictionary, words: dict[str, str]) -> dict[str, Any]:
    """Value of the map: picture, codes, and a card for each code."""
    codes = coded.codes.numpy()
    used, counts = np.unique(codes, return_counts=True)
    colours = dictionary.colours()
    picture = colour_image(coded.source_mel, brightest([coded.source_mel, coded.mel], dictionary.model.mel))
    numbers = {"used": coded.used, "size": coded.size, "kbits": f"{coded.bits_per_second / 1000:.1f}"}
    return {
        "facts": words["codes_facts"].format(**numbers, error=f"{coded.error_db:.1f}"),
        "picture": lane_address(picture),
        "shape": list(codes.shape),
        "frames": coded.source_mel.shape[-1],
        "codes": base64.b64encode(codes.astype("<u2").tobytes()).decode(),
        "colours": {str(code): colours[code].tolist() for code in used},
        "cards": {
            str(code): describe_code(int(code), count / codes.size, dictionary, words)
            for code, count in zip(used, counts, strict=True)
        },
        "sheet": draw_sheet(used, dictionary),
        "sheet_order": used.tolist(),
        "words": {key: words[key] for key in WORDS},
    }


def draw_sheet(used: np.ndarray, dictionary: CodeDictionary) -> str:
    """Draw the pictures of all codes of a clip on one sheet.

    Returns the address of a picture that contains it.
    """
    strips = [np.concatenate(list(dictionary.pictures(int(code))[:, ::-1]), axis=1) for code in used]
    blank = [np.zeros_like(strips[0])] * (-len(strips) % SHEET_COLUMNS)
    rows = np.stack(strips + blank).reshape(-1, SHEET_COLUMNS, *strips[0].shape)
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    coloured = (matplotlib.colormaps["magma"](sheet)[..., :3] * 255).round().astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(coloured).save(encoded, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def describe_code(code: int, share: float, dictionary: CodeDictionary, words: dict[str, str]) -> list[str]:
    """Sentences about a code.

    Args:
        share: of the clip's codes.
    """
    meanings = dictionary.meanings
    usual = meanings.positions[code] / max(1, meanings.positions.sum())
    lines = [words["code_places"].format(share=percent(share), usual=percent(usual))]
    for label in LABELS:
        value = int(meanings.values[label][code])
        name = meanings.names[label][value]
        if value < 0 or (label == "onset" and name != "onset"):
            continue
        name = band_name(value) if label == "band" else words.get(name, name)
        filled = {"share": percent(meanings.shares[label][code]), "usual": percent(meanings.usual[label][code])}
        lines.append(words[f"code_{label}"].format(**filled, name=name))
    if meanings.values["instrument"][code] < 0:
        lines.append(words["code_no_instrument"])
    return [*lines, words["code_level"].format(level=f"{meanings.level_db[code]:.0f}")]


def band_name(band: int) -> str:
    """Frequencies of a row of patches."""
    edges = mel_edges(MelConfig())[1:-1].reshape(-1, 32)[band]
    return f"{edges[0]:.0f}–{edges[-1]:.0f} Hz"


def percent(share: float) -> str:
    """Share as text; small ones keep a digit behind the point."""
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}"
