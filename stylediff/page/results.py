"""What a conversion leaves behind: sound in two formats, its settings, pictures, and a line of facts."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stylediff.audio import loudness_gain, to_mono, write_audio
from stylediff.mel import MelConfig
from stylediff.output import StyleTransferOutput
from stylediff.page.choices import Choices, file_stem
from stylediff.page.clips import Clip
from stylediff.page.scratch import new_folder
from stylediff.plotting import mels_to_image

PREVIEW_SIZE = (1200, 400)


@dataclass(frozen=True)
class ResultFiles:
    """Files of one result, in a folder of their own: the clip as it was taken, the result, and its settings."""

    source: Path
    wav: Path
    flac: Path
    settings: Path


def style_name(choices: Choices, reference: Clip | None) -> str:
    """What a result is called after: the instrument, or the reference clip."""
    return choices.target if reference is None else f"like_{reference.name}"


def write_files(
    clip: Clip, output: StyleTransferOutput, choices: Choices, reference: Clip | None = None
) -> ResultFiles:
    """Writes a result as wav, flac and settings."""
    folder = new_folder()
    stem = file_stem(clip.name, style_name(choices, reference), choices.seed)
    files = ResultFiles(*(folder / name for name in ("source.wav", f"{stem}.wav", f"{stem}.flac", f"{stem}.json")))
    write_audio(files.source, torch.from_numpy(clip.samples), clip.sample_rate)
    write_audio(files.wav, output.audio, output.sample_rate)
    write_audio(files.flac, output.audio, output.sample_rate)
    names = {"source": clip.name} | ({} if reference is None else {"reference": reference.name})
    files.settings.write_text(json.dumps(choices.to_dict() | names, indent=1))
    return files


def louder_by_db(clip: Clip, output: StyleTransferOutput, config: MelConfig) -> float:
    """By how many decibels a result is louder than its clip, over the sounding parts of both."""
    source = loudness_gain(to_mono(torch.from_numpy(clip.samples), clip.sample_rate, config.sample_rate))
    result = loudness_gain(to_mono(output.audio, output.sample_rate, config.sample_rate))
    return 20 * float(np.log10(source / result))


def draw_preview(source_mel: torch.Tensor | None, mel: torch.Tensor, config: MelConfig) -> Image.Image:
    """A log-mel that is still being denoised, beside its source; quick, without axes."""
    mels = [mel] if source_mel is None else [source_mel, mel]
    pictures = [mels_to_image([one], config) for one in mels]
    gap = np.full((pictures[0].shape[0], 4, 3), 128, np.uint8)
    joined = np.concatenate([pictures[0], *(part for picture in pictures[1:] for part in (gap, picture))], axis=1)
    return Image.fromarray(joined).resize(PREVIEW_SIZE)
