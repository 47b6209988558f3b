"""Train the denoiser: conditional diffusion of target latents.

It is conditioned on source latents and style tokens.

    accelerate launch -m train denoiser --cache DIR --latents DIR --out RUN

Rerun the same command to resume.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from torch import nn

from stylediff.autoencoder import MelAutoencoder
from stylediff.denoiser import build_scheduler, build_unet
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from stylediff.style_encoder import StyleEncoder
from train.data.augmentation import EqualizedClips, read_equalized
from train.data.latent_cache import load_autoencoder, read_latents
from train.data.mel_cache import ClipArray, MelCache, read_cache, to_model_device
from train.data.pairs import PairBatch, PairSampler, default_first
from train.trainers.base_settings import is_due, read_settings
from train.trainers.loop import TrainingRun, ema_weights, generator_at, load_initial_weights, run_trainer, saved_voices
from train.trainers.settings import DenoiserSettings


class Denoiser(nn.Module):
    """U-Net and style encoder as one model."""

    def __init__(self, unet: UNet2DConditionModel, style_encoder: StyleEncoder) -> None:
        super().__init__()
        self.unet = unet
        self.style_encoder = style_encoder

    def forward(
        self,
        noisy: torch.Tensor,
        source: torch.Tensor,
        timesteps: torch.Tensor,
        voices: torch.Tensor,
        references: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicted velocity, (batch, channels, rows, columns).

        Args:
            voices: (batch,); -1 means no style.
            references: (count, 1, mels, frames); they replace the voices of the first samples that have a style.
        """
        tokens = self.style_encoder(voices)
        if references is not None:
            by_clip, by_name = self.style_encoder.encode_reference(references).to(tokens), tokens[: len(references)]
            has_style = (voices[: len(references)] >= 0)[:, None, None]
            tokens = torch.cat([torch.where(has_style, by_clip, by_name), tokens[len(references) :]])
        return self.unet(torch.cat([noisy, source], dim=1), timesteps, tokens).sample


@dataclass(frozen=True)
class DenoiserData:
    """Data for training the denoiser.

    Attributes:
        train, unseen: pairs of the training and of the validation split.
        reference_mels: log-mels that references are cut from, (clips, mels, frames), or None.
        references: number of pairs in a batch that have a reference.
    """

    train: PairSampler
    unseen: PairSampler
    reference_mels: ClipArray | None
    references: int

    def batch(self, settings: DenoiserSettings, generator: torch.Generator) -> PairBatch:
        """Draw training pairs of a random length."""
        longest = self.train.latents.shape[-1]
        lengths = range(min(settings.shortest_columns, longest), longest + 1, 4)
        columns = lengths[int(torch.randint(len(lengths), (1,), generator=generator))]
        return self.train.batch(settings.batch_size, columns, generator, self.reference_mels, self.references)


def read_data(
    settings: DenoiserSettings,
    cache: MelCache,
    autoencoder: MelAutoencoder | None,
    device: torch.device,
    known_voices: Iterable[str] = (),
) -> DenoiserData:
    """Open the caches, on the model's GPU if they fit.

    Args:
        known_voices: voices that the model must have in addition to those of the cache.

    Raises:
        CacheError: see ``read_latents``.
    """
    latents = read_latents(settings.latents, cache.clips, autoencoder)
    played = {row.voice for row in cache.clips if row.split == "train" and row.paired}
    voices = default_first(played | set(known_voices))
    rows, equalized, near = (
        cache.clips[: len(latents)],
        read_equalized(settings.latents),
        to_model_device(latents, device),
    )
    if equalized is not None:
        equalized = EqualizedClips(equalized.rows, equalized.curves, to_model_device(equalized.latents, device))
    references = round(settings.reference_share * settings.batch_size) if settings.reference_width else 0
    shares = {"oversampled_share": settings.favoured_share, "recorded_share": settings.recorded_share}
    return DenoiserData(
        PairSampler(rows, near, voices, "train", equalized, cache.mel.log_floor, **shares),
        PairSampler(rows, near, voices, "validation"),
        to_model_device(cache.mels, device) if references else None,
        references,
    )


PREVIEW_STEPS = 10
VALIDATION_BATCHES, VALIDATION_SIZE = 8, 64  # independent of the training batches, so that runs can be compared


def build_model(settings: DenoiserSettings, channels: int, voices: list[str]) -> Denoiser:
    """Build the denoiser for a number of latent channels."""
    torch.manual_seed(settings.seed)
    unet = build_unet(
        channels,
        widths=settings.widths,
        layers=settings.layers,
        head_width=settings.head_width,
        token_width=settings.token_width,
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
    """Mean squared error of the predicted velocity.

    Source: Salimans and Ho 2022, arXiv 2202.00512, eq. 12.

    The parts split it by noise level: "high" above timestep 900, "low" below 500.
    """
    size, device = len(batch.target), batch.target.device
    timesteps = sample_timesteps(size, settings.noise_power, generator)
    if settings.regression:
        timesteps = torch.full_like(timesteps, 999)  # pure noise: the velocity is the negative target
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


def sample_timesteps(size: int, noise_power: float, generator: torch.Generator) -> torch.Tensor:
    """Timesteps of a batch, (size,); see ``DenoiserSettings.noise_power``."""
    uniform = torch.rand(size, generator=generator)
    return (uniform**noise_power * 1000).long().clamp(0, 999)


def noise_like(latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw standard normal noise of the latents' shape.

    The generator is on the CPU; for a GPU it draws the seed.
    """
    if latents.device.type != "cpu":
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(latents.device).manual_seed(seed)
    return torch.randn(latents.shape, generator=generator, device=latents.device)


@torch.no_grad()
def validation_loss(
    model: nn.Module, average: EMAModel, sampler: PairSampler, settings: DenoiserSettings, device: torch.device
) -> float:
    """Loss of the EMA weights on fixed pairs with fixed noise."""
    losses = []
    with ema_weights(model, average):
        for number in range(VALIDATION_BATCHES):
            generator = generator_at(settings.seed, 0, number, 0, stream=1)
            batch = sampler.batch(VALIDATION_SIZE, sampler.latents.shape[-1], generator).to(device)
            losses.append(float(denoiser_loss(model, build_scheduler(), batch, settings, generator)[0]))
    return sum(losses) / len(losses)


@torch.no_grad()
def sample_mels(
    model: nn.Module, autoencoder: MelAutoencoder, batch: PairBatch, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """Log-mels of the first pair: source, output and target.

    Their shape is (3, mels, frames).
    """
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    source, target, voices = batch.source[:1], batch.target[:1], batch.voices[:1]
    latents = torch.randn(target.shape, generator=generator).to(target)
    for timestep in scheduler.timesteps:
        velocity = model(latents, source, timestep[None].to(target.device), voices)
        latents = scheduler.step(velocity, timestep, latents).prev_sample
    return autoencoder.decode(torch.cat([source, latents, target]))[:, 0]


def train(settings: DenoiserSettings) -> Denoiser:
    """Train or resume, and export the EMA weights.

    They are written to ``out/unet`` and ``out/style_encoder``.
    """
    cache = read_cache(settings.cache, MelConfig())
    autoencoder = load_autoencoder(settings.autoencoder, cache.mel) if settings.autoencoder else None
    data = read_data(settings, cache, autoencoder, PartialState().device, saved_voices(settings.initial))
    model = build_model(settings, data.train.latents.shape[1], data.train.voices)
    load_initial_weights(
        settings.initial, {"unet": model.unet, "style_encoder": model.style_encoder}, new=("reference", "mel")
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
    )
    average = EMAModel(model.parameters(), decay=settings.average_decay, use_ema_warmup=True, power=0.75, foreach=True)
    run = TrainingRun(settings, {"denoiser": model}, {"denoiser": optimizer}, {"denoiser": average})
    scheduler = build_scheduler()
    device, process = run.accelerator.device, run.accelerator.process_index
    if device.type == "cpu":
        model.unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is slow on CPUs
    if settings.compile:
        model.unet.compile(dynamic=False)
    if autoencoder is not None:
        autoencoder.to(device)
    for step in run.steps():
        for micro in run.passes():
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
    """Save EMA weights and scheduler in the layout of diffusers."""
    with ema_weights(model, average):
        model.unet.save_pretrained(out / "unet")
        model.style_encoder.save_pretrained(out / "style_encoder")
    build_scheduler().save_pretrained(out / "scheduler")


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(DenoiserSettings, args))
