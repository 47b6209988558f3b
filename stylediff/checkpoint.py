"""Load weights that ship, from a folder, or from the Hub."""

import logging
import os
from pathlib import Path

import torch

from stylediff.onnx_unet import VARIABLE as ONNX
from stylediff.onnx_unet import use_onnx, wants_onnx
from stylediff.pipeline import StyleTransferPipeline

LOG = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent / "pretrained"
VARIABLE = "STYLEDIFF_MODEL"


class CheckpointError(ValueError):
    """Weights that cannot be loaded; the message says from where."""


def load_pipeline(model: str | None = None, device: str = "auto") -> StyleTransferPipeline:
    """The pipeline in float32, on a GPU that works, if any.

    Args:
        model: folder or Hub id. The default is the environment variable STYLEDIFF_MODEL, else the weights that ship.
        device: "auto", or a device of torch; one that cannot be used is named in a warning, and the CPU taken.

    Raises:
        CheckpointError: there is no model that can be loaded, or STYLEDIFF_ONNX is set and packages are missing.
    """
    name = model or os.environ.get(VARIABLE, "").strip() or str(SHIPPED)
    try:
        pipeline = StyleTransferPipeline.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot load a StyleDiff model from {name!r}: {error}") from error
    pipeline.unet.to(memory_format=torch.channels_last)  # a tenth faster on CPUs
    moved = move_pipeline(pipeline, choose_device() if device == "auto" else device)
    if wants_onnx() and moved.device.type == "cpu":
        speed_up(moved)
    return moved


def speed_up(pipeline: StyleTransferPipeline) -> None:
    """Let ONNX Runtime compute the U-Net of a pipeline.

    Raises:
        CheckpointError: packages are missing.
    """
    try:
        style = pipeline.style_encoder.config
        use_onnx(pipeline.unet, pipeline.autoencoder.latent_rows, (style.tokens, style.width))
    except ImportError as error:
        raise CheckpointError(f"{ONNX} needs two more packages: pip install -e '.[fast]' ({error})") from error


def choose_device() -> str:
    """Return the kind of GPU that torch sees, or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def move_pipeline(pipeline: StyleTransferPipeline, device: str) -> StyleTransferPipeline:
    """Move a pipeline to a device, or else to the CPU.

    A GPU may be seen and yet be full, or too old for this build of torch.
    """
    try:
        torch.ones(2, 2, device=device).mm(torch.ones(2, 2, device=device)).sum().item()
        return pipeline.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        LOG.warning("the %s device cannot be used (%s); the CPU is used", device, str(error).partition("\n")[0])
        return pipeline.to("cpu")
