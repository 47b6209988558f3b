"""Files of a result: sounds, settings, and a picture."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stylediff.audio import loudness_gain, to_mono, write_audio
from stylediff.mel import MelConfig
from stylediff.output_files import describe_result, write_result
from stylediff.page.settings import Choices, file_stem
from stylediff.page.temp_folders import new_folder
from stylediff.page.uploads import Clip
from stylediff.plotting import brightest, drawable, mels_to_image, spectrogram_figure
from stylediff.waveform import mix_channels

PREVIEW_SIZE = (900, 240)


@dataclass(frozen=True)
class ResultFiles:
    """Files of one result in one folder.

    The folder holds the part of the clip used, the result, and its settings.
    """

    source: Path
    wav: Path
    flac: Path
    mp3: Path
    settings: Path
    picture: Path
    midi: Path


def style_name(choices: Choices, reference: Clip | None) -> str:
    """Name of the target: instrument or reference clip."""
    return choices.target if reference is None else f"like_{reference.name}"


def write_files(
    clip: Clip,
    audio: torch.Tensor,
    sample_rate: int,
    choices: Choices,
    voice: str | None,
    reference: Clip | None = None,
) -> ResultFiles:
    """Write a result as wav, flac and mp3, with its settings.

    ``write_picture`` writes the picture, ``stylediff.page.clip_notes.write_notes`` the notes.

    Args:
        choices: the settings used.
        voice: the target's voice, or None.
        reference: the reference clip, or None.
    """
    folder = new_folder()
    stem = file_stem(clip.name, style_name(choices, reference), choices.seed)
    endings = ("wav", "flac", "mp3", "json", "png", "mid")
    files = ResultFiles(folder / "source.flac", *(folder / f"{stem}.{ending}" for ending in endings))
    samples = torch.from_numpy(clip.samples)
    write_audio(files.source, samples if len(samples) <= 2 else mix_channels(samples), clip.sample_rate)
    tags = describe_result(clip.name, voice or style_name(choices, reference), choices.describe())
    for path, subtype in ((files.wav, "16"), (files.flac, "24"), (files.mp3, None)):
        write_result(path, audio, sample_rate, subtype, tags)
    names = {"source": clip.name, "reference": reference and reference.name, "voice": voice}
    named = {key: name for key, name in names.items() if name is not None}
    files.settings.write_text(json.dumps(choices.to_dict() | named, indent=1))
    return files


def write_picture(
    path: Path, source: torch.Tensor, mel: torch.Tensor, names: tuple[str, str], config: MelConfig
) -> None:
    """Write a picture of both spectrograms, on one colour scale.

    Args:
        source, mel: (mels, frames).
        names: their titles; English stands in for what the font of pictures lacks.
    """
    shown = (drawable(names[0], "input"), drawable(names[1], "output"))
    spectrogram_figure([source, mel], shown, config, brightest([source, mel], config)).save(path)


def louder_by_db(clip: Clip, audio: torch.Tensor, sample_rate: int, config: MelConfig) -> float:
    """Loudness difference of a result to its clip, in dB.

    Only moments in which both sound count.
    """
    source = loudness_gain(to_mono(torch.from_numpy(clip.samples), clip.sample_rate, config.sample_rate))
    result = loudness_gain(to_mono(audio, sample_rate, config.sample_rate))
    return 20 * float(np.log10(source / result))


def draw_preview(source_mel: torch.Tensor, mel: torch.Tensor, config: MelConfig) -> str:
    """Draw a log-mel that is still being denoised beside its source.

    Both have the shape (mels, frames). Returns the address of a picture that contains it.
    """
    before, now = (mels_to_image([one], config) for one in (source_mel, mel))
    gap = np.full((before.shape[0], 4, 3), 128, np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(np.concatenate([before, gap, now], axis=1)).resize(PREVIEW_SIZE).save(encoded, "WEBP", quality=60)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"
