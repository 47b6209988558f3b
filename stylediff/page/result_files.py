"""Files of a result: sound, settings, pictures, and a description."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stylediff.audio import loudness_gain, to_mono, write_audio
from stylediff.mel import MelConfig
from stylediff.page.settings import Choices, file_stem
from stylediff.page.temp_folders import new_folder
from stylediff.page.uploads import Clip
from stylediff.plotting import mels_to_image

PREVIEW_SIZE = (1200, 400)


@dataclass(frozen=True)
class ResultFiles:
    """Files of one result in one folder.

    The folder holds the part of the clip used, the result, and its settings.
    """

    source: Path
    wav: Path
    flac: Path
    settings: Path


def style_name(choices: Choices, reference: Clip | None) -> str:
    """Name of the target: instrument or reference clip."""
    return choices.target if reference is None else f"like_{reference.name}"


def show_facts(clip: Clip, choices: Choices, voice: str | None, config: MelConfig) -> str:
    """Describe a conversion in two lines of Markdown.

    The first line is the part of the clip, the second voice and settings.
    """
    return f"{clip.describe(config)}\n\n{f'{voice}, ' if voice else ''}{choices.describe()}"


def write_files(
    clip: Clip,
    audio: torch.Tensor,
    sample_rate: int,
    choices: Choices,
    voice: str | None,
    reference: Clip | None = None,
) -> ResultFiles:
    """Write a result as 16-bit wav and 24-bit flac, with its settings.

    Args:
        choices: the settings used.
        voice: the target's voice, or None.
        reference: the reference clip, or None.
    """
    folder = new_folder()
    stem = file_stem(clip.name, style_name(choices, reference), choices.seed)
    files = ResultFiles(*(folder / name for name in ("source.wav", f"{stem}.wav", f"{stem}.flac", f"{stem}.json")))
    write_audio(files.source, torch.from_numpy(clip.samples), clip.sample_rate)
    write_audio(files.wav, audio, sample_rate)
    write_audio(files.flac, audio, sample_rate, bits=24)
    names = {"source": clip.name, "reference": reference and reference.name, "voice": voice}
    named = {key: name for key, name in names.items() if name is not None}
    files.settings.write_text(json.dumps(choices.to_dict() | named, indent=1))
    return files


def louder_by_db(clip: Clip, audio: torch.Tensor, sample_rate: int, config: MelConfig) -> float:
    """Loudness difference of a result to its clip, in dB.

    Only moments in which both sound count.
    """
    source = loudness_gain(to_mono(torch.from_numpy(clip.samples), clip.sample_rate, config.sample_rate))
    result = loudness_gain(to_mono(audio, sample_rate, config.sample_rate))
    return 20 * float(np.log10(source / result))


def plot_preview(source_mel: torch.Tensor, mel: torch.Tensor, config: MelConfig) -> Image.Image:
    """Plot a log-mel that is still being denoised beside its source.

    Both have the shape (mels, frames). Without axes, this is fast.
    """
    before, now = (mels_to_image([one], config) for one in (source_mel, mel))
    gap = np.full((before.shape[0], 4, 3), 128, np.uint8)
    return Image.fromarray(np.concatenate([before, gap, now], axis=1)).resize(PREVIEW_SIZE)
