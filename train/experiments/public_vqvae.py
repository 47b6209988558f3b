"""The VQ-VAE here and MONAI's, trained alike: is the error the same?

    pip install --no-deps monai
    python -m train public-vqvae --patches DIR --out DIR --steps 2321

Both see the same batches, with the same optimizer, number of steps, codebook (exponential averages) and vector size.
MONAI (https://github.com/Project-MONAI/MONAI) is not part of this project's requirements.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import trange

from stylediff.code_model import GRID
from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.markdown import table_head, table_row, write_page
from train.data.patches import PatchError, PatchSet, read_patches
from train.models.vqvae import VqVae, perplexity
from train.trainers.loop import generator_at
from train.trainers.vqvae import sample_batch

OURS, THEIRS = "here", "MONAI"
COMMITMENT, DECAY, CODE_DIM = 0.25, 0.99, 64


class Standardised(nn.Module):
    """MONAI's VQ-VAE on standardised patches of 32 x 32."""

    def __init__(
        self, channels: int, mean: float, deviation: float, size: int, width: int, residual_width: int
    ) -> None:
        from monai.networks.nets import VQVAE  # optional

        super().__init__()
        self.mean, self.deviation = mean, deviation
        self.network = VQVAE(
            spatial_dims=2,
            in_channels=channels,
            out_channels=channels,
            channels=(width // 2, width),
            num_res_layers=1,
            num_res_channels=(residual_width, residual_width),
            downsample_parameters=((2, 4, 1, 1),) * 2,
            upsample_parameters=((2, 4, 1, 1, 0),) * 2,
            num_embeddings=size,
            embedding_dim=CODE_DIM,
            commitment_cost=COMMITMENT,
            decay=DECAY,
            ddp_sync=False,
        )

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Error of standardised patches, loss of the codebook, and codes.

        There are no codes in training, because they take a second pass of the encoder.
        """
        scaled = (patches - self.mean) / self.deviation
        made, loss = self.network(scaled)
        codes = scaled.new_zeros(0) if self.training else self.network.index_quantize(scaled)
        return functional.mse_loss(made, scaled), loss, codes


class Own(nn.Module):
    """The model of this project, with the same outputs."""

    def __init__(
        self, channels: int, mean: float, deviation: float, size: int, width: int, residual_width: int
    ) -> None:
        super().__init__()
        shared = {"width": width, "residual_width": residual_width, "code_dim": CODE_DIM, "codebook_size": size}
        self.network = VqVae(channels, mean, deviation, commitment=COMMITMENT, decay=DECAY, **shared)

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Error of standardised patches, loss of the codebook, and codes."""
        out = self.network(patches)
        return out.error, out.codebook_loss, out.codes


def train(model: nn.Module, patches: PatchSet, args: argparse.Namespace) -> None:
    """Train a model on the batches of the trainer ``vqvae``."""
    rows = patches.rows("train")
    optimizer = torch.optim.Adam(model.parameters(), args.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, args.steps)
    for step in trange(args.steps):
        generator = generator_at(args.seed, step, 0, 0)
        batch = sample_batch(patches, rows, args.batch_size, generator)
        error, codebook_loss, _ = model(batch)
        optimizer.zero_grad()
        (error + codebook_loss).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def measure(model: nn.Module, patches: PatchSet, rows: np.ndarray, size: int) -> dict[str, float]:
    """Error over the variance, and perplexity of the codes."""
    model.eval()
    errors, codes = [], []
    for batch in patches.batches(rows):
        error, _, found = model(batch)
        errors.append(float(error) * len(batch))
        codes.append(found.reshape(-1, GRID, GRID))
    return {"relative_error": sum(errors) / len(rows), "perplexity": float(perplexity(torch.cat(codes), size))}


def compare(args: argparse.Namespace) -> None:
    """Train and measure both, and write the page."""
    patches = read_patches(args.patches)
    rows = patches.rows("test", args.tested)
    args.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    for name, build in ((OURS, Own), (THEIRS, Standardised)):
        path: Path = args.out / f"{name}.json"
        if not path.is_file():
            torch.manual_seed(args.seed)
            model = build(patches.channels, *patches.moments(), args.size, args.width, args.residual_width)
            train(model, patches, args)
            parameters = sum(one.numel() for one in model.parameters())
            measured = measure(model, patches, rows, args.size) | {"parameters": parameters}
            write_atomically(path, json.dumps(measured))
        found[name] = json.loads(path.read_text())
    ratio = found[OURS]["relative_error"] / found[THEIRS]["relative_error"]
    lines = [
        "# A public implementation",
        "",
        f"{args.steps} steps of {args.batch_size} patches, {args.size} codes, exponential averages; "
        f"{len(rows)} test patches. The error here is {ratio:.2f} times that of MONAI's VQ-VAE.",
        "",
        *table_head(["implementation", "parameters", "relative error ↓", "perplexity"]),
    ]
    for name, row in found.items():
        lines.append(table_row([name, row["parameters"], f"{row['relative_error']:.4f}", f"{row['perplexity']:.0f}"]))
    write_page(args.out, "public_vqvae", found, "\n".join([*lines, ""]))


def main(args: argparse.Namespace) -> int:
    return run_command(partial(compare, args), PatchError, OSError, ImportError)
