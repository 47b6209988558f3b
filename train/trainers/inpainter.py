"""Train a U-Net to fill gaps, given a mask of them.

    python -m train inpainter --cache DIR --latents DIR --initial MODEL --out RUN

It starts from a pipeline's denoiser. Its input has a channel more for each frame of a latent column, which is 1 where
the frame is missing; their weights start at 0. Rerun the same command to resume.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import PartialState
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from torch import nn

from stylediff.autoencoder import MelAutoencoder
from stylediff.denoiser import build_scheduler
from stylediff.gap_filling import guide_gap, missing_frames
from stylediff.inpainter import Inpainter, extend_unet
from stylediff.mel import MelConfig
from stylediff.style_encoder import StyleEncoder
from train.data.latent_cache import encode_mels, load_autoencoder, read_latents
from train.data.mel_cache import CacheError, ClipArray, gather_crops, read_cache, to_model_device
from train.trainers.base_settings import SettingsError, is_due, read_settings
from train.trainers.denoiser import noise_like, sample_timesteps
from train.trainers.loop import TrainingRun, ema_weights, generator_at, run_trainer
from train.trainers.settings import InpainterSettings

VALIDATION_BATCHES = 8
MARGIN_FRAMES = 16  # known at least on both sides of a gap


@dataclass(frozen=True)
class GapBatch:
    """Clips with a gap each.

    Attributes:
        target: latents of the whole clips, (batch, channels, rows, columns).
        source: latents of the clips with a guide in each gap, like ``target``.
        missing: masks of the missing frames, (batch, frames of a column, rows, columns).
        tokens: style tokens, (batch, tokens, width).
    """

    target: torch.Tensor
    source: torch.Tensor
    missing: torch.Tensor
    tokens: torch.Tensor


class GapSampler:
    """Samples clips of one split and cuts a gap out of each.

    The style comes from the damaged clip itself or, for half of the samples in a voice that the model knows, from its
    name.
    """

    def __init__(
        self, settings: InpainterSettings, split: str, autoencoder: MelAutoencoder, style_encoder: StyleEncoder
    ) -> None:
        cache = read_cache(settings.cache, MelConfig())
        latents = read_latents(settings.latents, cache.clips, autoencoder)
        self.settings, self.autoencoder, self.style_encoder = settings, autoencoder, style_encoder
        self.latents: ClipArray = to_model_device(latents, PartialState().device)
        self.mels = cache.mels
        rows = [
            number
            for number, clip in enumerate(cache.clips[: len(latents)])
            if clip.split == split and clip.role == "target" and clip.frames == cache.mels.shape[-1]
        ]
        if not rows:
            raise CacheError(f"the {split} split of the latent cache has no whole clip")
        self.rows = np.array(rows)
        voices = style_encoder.config.voices
        self.voices = [voices.index(clip.voice) if clip.voice in voices else -1 for clip in cache.clips]

    def choose_gap(self, frames: int, draws: np.ndarray) -> slice:
        """Choose a gap, its length evenly on a logarithmic scale."""
        shortest, longest = self.settings.shortest_frames, min(self.settings.longest_frames, frames - 2 * MARGIN_FRAMES)
        length = round(shortest * (longest / shortest) ** draws[0])
        first = MARGIN_FRAMES + round(float(draws[1]) * (frames - length - 2 * MARGIN_FRAMES))
        return slice(first, first + length)

    @torch.no_grad()
    def batch(self, size: int, columns: int, generator: torch.Generator) -> GapBatch:
        """Sample clips of ``columns`` latent columns, if they have so many."""
        stride, device = self.autoencoder.frame_stride, self.autoencoder.device
        longest = min(self.latents.shape[-1], self.mels.shape[-1] // stride)
        columns = min(columns, longest)
        chosen = self.rows[torch.randint(len(self.rows), (size,), generator=generator).numpy()]
        draws = torch.rand(size, 4, generator=generator).numpy()
        is_similar = torch.rand(size, generator=generator) < self.settings.similar_share
        firsts = (draws[:, 0] * (longest - columns + 1)).astype(int)
        target = gather_crops(self.latents, chosen, firsts, columns).to(device)
        mels = gather_crops(self.mels, chosen, firsts * stride, columns * stride)[:, None]
        masks = []
        for number, draw in enumerate(draws):
            gap = self.choose_gap(columns * stride, draw[1:3])
            mels[number] = guide_gap(mels[number], gap, MelConfig(), math.inf if is_similar[number] else 0)
            masks.append(missing_frames(gap, target, stride))
        source = torch.from_numpy(encode_mels(self.autoencoder, mels[:, 0])).to(device)
        voices = torch.tensor([self.voices[int(row)] for row in chosen], device=device)
        is_named = torch.from_numpy(draws[:, 3] < 0.5).to(device) & (voices >= 0)
        by_clip = self.style_encoder.encode_reference(mels.to(device))
        tokens = torch.where(is_named[:, None, None], self.style_encoder(voices).to(by_clip), by_clip)
        return GapBatch(target, source, torch.cat(masks).to(device), tokens)


def inpainting_loss(
    model: nn.Module, batch: GapBatch, settings: InpainterSettings, generator: torch.Generator
) -> torch.Tensor:
    """Mean squared error of the velocity in columns with a gap.

    Source: Salimans and Ho 2022, arXiv 2202.00512, eq. 12.
    """
    scheduler, device = build_scheduler(), batch.target.device
    timesteps = sample_timesteps(len(batch.target), settings.noise_power, generator).to(device)
    noise = noise_like(batch.target, generator)
    noisy = scheduler.add_noise(batch.target, noise, timesteps)
    velocity = scheduler.get_velocity(batch.target, noise, timesteps)
    given = torch.cat([noisy, batch.source, batch.missing], dim=1)
    errors = (model(given, timesteps, batch.tokens).sample.float() - velocity).square().mean(dim=1)
    free = batch.missing.amax(dim=1)
    return (errors * free).sum() / free.sum()


@torch.no_grad()
def validation_loss(model: nn.Module, average: EMAModel, sampler: GapSampler, settings: InpainterSettings) -> float:
    """Loss of the EMA weights on fixed gaps with fixed noise."""
    losses = []
    with ema_weights(model, average):
        for number in range(VALIDATION_BATCHES):
            generator = generator_at(settings.seed, 0, number, 0, stream=1)
            batch = sampler.batch(settings.batch_size, sampler.latents.shape[-1], generator)
            losses.append(float(inpainting_loss(model, batch, settings, generator)))
    return sum(losses) / len(losses)


def train(settings: InpainterSettings) -> UNet2DConditionModel:
    """Train or resume, and export the EMA weights.

    ``out/unet`` has all weights, ``out/inpainter`` their low-rank change.

    Raises:
        SettingsError: a pipeline without these parts, or whose style encoder accepts no clip.
    """
    try:
        unet = UNet2DConditionModel.from_pretrained(settings.initial, subfolder="unet", torch_dtype=torch.float32)
        style_encoder = StyleEncoder.from_pretrained(settings.initial, subfolder="style_encoder").float().eval()
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot start from {settings.initial!r}: {error}") from error
    if style_encoder.reference is None:
        raise SettingsError(f"the style encoder in {settings.initial} accepts no clip")
    autoencoder = load_autoencoder(f"{settings.initial}/autoencoder", style_encoder.mel)
    torch.manual_seed(settings.seed)
    model = extend_unet(unet, autoencoder.frame_stride).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
    )
    average = EMAModel(model.parameters(), decay=settings.average_decay, use_ema_warmup=True, power=0.75, foreach=True)
    run = TrainingRun(settings, {"inpainter": model}, {"inpainter": optimizer}, {"inpainter": average})
    device, process = run.accelerator.device, run.accelerator.process_index
    if device.type == "cpu":
        model.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is slow on CPUs
    autoencoder.to(device), style_encoder.to(device)
    sampler = GapSampler(settings, "train", autoencoder, style_encoder)
    unseen = GapSampler(settings, "validation", autoencoder, style_encoder) if settings.validate_every else None
    for step in run.steps():
        for micro in run.passes():
            generator = generator_at(settings.seed, step, micro, process)
            columns = settings.columns[int(torch.randint(len(settings.columns), (1,), generator=generator))]
            batch = sampler.batch(settings.batch_size, columns, generator)
            loss = inpainting_loss(run.models["inpainter"], batch, settings, generator)
            run.backward(loss)
            run.record({"loss": loss.detach()})
        run.update("inpainter")
        if unseen is not None and is_due(step + 1, settings.validate_every):
            run.record({"validation": validation_loss(run.models["inpainter"], average, unseen, settings)})
    if run.accelerator.is_main_process:
        with ema_weights(model, average):
            model.save_pretrained(settings.out / "unet")
            Inpainter.between(unet, model, settings.rank).save_pretrained(settings.out / "inpainter")
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(InpainterSettings, args))
