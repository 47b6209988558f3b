"""Train the mel autoencoder.

    accelerate launch -m train autoencoder --cache DIR --out RUN

Rerun the same command to resume.
"""

import argparse

import numpy as np
import torch

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from train.data.mel_cache import MelCache, read_cache
from train.models.losses import edge_loss
from train.trainers.base_settings import SettingsError, is_due, read_settings
from train.trainers.loop import TrainingRun, generator_at, load_initial_weights, run_trainer
from train.trainers.settings import AutoencoderSettings


def build_model(settings: AutoencoderSettings, mel: MelConfig) -> MelAutoencoder:
    """Build an untrained model.

    Raises:
        SettingsError: an even number of levels.
    """
    if settings.levels and settings.levels % 2 == 0:
        raise SettingsError(f"--levels {settings.levels}: a latent value needs an odd number of levels, or 0")
    torch.manual_seed(settings.seed)
    return MelAutoencoder(
        mel=mel.to_dict(),
        fold_mels=settings.fold_mels,
        fold_frames=settings.fold_frames,
        latent_fold=settings.latent_fold,
        latent_channels=settings.latent_channels,
        block_out_channels=settings.widths,
        layers_per_block=settings.layers,
        levels=settings.levels,
    ).to(memory_format=torch.channels_last)


def crop_batch(
    cache: MelCache, rows: np.ndarray, batch_size: int, frames: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw random crops of random rows, (batch, 1, mels, frames)."""
    chosen = rows[torch.randint(len(rows), (batch_size,), generator=generator).numpy()]
    starts = torch.rand(batch_size, generator=generator)
    crops = []
    for row, start in zip(chosen, starts, strict=True):
        first = int(start * max(1, cache.clips[row].frames - frames + 1))
        crops.append(cache.tensor(row, first, frames))
    return torch.stack(crops)


def autoencoder_loss(
    model: torch.nn.Module, mel: torch.Tensor, settings: AutoencoderSettings, generator: torch.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of one batch and its parts.

    The parts are the L1 distance of log-mels, that of their edges, and the Kullback-Leibler divergence.

    Args:
        model: maps (mel, generator) to (reconstruction, divergence).
        mel: (batch, 1, mels, frames).
    """
    reconstruction, divergence = model(mel, generator)
    l1 = (reconstruction - mel).abs().mean()
    edge = edge_loss(reconstruction, mel)
    loss = l1 + settings.edge_weight * edge + settings.kl_weight * divergence
    return loss, {"l1": l1.detach(), "edge": edge.detach(), "kl": divergence.detach()}


@torch.no_grad()
def measure_latents(model: MelAutoencoder, cache: MelCache, rows: np.ndarray, clips: int) -> None:
    """Set the model's latent mean and standard deviation per channel."""
    model.latents_mean.zero_()
    model.latents_std.fill_(1.0)
    chosen = rows[:: max(1, len(rows) // clips)]
    shape = (len(model.latents_mean), -1)  # channels that were made from one by patchifying share their statistics
    latents = torch.cat([model.encode(cache.tensor(int(row))[None])[0].reshape(shape) for row in chosen], dim=1)
    model.latents_mean.copy_(latents.mean(dim=1))
    model.latents_std.copy_(latents.std(dim=1))


@torch.no_grad()
def validation_error(model: MelAutoencoder, cache: MelCache, rows: np.ndarray) -> float:
    """Mean absolute error of reconstructed whole clips, in nepers."""
    errors = []
    for row in rows:
        mel = cache.tensor(int(row))[None].to(model.device)
        errors.append((model.decode(model.encode(mel))[..., : mel.shape[-1]] - mel).abs().mean())
    return float(torch.stack(errors).mean())


def train(settings: AutoencoderSettings) -> MelAutoencoder:
    """Train or resume, and export the model to ``out/autoencoder``.

    Raises:
        SettingsError: only the decoder is to be trained, but there is no trained encoder.
    """
    if settings.decoder_only and not settings.initial:
        raise SettingsError("--decoder-only needs a trained encoder: name its pipeline with --initial")
    mel = MelConfig()
    cache = read_cache(settings.cache, mel)
    rows, held_out = cache.split("train"), cache.split("validation")[::40]
    model = build_model(settings, mel)
    load_initial_weights(settings.initial, {"autoencoder": model})
    if settings.decoder_only:
        model.vae.encoder.requires_grad_(False)
        model.vae.quant_conv.requires_grad_(False)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    run = TrainingRun(settings, {"autoencoder": model}, {"autoencoder": optimizer})
    device, process = run.accelerator.device, run.accelerator.process_index
    for step in run.steps():
        for micro in run.passes():
            generator = generator_at(settings.seed, step, micro, process)
            batch = crop_batch(cache, rows, settings.batch_size, settings.crop_frames, generator).to(device)
            batch = batch.contiguous(memory_format=torch.channels_last)
            loss, parts = autoencoder_loss(run.models["autoencoder"], batch, settings, generator)
            run.backward(loss)
            run.record(parts)
        run.update("autoencoder")
        if is_due(step + 1, settings.validate_every):
            run.record({"validation": validation_error(model, cache, held_out)})
        if run.wants_images():
            mel_in = cache.tensor(int(held_out[0]))[None].to(device)
            with torch.no_grad():
                decoded = model.decode(model.encode(mel_in))[..., : mel_in.shape[-1]]
                image = mels_to_image([mel_in[0, 0].cpu(), decoded[0, 0].cpu()], mel)
            run.log_image("original, decoded", image)
    if run.accelerator.is_main_process:
        model.cpu()
        if not settings.decoder_only:
            measure_latents(model, cache, rows, 128)
        print(f"validation log-mel error {validation_error(model, cache, held_out):.4f} nepers")
        model.save_pretrained(settings.out / "autoencoder")
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(AutoencoderSettings, args))
