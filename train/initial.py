"""Weights to begin a training run with."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from diffusers import ModelMixin

from train.settings import SettingsError


def start_from(initial: str, parts: Mapping[str, ModelMixin], new: tuple[str, ...] = ()) -> None:
    """Loads a saved pipeline's weights into models that are to be trained further.

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
        for key, value in saved.items():
            is_free = key.startswith("_") or (key.startswith(new) and not value)
            if not is_free and built.get(key) != value:
                raise SettingsError(f"cannot start from {folder}: it has {key}={value!r}, not {built.get(key)!r}")
        kept = {name: value for name, value in model.state_dict().items() if name.startswith(new)}
        try:
            model.load_state_dict(kept | weights)
        except RuntimeError as error:
            raise SettingsError(f"cannot start from {folder}: {textwrap.shorten(str(error), 300)}") from error
