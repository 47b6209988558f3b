"""Train a VQ-VAE on patches of pictures or log-mels.

python -m train vqvae --patches DIR --out RUN
"""

import argparse
import json

import numpy as np
import torch

from stylediff.code_model import GRID
from train.common.cli import run_command
from train.common.files import write_atomically
from train.data.patches import PatchError, PatchSet, read_patches
from train.models.vqvae import VqVae, perplexity
from train.trainers.base_settings import SettingsError, is_due, read_settings
from train.trainers.loop import TrainingError, TrainingRun, generator_at
from train.trainers.settings import VqvaeSettings

VALIDATED = 2000  # most patches of a validation


def build_model(settings: VqvaeSettings, patches: PatchSet) -> VqVae:
    """Build an untrained model for the values of some patches.

    Raises:
        SettingsError: a setting of the codebook has no such value.
    """
    mean, deviation = patches.moments()
    shared = ("width", "residual_width", "blocks", "code_dim", "codebook_size", "quantizer", "commitment", "decay")
    try:
        return VqVae(
            channels=patches.channels,
            mean=mean,
            deviation=deviation,
            kmeans=settings.kmeans,
            revive=settings.revive,
            batch_vectors=settings.batch_size * GRID**2,
            **{name: getattr(settings, name) for name in shared},
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error


def sample_batch(patches: PatchSet, rows: np.ndarray, size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw training patches, half of the pictures mirrored.

    A log-mel is not mirrored: time has a direction.
    """
    chosen = rows[torch.randint(len(rows), (size,), generator=generator).numpy()]
    batch = patches.tensor(np.sort(chosen))
    if patches.kind == "image":
        mirrored = torch.rand(size, 1, 1, 1, generator=generator) < 0.5
        batch = torch.where(mirrored, batch.flip(-1), batch)
    return batch


def vqvae_loss(model: torch.nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Error of the reconstruction over the data's variance, and codebook loss.

    Args:
        batch: (batch, channels, 32, 32).
    """
    out = model(batch)
    loss = out.error + out.codebook_loss
    return loss, {"error": out.error.detach(), "codebook_loss": out.codebook_loss.detach()}


@torch.no_grad()
def validate(model: VqVae, patches: PatchSet, rows: np.ndarray) -> dict[str, float]:
    """Error over the data's variance, and perplexity of the codes."""
    was_training = model.training
    model.eval()
    errors, codes = [], []
    for batch in patches.batches(rows):
        out = model(batch.to(model.device))
        errors.append(float(out.error) * len(batch))
        codes.append(out.codes.cpu())
    model.train(was_training)
    return {
        "validation": sum(errors) / len(rows),
        "perplexity": float(perplexity(torch.cat(codes), model.size)),
    }


def train(settings: VqvaeSettings) -> VqVae:
    """Train or resume, and export the model to ``out/vqvae``."""
    patches = read_patches(settings.patches)
    rows, held_out = patches.rows("train"), patches.rows("validation", VALIDATED)
    torch.manual_seed(settings.seed)
    model = build_model(settings, patches).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    run = TrainingRun(settings, {"vqvae": model}, {"vqvae": optimizer})
    device, process = run.accelerator.device, run.accelerator.process_index
    for step in run.steps():
        for micro in run.passes():
            generator = generator_at(settings.seed, step, micro, process)
            # The start by k-means and the revival of codes draw from the global generator.
            torch.manual_seed(generator.initial_seed())
            batch = sample_batch(patches, rows, settings.batch_size, generator).to(device)
            loss, parts = vqvae_loss(run.models["vqvae"], batch.contiguous(memory_format=torch.channels_last))
            run.backward(loss)
            run.record(parts)
        run.update("vqvae")
        if is_due(step + 1, settings.validate_every):
            run.record(validate(model, patches, held_out))
    if run.accelerator.is_main_process:
        model.cpu().eval()
        measured = validate(model, patches, held_out) | {"steps": run.step, "seconds": run.seconds}
        print(f"validation error over variance {measured['validation']:.4f}, perplexity {measured['perplexity']:.1f}")
        model.save_pretrained(settings.out / "vqvae")
        write_atomically(settings.out / "measured.json", json.dumps(measured, indent=1))
    return model


def main(args: argparse.Namespace) -> int:
    settings = read_settings(VqvaeSettings, args)
    return run_command(lambda: train(settings), PatchError, SettingsError, TrainingError, OSError)
