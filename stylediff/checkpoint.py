"""Load weights: the shipped ones, a folder's, or the Hub's."""

import os
from pathlib import Path

import torch

from stylediff.pipeline import StyleTransferPipeline

SHIPPED = Path(__file__).parent / "pretrained"
VARIABLE = "STYLEDIFF_MODEL"


class CheckpointError(ValueError):
    """Weights that cannot be loaded; the message says from where."""


def load_pipeline(model: str | None = None) -> StyleTransferPipeline:
    """The pipeline in float32, on a GPU if there is one.

    Args:
        model: folder or Hub id; without one, the environment's STYLEDIFF_MODEL, else the weights that ship.

    Raises:
        CheckpointError: nothing there that can be loaded.
    """
    name = model or os.environ.get(VARIABLE) or str(SHIPPED)
    try:
        pipeline = StyleTransferPipeline.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"no StyleDiff model can be loaded from {name!r}: {error}") from error
    pipeline.unet.to(memory_format=torch.channels_last)  # a tenth faster on CPUs
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
