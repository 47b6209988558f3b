"""Trains the denoiser: diffusion of target latents, conditioned on source latents and style tokens.

    accelerate launch -m train.train_denoiser --cache DIR --latents DIR --out RUN

The same command again goes on where it stopped.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from torch import nn

from stylediff.latents import MelAutoencoder
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from stylediff.style import StyleEncoder
from train.averages import averaged
from train.colours import read_coloured
from train.denoiser import Denoiser, build_scheduler
from train.encoding import load_autoencoder, read_latents
from train.mel_cache import read_cache
from train.pairs import PairBatch, PairSampler, default_first
from train.runs import Run, generator_at, run_trainer, start_from
from train.settings import TrainSettings, is_due

PREVIEW_STEPS = 10
VALIDATION_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class DenoiserSettings(TrainSettings):
    """Settings of the denoiser's run.

    Attributes:
        cache: folder of the mel cache, for its table of clips.
        latents: folder of the latent cache, with coloured clips if there are any.
        autoencoder: folder of the MelAutoencoder that made the latents, for pictures in the log ("": no pictures).
        widths, layers: of the U-Net's levels.
        head_width: channels of an attention head.
        tokens, token_width: style tokens.
        reference_width: channels of the network that listens to reference clips (0: none).
        reference_share: share of samples whose style is a clip of the voice instead of its name.
        favoured_share: share of samples that are of the direction piano to violin (``pairs.FAVOURED``).
        shortest_columns: latent columns of the shortest training crop; lengths up to the whole clip are drawn.
        validate_every: steps between measurements of the averaged weights on pairs of the validation split.
        style_dropout: share of samples whose style is replaced by the null tokens.
        noise_power: timesteps are drawn as ``1000 * u ** noise_power``; below 1, high noise is likelier.
        regression: train one pass from source to target on its absolute error instead: a baseline, run with one step.
        average_decay: of the exponential moving average of the weights, which is what ships.
        compile: compile the U-Net, once for each crop length; on CPUs a step then takes five sixths of the time.
    """

    cache: Path
    latents: Path
    autoencoder: str = ""
    steps: int = 5600
    batch_size: int = 64
    learning_rate: float = 6e-4
    warmup_steps: int = 300
    widths: tuple[int, ...] = (128, 192, 224)
    layers: int = 1
    head_width: int = 32
    tokens: int = 4
    token_width: int = 128
    reference_width: int = 0
    reference_share: float = 0.5
    favoured_share: float = 0.0
    shortest_columns: int = 12
    style_dropout: float = 0.1
    noise_power: float = 0.7
    regression: bool = False
    average_decay: float = 0.999
    validate_every: int = 500
    compile: bool = False

    FREE: ClassVar[tuple[str, ...]] = (*TrainSettings.FREE, "autoencoder", "validate_every", "compile")


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
    noise = torch.randn(batch.target.shape, generator=generator).to(device)
    dropped = torch.rand(size, generator=generator) < settings.style_dropout
    voices = torch.where(dropped.to(device), -1, batch.voices)
    noisy = scheduler.add_noise(batch.target, noise, timesteps.to(device))
    velocity = scheduler.get_velocity(batch.target, noise, timesteps.to(device))
    predicted = model(noisy, batch.source, timesteps.to(device), voices, batch.references)
    differences = predicted.float() - velocity
    errors = (differences.abs() if settings.regression else differences.square()).mean(dim=(1, 2, 3))
    parts = {"loss": errors.mean().detach()}
    for name, chosen in (("high", timesteps >= 900), ("low", timesteps < 500)):
        if chosen.any():
            parts[name] = errors.detach()[chosen.to(device)].mean()
    return errors.mean(), parts


@torch.no_grad()
def validation_loss(
    model: nn.Module, average: EMAModel, sampler: PairSampler, settings: DenoiserSettings, device: torch.device
) -> float:
    """Loss of the averaged weights on the same whole pairs with the same noise every time."""
    losses = []
    with averaged(model, average):
        for number in range(VALIDATION_BATCHES):
            generator = generator_at(settings.seed, 0, number, 0, stream=1)
            batch = sampler.batch(settings.batch_size, sampler.latents.shape[-1], generator).to(device)
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
    latents = read_latents(settings.latents, cache.rows, autoencoder)
    voices = default_first({row.voice for row in cache.rows if row.split == "train" and row.paired})
    rows, coloured = cache.rows[: len(latents)], read_coloured(settings.latents)
    sampler = PairSampler(rows, latents, voices, "train", coloured, cache.mel.log_floor, settings.favoured_share)
    unseen = PairSampler(rows, latents, voices, "validation")
    model = build_model(settings, latents.shape[1], voices)
    start_from(settings.initial, {"unet": model.unet, "style_encoder": model.style_encoder}, new=("reference", "mel"))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
    )
    average = EMAModel(model.parameters(), decay=settings.average_decay, use_ema_warmup=True, power=0.75)
    run = Run(settings, {"denoiser": model}, {"denoiser": optimizer}, {"denoiser": average})
    scheduler = build_scheduler()
    device, process = run.accelerator.device, run.accelerator.process_index
    if device.type == "cpu":
        model.unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is slow on CPUs
    if settings.compile:
        model.unet.compile(dynamic=False)
    if autoencoder is not None:
        autoencoder.to(device)
    references = round(settings.reference_share * settings.batch_size) if settings.reference_width else 0
    heard = cache.mels if references else None
    lengths = range(min(settings.shortest_columns, latents.shape[-1]), latents.shape[-1] + 1, 4)
    for step in run.steps():
        for micro in range(settings.accumulation):
            generator = generator_at(settings.seed, step, micro, process)
            columns = lengths[int(torch.randint(len(lengths), (1,), generator=generator))]
            batch = sampler.batch(settings.batch_size, columns, generator, heard, references).to(device)
            loss, parts = denoiser_loss(run.models["denoiser"], scheduler, batch, settings, generator)
            run.backward(loss)
            run.record(parts)
        run.update("denoiser")
        if is_due(step + 1, settings.validate_every) and len(unseen.targets):
            run.record({"validation": validation_loss(run.models["denoiser"], average, unseen, settings, device)})
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
