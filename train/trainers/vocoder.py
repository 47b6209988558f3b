"""Train the vocoder on magnitudes, sound and decoded mels.

Training starts with magnitudes alone, continues with sound and discriminators, and ends with decoded mels.

accelerate launch -m train vocoder --cache DIR --data DIR --out RUN --autoencoder RUN/autoencoder

Rerun the same command to resume.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.plotting import mels_to_image
from stylediff.vocoder import Vocoder
from train.data.latent_cache import load_autoencoder, through_autoencoder
from train.data.mel_cache import MelCache, read_cache
from train.data.waveforms import read_clips, read_waveform
from train.models.discriminators import Discriminators, discriminator_step_loss, generator_losses
from train.models.losses import magnitude_loss, mel_loss, stft_loss
from train.trainers.base_settings import is_due, read_settings
from train.trainers.loop import TrainingRun, ema_weights, generator_at, load_initial_weights, run_trainer
from train.trainers.settings import VocoderSettings

EDGE_FRAMES = 8  # context around a crop, so that the edges of its mel are right


@torch.no_grad()
def magnitude_error(vocoder: Vocoder, cache: MelCache, rows: np.ndarray, data: Path) -> float:
    """Mean magnitude loss of whole clips, from their true mels."""
    losses = []
    for mel, target in read_clips(cache, rows, data):
        magnitude = vocoder.predict_magnitudes(mel.to(vocoder.device)).cpu()
        losses.append(float(magnitude_loss(magnitude, target, cache.mel)))
    return float(np.mean(losses))


@torch.no_grad()
def vocoder_errors(
    vocoder: Vocoder, cache: MelCache, rows: np.ndarray, data: Path, autoencoder: MelAutoencoder | None
) -> tuple[float, float]:
    """Mean log-mel error in nepers and mean multi-resolution STFT loss.

    Args:
        autoencoder: model that mels pass through first, or None.
    """
    errors = []
    for mel, target in read_clips(cache, rows, data):
        if autoencoder is not None:
            mel = autoencoder.decode(autoencoder.encode(mel))[..., : mel.shape[-1]]
        waveform = vocoder(mel)
        errors.append((float(mel_loss(waveform, target, cache.mel)), float(stft_loss(waveform, target))))
    mel_error, stft_error = np.mean(errors, axis=0)
    return mel_error, stft_error


def crop_batch(
    cache: MelCache,
    rows: np.ndarray,
    settings: VocoderSettings,
    autoencoder: MelAutoencoder | None,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw random crops of random rows, randomly attenuated and detuned.

    Args:
        autoencoder: model that mels pass through, or None.

    Returns:
        Log-mels (batch, 1, mels, crop_frames) and waveforms (batch, crop_frames * hop_length).
    """
    crop, context = settings.crop_frames, settings.context_frames if autoencoder else settings.crop_frames
    chosen = rows[torch.randint(len(rows), (settings.batch_size,), generator=generator).numpy()]
    places, gains, detunings = torch.rand(3, settings.batch_size, generator=generator)
    cents = (2 * detunings - 1) * settings.detune_cents
    skipped, waveforms = (context - crop) // 2, []
    for row, place, detuning in zip(chosen, places, cents, strict=True):
        start = int(place * max(1, cache.clips[row].frames - crop + 1)) - skipped - EDGE_FRAMES
        frames = context + 2 * EDGE_FRAMES
        waveforms.append(read_waveform(settings.data, cache.clips[row], cache.mel, start, frames, float(detuning)))
    waveform = torch.stack(waveforms) * (10 ** (gains * -settings.attenuation_db / 20))[:, None]
    mel = waveform_to_mel(waveform, cache.mel)[..., EDGE_FRAMES:-EDGE_FRAMES]
    if autoencoder is not None:
        mel = through_autoencoder(mel, autoencoder)
    first = (EDGE_FRAMES + skipped) * cache.mel.hop_length
    return mel[..., skipped : skipped + crop], waveform[:, first : first + crop * cache.mel.hop_length]


class Generator(nn.Module):
    """Vocoder in training: predicts magnitudes and synthesizes sound."""

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, mel: torch.Tensor, audible: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return magnitudes and, if asked for, waveforms of log-mels.

        Magnitudes have the shape (batch, bins, frames), waveforms (batch, samples).
        """
        magnitude = self.vocoder.predict_magnitudes(mel)
        return magnitude, self.vocoder.synthesize(magnitude) if audible else None


def build_models(settings: VocoderSettings, mel: MelConfig) -> tuple[Vocoder, Discriminators]:
    torch.manual_seed(settings.seed)
    vocoder = Vocoder(
        mel=mel.to_dict(),
        blocks=settings.blocks,
        width=settings.width,
        expansion=settings.expansion,
        refinements=settings.refinements,
        hidden_share=settings.hidden_share,
    )
    return vocoder, Discriminators(settings.discriminator_channels, settings.discriminator_channels)


def vocoder_loss(
    magnitude: torch.Tensor,
    waveform: torch.Tensor | None,
    target: torch.Tensor,
    mel: MelConfig,
    discriminators: nn.Module,
    settings: VocoderSettings,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of magnitudes and, if given, of sound.

    Returns the loss and its parts. Discriminators get no gradient.

    Args:
        magnitude: (batch, bins, frames).
        waveform, target: (batch, samples).
    """
    parts = {"magnitude": magnitude_loss(magnitude, target, mel)}
    loss = settings.magnitude_weight * parts["magnitude"]
    if waveform is not None:
        parts |= {"mel": mel_loss(waveform, target, mel), "stft": stft_loss(waveform, target)}
        ours, theirs = waveform[: settings.judged_crops], target[: settings.judged_crops]
        adversarial, feature = generator_losses(discriminators, ours, theirs, 1.0, settings.resolution_weight)
        parts |= {"adversarial": adversarial, "feature": feature}
        loss = loss + settings.mel_weight * parts["mel"] + settings.stft_weight * parts["stft"]
        loss = loss + settings.adversarial_weight * adversarial + settings.feature_weight * feature
    return loss, {name: part.detach() for name, part in parts.items()}


def train(settings: VocoderSettings) -> Vocoder:
    """Train or resume, export the EMA weights and return the vocoder.

    They are written to ``out/vocoder``.
    """
    mel = MelConfig()
    cache = read_cache(settings.cache, mel)
    # Recordings without a pair are used like any other clip, except held-out ones.
    rows, held_out = cache.split("train"), cache.split("validation")[:32]
    autoencoder = load_autoencoder(settings.autoencoder, mel) if settings.autoencoder else None
    vocoder, discriminators = build_models(settings, mel)
    load_initial_weights(settings.initial, {"vocoder": vocoder})
    models: dict[str, nn.Module] = {"vocoder": Generator(vocoder), "discriminator": discriminators}
    optimizers = {
        name: torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.8, 0.99), weight_decay=1e-2)
        for name, model in models.items()
    }
    average = EMAModel(vocoder.parameters(), decay=settings.average_decay, use_ema_warmup=True, power=0.75)
    run = TrainingRun(settings, models, optimizers, {"vocoder": average})
    device, process = run.accelerator.device, run.accelerator.process_index
    if autoencoder is not None:
        autoencoder.to(device)
    for step in run.steps():
        decoder = autoencoder if run.is_past(settings.decoded_start) else None
        audible = run.is_past(settings.gan_start)
        batches = []
        for micro in range(settings.accumulation):
            generator = generator_at(settings.seed, step, micro, process)
            batch, target = crop_batch(cache, rows, settings, decoder, generator)
            batches.append((batch.to(device), target.to(device)))
        if audible:
            for batch, target in batches:
                with torch.no_grad():
                    waveform = vocoder(batch[: settings.judged_crops])
                discriminators, real = run.models["discriminator"], target[: settings.judged_crops]
                discriminator_loss = discriminator_step_loss(
                    discriminators, waveform, real, 1.0, settings.resolution_weight
                )
                run.backward(discriminator_loss)
                run.record({"discriminators": discriminator_loss.detach()})
            run.update("discriminator", settings.clip_norm)
        for batch, target in batches:
            magnitude, sound = run.models["vocoder"](batch, audible)
            loss, parts = vocoder_loss(magnitude, sound, target, mel, discriminators, settings)
            run.backward(loss)
            run.record(parts)
        run.update("vocoder", settings.clip_norm)
        if is_due(step + 1, settings.validate_every):
            with ema_weights(vocoder, average):
                run.record({"validation": magnitude_error(vocoder, cache, held_out, settings.data)})
        if run.wants_images():
            original = cache.tensor(int(held_out[0]))[None]
            with torch.no_grad():
                vocoded = waveform_to_mel(vocoder(original.to(device)), mel).cpu()
            run.log_image("original, vocoded", mels_to_image([original[0, 0], vocoded[0, 0]], mel))
    if not run.accelerator.is_main_process:
        return vocoder
    shipped = export(vocoder, average, settings.out)
    decoders = {"true": None} | ({"decoded": autoencoder.cpu()} if autoencoder else {})
    for name, decoder in decoders.items():
        mel_error, stft_error = vocoder_errors(shipped, cache, held_out, settings.data, decoder)
        print(f"validation, {name} mels: log-mel error {mel_error:.4f} nepers, STFT loss {stft_error:.4f}")
    return shipped


def export(vocoder: Vocoder, average: EMAModel, out: Path) -> Vocoder:
    """Save the EMA weights and load them again."""
    average.copy_to(vocoder.parameters())
    vocoder.save_pretrained(out / "vocoder")
    return Vocoder.from_pretrained(out / "vocoder").eval()


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(VocoderSettings, args))
