"""The U-Net as a graph for ONNX Runtime."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

VARIABLE = "STYLEDIFF_ONNX"
MOST_CLIPS, MOST_QUARTERS = 8, 64  # of a batch, and of latent columns over four, in the graph


def wants_onnx() -> bool:
    """Return True if the environment asks for the graph."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def cache_folder() -> Path:
    """Folder that keeps graphs, as the system wants."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stylediff"


def digest(unet: UNet2DConditionModel) -> str:
    """Name of the graph of some weights and a version of torch."""
    found = hashlib.sha256(torch.__version__.encode())
    for name, weight in sorted(unet.state_dict().items()):
        found.update(name.encode())
        found.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


class Velocity(nn.Module):
    """The U-Net with a tensor as its output."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, pair: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.unet(pair, timestep, tokens, return_dict=False)[0]


@torch.no_grad()
def export_unet(unet: UNet2DConditionModel, rows: int, tokens: tuple[int, int], path: Path) -> None:
    """Write the graph of a U-Net, for any batch and length.

    Args:
        rows: of the latents.
        tokens: number and width of the style tokens.

    Raises:
        ImportError: packages of the extra ``fast`` are missing.
    """
    import onnxscript  # noqa: F401  torch's own message about it is long

    example = (torch.zeros(2, unet.config.in_channels, rows, 28), torch.tensor(500), torch.zeros(2, *tokens))
    clips = torch.export.Dim("clips", min=1, max=MOST_CLIPS)
    columns = 4 * torch.export.Dim("quarters", min=2, max=MOST_QUARTERS)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}-{path.name}")
    shapes = {"pair": {0: clips, 3: columns}, "timestep": None, "tokens": {0: clips}}
    torch.onnx.export(
        Velocity(unet), example, unfinished, dynamo=True, verbose=False, dynamic_shapes=shapes, external_data=False
    )
    unfinished.replace(path)


def use_onnx(unet: UNet2DConditionModel, rows: int, tokens: tuple[int, int], folder: Path | None = None) -> None:
    """Let ONNX Runtime compute what the U-Net predicts, on the CPU.

    The graph is exported once, which takes most of a minute, and kept.

    Args:
        rows: of the latents.
        tokens: number and width of the style tokens.
        folder: where graphs are kept; the user's cache by default.

    Raises:
        ImportError: packages of the extra ``fast`` are missing.
    """
    import onnxruntime

    path = (folder or cache_folder()) / f"unet-{digest(unet)}.onnx"
    if not path.is_file():
        export_unet(unet, rows, tokens, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def forward(pair: torch.Tensor, timestep: Any, tokens: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        inputs = (pair.contiguous(), torch.as_tensor(timestep).long(), tokens)
        names = (entry.name for entry in session.get_inputs())
        [made] = session.run(None, {name: part.numpy() for name, part in zip(names, inputs, strict=True)})
        return (torch.from_numpy(made),)

    unet.forward = forward  # type: ignore[method-assign]
