"""Batch conversion: several files with the same settings, and a zip."""

import html
import inspect
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from stylediff.audio import write_audio
from stylediff.containers import UNEXPECTED
from stylediff.page.api import set_parameters
from stylediff.page.conversions import Converter, Step
from stylediff.page.errors import PageError, as_gradio_errors, explain
from stylediff.page.settings import PRESETS, Choices, whole_stem
from stylediff.page.status import clear_on_error, show_status
from stylediff.page.temp_folders import new_folder, serve
from stylediff.page.translations import words_for
from stylediff.page.uploads import MAX_SECONDS, Clip, load_clip
from stylediff.pipeline import StyleTransferOutput
from stylediff.settings import LEFT_TO_THE_MODEL, Setting, TransferSettings, declarations

Line = tuple[str, str, str]  # a file's name, the name of its result or an error, the address of its sound if any


def convert_clip(
    converter: Converter, clip: Clip, choices: Choices, folder: Path
) -> Generator[Step | Path, None, None]:
    """Convert one clip to a file in a folder.

    Yields its steps, then the path of the result.
    """
    with closing(converter(clip, choices)) as events:
        for event in events:
            if isinstance(event, Step):
                yield event
            elif isinstance(event, StyleTransferOutput):
                result = unused_path(folder, whole_stem(clip.name, choices.target, choices.seed))
                write_audio(result, event.audio, event.sample_rate)
                yield result


def unused_path(folder: Path, stem: str) -> Path:
    """Path of a result, numbered if several sources have the same name."""
    names = (f"{stem}{number}" for number in ("", *(f"_{count}" for count in range(2, 10_000))))
    return next(path for name in names if not (path := folder / f"{name}.wav").exists())


def show_lines(lines: list[Line]) -> str:
    """Show outcomes so far as Markdown, with players of the results."""
    rows = [
        f"| {plain(name)} | {plain(outcome)} | {show_sound(outcome, address)} |" for name, outcome, address in lines
    ]
    return "\n".join(["| | | |", "|---|---|---|", *rows])


def show_sound(name: str, address: str) -> str:
    """Player of a sound; empty without an address."""
    if not address:
        return ""
    return f'<audio controls preload="none" aria-label="{html.escape(name)}" src="{html.escape(address)}"></audio>'


def plain(text: str) -> str:
    """Text for a cell of a table, without Markdown's and HTML's signs."""
    return html.escape(text.replace("|", "/"), quote=False).replace("[", "&#91;")


def pack(folder: Path) -> str:
    """Zip the wav files of a folder, in the same folder."""
    archive = folder / "stylediff.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.glob("*.wav")):
            packed.write(path, path.name)
    return str(archive)


class Batches:
    """Batch tab of the page, for a converter.

    Args:
        table: component that shows the outcomes, if there is a page: its folder serves their sounds.
    """

    def __init__(self, converter: Converter, table: gr.Markdown | None = None) -> None:
        self.converter, self.table = converter, table

    def address(self, path: Path) -> str:
        """Address of a result on the page, relative to it."""
        return serve(self.table, path) if self.table else ""

    def endpoint(self, names: list[str]) -> Callable[..., Iterator[tuple[Any, Any, Any]]]:
        """Return ``convert_all`` with one positional parameter for each setting."""
        *own, request, _ = inspect.signature(self.convert_all).parameters.values()
        settings = declarations(TransferSettings)
        given = [settings[name].parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        parameters = [*own, *given, request.replace(default=None)]  # gradio provides it

        def convert_files(*values: Any) -> Iterator[tuple[Any, Any, Any]]:
            given = dict(zip((p.name for p in parameters), values, strict=True))
            yield from clear_on_error(self.convert_all(**given), 3)

        return set_parameters(convert_files, parameters)

    def convert_all(
        self, paths: list[str] | None, target: str, preset: str, seed: float, request: gr.Request, **settings: Any
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Convert files in turn.

        Each update has a status and a table of outcomes, and the last one a zip of the results.

        A bad file does not stop the others. Finished results are kept if the batch is stopped.

        Args:
            preset: name of the preset for settings that ``settings`` leaves open.
        """
        words = words_for(request.headers.get("accept-language"))
        with as_gradio_errors(words):
            if not paths:
                raise PageError("no_clip")
            Setting(default="balanced", choices=tuple(PRESETS)).read("preset", preset)
            given = {name: value for name, value in settings.items() if value not in LEFT_TO_THE_MODEL}
            chosen = {"target": target, "seed": seed or 0, "length_s": MAX_SECONDS}
            choices = Choices.from_dict(PRESETS[preset] | given | chosen)
            folder = new_folder()
            lines: list[Line] = []
            for number, path in enumerate(map(Path, paths), 1):
                title = words["file_of"].format(number=number, total=len(paths), name=path.name)
                try:
                    clip = load_clip(path, choices.start_s, choices.length_s)
                    warning = f": {words['is_mix']}" if self.converter.is_mix(clip) else ""
                    with closing(convert_clip(self.converter, clip, choices, folder)) as events:
                        for event in events:
                            if isinstance(event, Step):
                                share = (number - 1 + event.number / event.total) / len(paths)
                                yield show_status(title, share), gr.skip(), gr.skip()
                            else:
                                lines.append((path.name, event.name + warning, self.address(event)))
                except (ValueError, *UNEXPECTED) as error:
                    lines.append((path.name, explain(error, words), ""))
                results = sorted(map(str, folder.glob("*.wav")))
                yield show_status(title, number / len(paths)), show_lines(lines), results or gr.skip()
            yield show_status(f"{len(results)} / {len(paths)}"), show_lines(lines), pack(folder)
