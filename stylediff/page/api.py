"""API: a file and settings in, a file and a description out."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.data_classes import FileData
from gradio_client.utils import is_file_obj_with_meta

from stylediff.containers import LOSSLESS
from stylediff.output_files import describe_result, write_result
from stylediff.page.conversions import Converter
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.result_files import style_name
from stylediff.page.settings import Choices, file_stem
from stylediff.page.temp_folders import new_folder
from stylediff.page.translations import words_for
from stylediff.page.uploads import MAX_SECONDS, REFERENCE_S, load_clip
from stylediff.pipeline import StyleTransferOutput
from stylediff.settings import declarations

# Programs may send values without names: these keep their positions, and new settings come after them.
FIRST = (
    "source", "target", "steps", "guidance", "strength", "seed", "start_s", "length_s", "reference", "like",
    "dynamics", "enhance",
)  # fmt: skip


def path_of(file: Any, key: str) -> str:
    """Path of an uploaded file.

    gradio passes on any value that was sent. It verifies that a path was uploaded only in a dictionary that is marked
    as a file; any other value could name any file of this machine.

    Raises:
        PageError: not an uploaded file; ``key`` is that of the sentence.
    """
    if not isinstance(file, dict) or not isinstance(file.get("meta"), dict) or not is_file_obj_with_meta(file):
        raise PageError(key)
    return file["path"]


def set_parameters(
    function: Callable[..., Any], parameters: list[inspect.Parameter], returns: Any = inspect.Signature.empty
) -> Callable[..., Any]:
    """Declare the parameters of a function that takes ``*values``.

    gradio reads them from the signature.
    """
    function.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": returns}
    return function


def with_request(function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """Return a handler with named parameters and a request.

    gradio fills the request in.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, annotation=Any) for name in names]
    request = inspect.Parameter("request", kind, default=None, annotation=gr.Request)

    def handler(*values: Any) -> Iterator[Any]:
        yield from function(*values[:-1], request=values[-1])

    return set_parameters(handler, [*parameters, request])


def endpoint_parameters() -> list[inspect.Parameter]:
    """Parameters of ``/convert``: the clips and the fields of ``Choices``."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = {
        "source": inspect.Parameter("source", kind, annotation=FileData),
        "reference": inspect.Parameter("reference", kind, default=None, annotation=FileData | None),
    }
    parameters |= {name: setting.parameter(name, kind) for name, setting in declarations(Choices).items()}
    parameters["length_s"] = parameters["length_s"].replace(default=MAX_SECONDS)
    return [parameters[name] for name in dict.fromkeys([*FIRST, *parameters])]


def build_endpoint(converter: Converter) -> Callable[..., tuple[FileData, dict[str, Any]]]:
    """Build the function of ``/convert``."""
    parameters = endpoint_parameters()

    def convert_one(*values: Any) -> tuple[FileData, dict[str, Any]]:
        """Play a clip with another instrument, by name or by clip.

        Returns a file, the settings used, and the part of the clip used.
        """
        given = dict(zip((parameter.name for parameter in parameters), values, strict=True))
        with as_gradio_errors():
            source, reference = given.pop("source"), given.pop("reference")
            choices = converter.resolve(Choices.from_dict(given), bool(reference))
            clip = load_clip(path_of(source, "no_clip"), choices.start_s, choices.length_s)
            reference_clip = load_clip(path_of(reference, "no_reference"), 0.0, REFERENCE_S) if reference else None
            output = next(e for e in converter(clip, choices, reference_clip) if isinstance(e, StyleTransferOutput))
            choices = replace(choices, transpose=output.settings.transpose)  # as it was fitted
            style = style_name(choices, reference_clip)
            file = new_folder() / f"{file_stem(clip.name, style, choices.seed)}.{choices.format}"
            subtype = choices.subtype if file.suffix in LOSSLESS else None
            tags = describe_result(clip.name, output.voice or style, choices.describe())
            write_result(file, output.audio, output.sample_rate, subtype, tags)
            facts = choices.to_dict() | {"voice": output.voice, "clip": clip.describe(converter.pipeline.mel)}
            if converter.is_mix(clip):
                facts["warning"] = words_for(None)["is_mix"]
            if notes := clip.notes(words_for(None)):
                facts["notes"] = notes
            return FileData(path=str(file), orig_name=file.name), facts | {"seconds": round(clip.seconds, 3)}

    return set_parameters(convert_one, parameters, tuple[FileData, dict[str, Any]])
