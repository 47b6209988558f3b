"""The endpoint that programs call: a file and settings in, a file and what was done out."""

from collections.abc import Callable
from typing import Any

from gradio.data_classes import FileData
from gradio_client.utils import is_file_obj_with_meta

from stylediff.audio import write_audio
from stylediff.dynamics import DYNAMICS
from stylediff.mel import MelConfig
from stylediff.page.conversions import Converter
from stylediff.page.handlers import NO_CLIP, NO_REFERENCE, sentences
from stylediff.page.result_files import style_name
from stylediff.page.settings import Choices, file_stem
from stylediff.page.temp_folders import new_folder
from stylediff.page.uploads import MAX_SECONDS, load_clip
from stylediff.pipeline import StyleTransferOutput
from stylediff.sampling import STEPS


def path_of(file: Any, refusal: str) -> str:
    """Where an uploaded file is.

    gradio hands over whatever was sent, and has looked whether a path was uploaded only in a dictionary that is marked
    as a file: any other could name every file of this machine.

    Raises:
        ValueError: not an uploaded file; the message is ``refusal``.
    """
    if not is_file_obj_with_meta(file):
        raise ValueError(refusal)
    return file["path"]


def build_endpoint(converter: Converter, mel: MelConfig) -> Callable[..., tuple[FileData, dict[str, Any]]]:
    """The function behind ``/convert``."""

    def convert_one(
        source: FileData,
        target: str = "violin",
        steps: int = STEPS,
        guidance: float = 1.0,
        strength: float = 1.0,
        seed: int = 0,
        start_s: float = 0.0,
        length_s: float = MAX_SECONDS,
        reference: FileData | None = None,
        like: float = 1.0,
        dynamics: float = DYNAMICS,
        enhance: bool = True,
    ) -> tuple[FileData, dict]:
        """Plays a clip with another instrument, named or heard in a reference clip.

        Gives a wav file, the settings used, and what was taken of the clip.
        """
        with sentences():
            last = (start_s, length_s, like, dynamics, enhance)
            choices = Choices.from_values(target, steps, guidance, strength, seed, *last)
            clip = load_clip(path_of(source, NO_CLIP), choices.start_s, choices.length_s)
            heard = load_clip(path_of(reference, NO_REFERENCE), 0.0, MAX_SECONDS) if reference else None
            output = next(e for e in converter(clip, choices, 0, heard) if isinstance(e, StyleTransferOutput))
            file = new_folder() / f"{file_stem(clip.name, style_name(choices, heard), choices.seed)}.wav"
            write_audio(file, output.audio, output.sample_rate)
            facts = choices.to_dict() | {"clip": clip.describe(mel), "seconds": round(clip.seconds, 3)}
            return FileData(path=str(file), orig_name=file.name), facts

    return convert_one
