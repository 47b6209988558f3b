"""Weights to begin a training run with."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from diffusers import ModelMixin

from train.settings import SettingsError


def start_from(initial: str, parts: Mapping[str, ModelMixin], new: tuple[str, ...] = ()) -> None:
    """Loads a saved pipeline's weights into models that are to be trained further.

    A style encoder may know more voices than the saved one: a new voice starts as the mean of its instrument's.

    Args:
        initial: the pipeline's folder; "" leaves models as they are.
        parts: models by the names of their folders in it.
        new: settings and weights whose names begin with one of these may be missing from it, or empty there.

    Raises:
        SettingsError: a part is missing, damaged, or was built with other settings; the message names its folder.
    """
    for name, model in parts.items() if initial else ():
        folder = Path(initial) / name
        try:
            saved = json.loads((folder / "config.json").read_text())
            weights = safetensors.torch.load_file(folder / "diffusion_pytorch_model.safetensors")
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise SettingsError(f"cannot start from {folder}: {error}") from error
        built = json.loads(json.dumps(dict(model.config)))
        if "voices" in saved and set(saved["voices"]) <= set(built.get("voices", ())):
            name_of = "voice_embedding.weight"
            weights[name_of] = grow_embedding(weights[name_of], saved["voices"], built["voices"])
            saved = {**saved, "voices": built["voices"]}
        for key, value in saved.items():
            is_free = key.startswith("_") or (key.startswith(new) and not value)
            if not is_free and built.get(key) != value:
                raise SettingsError(f"cannot start from {folder}: it has {key}={value!r}, not {built.get(key)!r}")
        kept = {name: value for name, value in model.state_dict().items() if name.startswith(new)}
        try:
            model.load_state_dict(kept | weights)
        except RuntimeError as error:
            raise SettingsError(f"cannot start from {folder}: {textwrap.shorten(str(error), 300)}") from error


def saved_voices(initial: str) -> set[str]:
    """Voices that a saved pipeline knows; none without one.

    Raises:
        SettingsError: its style encoder cannot be read.
    """
    if not initial:
        return set()
    path = Path(initial) / "style_encoder/config.json"
    try:
        return set(json.loads(path.read_text())["voices"])
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(f"cannot start from {path.parent}: {error}") from error


def grow_embedding(weight: torch.Tensor, known: list[str], voices: list[str]) -> torch.Tensor:
    """Embeddings of voices, (voices, features), from those of known ones.

    Args:
        weight: (known, features).
        known, voices: names, ``instrument/soundfont-program``.

    Returns:
        The known voice's row where there is one, else the mean of its instrument's rows, or of all.
    """
    rows = []
    for voice in voices:
        kin = [number for number, other in enumerate(known) if other.split("/")[0] == voice.split("/")[0]]
        chosen = [known.index(voice)] if voice in known else kin or list(range(len(known)))
        rows.append(weight[chosen].float().mean(0))
    return torch.stack(rows).to(weight.dtype)
