"""Trains the denoiser: diffusion of target latents, conditioned on source latents and style tokens.

    accelerate launch -m train.train_denoiser --cache DIR --latents DIR --out RUN

The same command again goes on where it stopped.
"""

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from torch import nn

from stylediff.latents import MelAutoencoder
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from stylediff.style import StyleEncoder
from train.averages import averaged
from train.denoiser import Denoiser, build_scheduler
from train.denoiser_data import DenoiserSettings, read_data
from train.encoding import load_autoencoder
from train.initial import saved_voices, start_from
from train.mel_cache import read_cache
from train.pairs import PairBatch, PairSampler
from train.runs import Run, generator_at, run_trainer
from train.settings import is_due

PREVIEW_STEPS = 10
VALIDATION_BATCHES, VALIDATION_SIZE = 8, 64  # whatever the training batches are, so that runs can be compared


def build_model(settings: DenoiserSettings, channels: int, voices: list[str]) -> Denoiser:
    """The denoiser for latents of that many channels. Only the lowest level has attention: above it is too dear."""
    torch.manual_seed(settings.seed)
    plain_levels = len(settings.widths) - 1
    unet = UNet2DConditionModel(
        in_channels=2 * channels,
        out_channels=channels,
        block_out_channels=settings.widths,
        layers_per_block=settings.layers,
        down_block_types=("DownBlock2D",) * plain_levels + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * plain_levels,
        cross_attention_dim=settings.token_width,
        attention_head_dim=tuple(width // settings.head_width for width in settings.widths),
        norm_num_groups=16,
        # Adds attention-pooled tokens to the time embedding, so that every residual block knows the style.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        encoder_hid_dim=None,
        resnet_time_scale_shift="scale_shift",
    )
    style_encoder = StyleEncoder(
        voices=voices,
        tokens=settings.tokens,
        width=settings.token_width,
        reference_width=settings.reference_width,
        mel=MelConfig().to_dict(),
    )
    return Denoiser(unet, style_encoder).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def denoiser_loss(
    model: nn.Module,
    scheduler: DDIMScheduler,
    batch: PairBatch,
    settings: DenoiserSettings,
    generator: torch.Generator,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Mean squared error of the predicted velocity (Salimans and Ho 2022, arXiv 2202.00512, eq. 12).

    The parts split it by noise level: "high" above timestep 900, "low" below 500.
    """
    size, device = len(batch.target), batch.target.device
    uniform = torch.rand(size, generator=generator)
    timesteps = (uniform**settings.noise_power * 1000).long().clamp(0, 999)
    if settings.regression:
        timesteps = torch.full_like(timesteps, 999)  # all noise: the velocity is the target, but for its sign
    noise = noise_like(batch.target, generator)
    dropped = torch.rand(size, generator=generator) < settings.style_dropout
    voices = torch.where(dropped.to(device), -1, batch.voices)
    noisy = scheduler.add_noise(batch.target, noise, timesteps.to(device))
    velocity = scheduler.get_velocity(batch.target, noise, timesteps.to(device))
    predicted = model(noisy, batch.source, timesteps.to(device), voices, batch.references)
    differences = predicted.float() - velocity
    errors = (differences.abs() if settings.regression else differences.square()).mean(dim=(1, 2, 3))
    parts = {"loss": errors.mean().detach()}
    for name, chosen in (("high", timesteps >= 900), ("low", timesteps < 500)):
        if count := int(chosen.sum()):
            parts[name] = errors.detach() @ chosen.to(errors) / count
    return errors.mean(), parts


def noise_like(latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise that a generator on the CPU decides; on a GPU, only its seed."""
    if latents.device.type != "cpu":
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(latents.device).manual_seed(seed)
    return torch.randn(latents.shape, generator=generator, device=latents.device)


@torch.no_grad()
def validation_loss(
    model: nn.Module, average: EMAModel, sampler: PairSampler, settings: DenoiserSettings, device: torch.device
) -> float:
    """Loss of the averaged weights on the same whole pairs with the same noise every time."""
    losses = []
    with averaged(model, average):
        for number in range(VALIDATION_BATCHES):
            generator = generator_at(settings.seed, 0, number, 0, stream=1)
            batch = sampler.batch(VALIDATION_SIZE, sampler.latents.shape[-1], generator).to(device)
            losses.append(float(denoiser_loss(model, build_scheduler(), batch, settings, generator)[0]))
    return sum(losses) / len(losses)


@torch.no_grad()
def sample_mels(
    model: nn.Module, autoencoder: MelAutoencoder, batch: PairBatch, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """Log-mels of the first pair's source, of what the model makes of it, and of its target, (3, mels, frames)."""
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    source, target, voices = batch.source[:1], batch.target[:1], batch.voices[:1]
    latents = torch.randn(target.shape, generator=generator).to(target)
    for timestep in scheduler.timesteps:
        velocity = model(latents, source, timestep[None].to(target.device), voices)
        latents = scheduler.step(velocity, timestep, latents).prev_sample
    return autoencoder.decode(torch.cat([source, latents, target]))[:, 0]


def train(settings: DenoiserSettings) -> Denoiser:
    """Trains, or goes on training, and exports averaged weights to ``out/unet`` and ``out/style_encoder``."""
    cache = read_cache(settings.cache, MelConfig())
    autoencoder = load_autoencoder(settings.autoencoder, cache.mel) if settings.autoencoder else None
    data = read_data(settings, cache, autoencoder, PartialState().device, saved_voices(settings.initial))
    model = build_model(settings, data.train.latents.shape[1], data.train.voices)
    start_from(settings.initial, {"unet": model.unet, "style_encoder": model.style_encoder}, new=("reference", "mel"))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
    )
    average = EMAModel(model.parameters(), decay=settings.average_decay, use_ema_warmup=True, power=0.75, foreach=True)
    run = Run(settings, {"denoiser": model}, {"denoiser": optimizer}, {"denoiser": average})
    scheduler = build_scheduler()
    device, process = run.accelerator.device, run.accelerator.process_index
    if device.type == "cpu":
        model.unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is slow on CPUs
    if settings.compile:
        model.unet.compile(dynamic=False)
    if autoencoder is not None:
        autoencoder.to(device)
    for step in run.steps():
        for micro in range(settings.accumulation):
            generator = generator_at(settings.seed, step, micro, process)
            batch = data.batch(settings, generator).to(device)
            loss, parts = denoiser_loss(run.models["denoiser"], scheduler, batch, settings, generator)
            run.backward(loss)
            run.record(parts)
        run.update("denoiser")
        if is_due(step + 1, settings.validate_every) and len(data.unseen.targets):
            run.record({"validation": validation_loss(run.models["denoiser"], average, data.unseen, settings, device)})
        if autoencoder is not None and run.wants_images():
            mels = sample_mels(model, autoencoder, batch, PREVIEW_STEPS, generator)
            run.log_image("source, output, target", mels_to_image(list(mels.cpu()), autoencoder.mel))
    if run.accelerator.is_main_process:
        export(model, average, settings.out)
    return model


def export(model: Denoiser, average: EMAModel, out: Path) -> None:
    """Saves the averaged weights and the scheduler in diffusers' layout."""
    with averaged(model, average):
        model.unet.save_pretrained(out / "unet")
        model.style_encoder.save_pretrained(out / "style_encoder")
    build_scheduler().save_pretrained(out / "scheduler")


def main(arguments: list[str] | None = None) -> int:
    return run_trainer(train, DenoiserSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
