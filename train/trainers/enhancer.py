"""Train the enhancer of generated mels.

    accelerate launch -m train enhancer --cache DIR --generated DIR --autoencoder DIR --out RUN

Rerun the same command to resume.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from stylediff.autoencoder import MelAutoencoder
from stylediff.enhancer import MelEnhancer
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from train.common.precision import fast_autocast
from train.data.latent_cache import load_autoencoder, through_autoencoder
from train.data.mel_cache import MelCache, read_cache
from train.data.transfer_cache import TransferCache, read_transfers
from train.models.discriminators import MelDiscriminator, discriminator_step_loss, generator_losses
from train.models.losses import edge_loss, level_loss
from train.trainers.base_settings import read_settings
from train.trainers.loop import TrainingRun, generator_at, load_initial_weights, run_trainer
from train.trainers.settings import EnhancerSettings


@dataclass(frozen=True)
class EnhancerBatch:
    """Generated, source and target log-mels, (batch, 1, mels, frames) each."""

    generated: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor

    def beside(self, mel: torch.Tensor) -> torch.Tensor:
        """Stack a log-mel and its source for the discriminator.

        The result has the shape (batch, 2, mels, frames).
        """
        return torch.cat([mel, self.source], dim=1)


class EnhancerData:
    """Generated latents and the mels of their pairs."""

    def __init__(self, cache: MelCache, generated: TransferCache, autoencoder: MelAutoencoder) -> None:
        self.cache, self.generated, self.autoencoder = cache, generated, autoencoder
        self.train_pairs = len(generated.targets) - generated.held_out

    @torch.no_grad()
    def decode(self, latents: np.ndarray) -> torch.Tensor:
        """Decode latents (batch, channels, rows, columns) to log-mels."""
        batch = torch.from_numpy(latents.astype(np.float32)).to(self.autoencoder.device)
        with fast_autocast(self.autoencoder.device):
            return self.autoencoder.decode(batch.contiguous(memory_format=torch.channels_last)).float()

    def mels(self, rows: np.ndarray, first: int, frames: int) -> torch.Tensor:
        """Return log-mels of clips, padded with silence to their latents' length."""
        kept = min(frames, self.cache.mels.shape[-1] - first)
        mels = torch.stack([self.cache.tensor(int(row), first, kept) for row in rows])
        return nn.functional.pad(mels, (0, frames - kept), value=self.cache.mel.log_floor)

    def crop(self, settings: EnhancerSettings, generator: torch.Generator) -> EnhancerBatch:
        """Draw random crops of random training pairs."""
        chosen = torch.randint(self.train_pairs, (settings.batch_size,), generator=generator).numpy()
        stride, longest = self.autoencoder.frame_stride, self.generated.latents.shape[-1]
        columns = min(settings.crop_columns, longest)
        first = int(torch.randint(longest - columns + 1, (1,), generator=generator))
        frames = (first * stride, columns * stride)
        target = self.mels(self.generated.targets[chosen], *frames)
        mel = self.decode(self.generated.latents[chosen, :, :, first : first + columns])
        true = torch.rand(settings.batch_size, generator=generator) < settings.true_share
        if true.any():
            mel[true] = through_autoencoder(target[true], self.autoencoder).to(mel.device)
        return EnhancerBatch(mel, self.mels(self.generated.sources[chosen], *frames).to(mel), target.to(mel))

    def held_out(self) -> Iterator[EnhancerBatch]:
        """Yield the held-out pairs, uncropped."""
        for pair in range(self.train_pairs, len(self.generated.targets)):
            rows = slice(pair, pair + 1)
            mel = self.decode(self.generated.latents[rows])
            frames = (0, self.cache.mels.shape[-1])
            source, target = (
                self.mels(of[rows], *frames).to(mel) for of in (self.generated.sources, self.generated.targets)
            )
            yield EnhancerBatch(mel[..., : frames[1]], source, target)


def enhancer_loss(
    enhanced: torch.Tensor, batch: EnhancerBatch, settings: EnhancerSettings, discriminator: nn.Module | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of one batch and its parts.

    The parts are L1 losses on log-mels, edges and frame levels, and adversarial losses if there is a discriminator. The
    discriminator gets no gradient.

    ``l1_left`` is the share of the error that remains after enhancing.
    """
    l1 = (enhanced - batch.target).abs().mean()
    edge = edge_loss(enhanced, batch.target)
    level = level_loss(enhanced, batch.target)
    before = (batch.generated - batch.target).abs().mean()
    parts = {"l1": l1, "edge": edge, "level": level, "l1_before": before, "l1_left": l1 / before}
    loss = l1 + settings.edge_weight * edge + settings.level_weight * level
    if discriminator is not None:
        adversarial, feature = generator_losses(discriminator, batch.beside(enhanced), batch.beside(batch.target), 1.0)
        parts |= {"adversarial": adversarial, "feature": feature}
        loss = loss + settings.adversarial_weight * adversarial + settings.feature_weight * feature
    return loss, {name: part.detach() for name, part in parts.items()}


def take_step(run: TrainingRun, batches: list[EnhancerBatch], settings: EnhancerSettings) -> None:
    """Update the discriminator, if there is one, and the enhancer."""
    if "discriminator" in run.models:
        for batch in batches:
            with torch.no_grad():
                enhanced = run.plain_models["enhancer"](batch.generated, batch.source)
            fake, real = batch.beside(enhanced), batch.beside(batch.target)
            judgement = discriminator_step_loss(run.models["discriminator"], fake, real, 1.0)
            run.backward(judgement)
            run.record({"judgement": judgement.detach()})
        run.update("discriminator")
    for batch in batches:
        enhanced = run.models["enhancer"](batch.generated, batch.source).float()
        loss, parts = enhancer_loss(enhanced, batch, settings, run.plain_models.get("discriminator"))
        run.backward(loss)
        run.record(parts)
    run.update("enhancer")


@torch.no_grad()
def validation_errors(model: MelEnhancer, data: EnhancerData) -> tuple[float, float]:
    """Log-mel errors of held-out pairs before and after enhancing.

    They are mean absolute errors in nepers.
    """
    errors = []
    for batch in data.held_out():
        outputs = (batch.generated, model(batch.generated, batch.source))
        errors.append([(output - batch.target).abs().mean() for output in outputs])
    before, after = torch.tensor(errors).mean(dim=0).tolist()
    return before, after


def train(settings: EnhancerSettings) -> MelEnhancer:
    """Train or resume, and export the EMA weights to ``out/enhancer``."""
    mel = MelConfig()
    cache, generated = read_cache(settings.cache, mel), read_transfers(settings.generated)
    autoencoder = load_autoencoder(settings.autoencoder, mel)
    generated.require_origin(cache.clips, autoencoder)
    torch.manual_seed(settings.seed)
    model = MelEnhancer(mel=mel.to_dict(), fold=settings.fold, widths=settings.widths, layers=settings.layers)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    load_initial_weights(settings.initial, {"enhancer": model})
    discriminators = {"discriminator": MelDiscriminator()} if settings.adversarial_weight else {}
    models = {"enhancer": model, **discriminators}
    optimizers = {
        name: torch.optim.AdamW(part.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
        for name, part in models.items()
    }
    average = EMAModel(model.parameters(), decay=settings.average_decay, use_ema_warmup=True, power=0.75)
    run = TrainingRun(settings, models, optimizers, {"enhancer": average})
    device, process = run.accelerator.device, run.accelerator.process_index
    data = EnhancerData(cache, generated, autoencoder.to(device))
    for step in run.steps():
        draws = [generator_at(settings.seed, step, micro, process) for micro in range(settings.accumulation)]
        batches = [data.crop(settings, draw) for draw in draws]
        take_step(run, batches, settings)
        if run.wants_images():
            batch = batches[0]
            with torch.no_grad():
                enhanced = model(batch.generated[:1], batch.source[:1])
            mels = [batch.source[0, 0], batch.generated[0, 0], enhanced[0, 0], batch.target[0, 0]]
            run.log_image("source, generated, enhanced, target", mels_to_image([m.cpu() for m in mels], mel))
    if run.accelerator.is_main_process:
        average.copy_to(model.parameters())
        model.save_pretrained(settings.out / "enhancer")
        before, after = validation_errors(model.eval(), data)
        print(f"validation log-mel error {after:.4f} nepers, {before:.4f} before enhancing")
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(EnhancerSettings, args))
