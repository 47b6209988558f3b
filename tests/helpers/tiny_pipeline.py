"""A pipeline of small real components, and a clip for it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
import torch

from stylediff import MelAutoencoder, MixDetector, StyleTransferPipeline, Vocoder
from stylediff.denoiser import build_scheduler
from stylediff.instruments import INSTRUMENTS
from train.data.pairs import default_first
from train.trainers.denoiser import build_model
from train.trainers.settings import DenoiserSettings

TONE_RATE = 22050


def tiny_pipeline(voices: Iterable[str] = ()) -> StyleTransferPipeline:
    """Pipeline with random weights, all default voices, and more ``voices``."""
    torch.manual_seed(0)
    autoencoder = MelAutoencoder(block_out_channels=(16, 16), layers_per_block=1, latent_channels=4)
    settings = DenoiserSettings(
        out=Path(),
        cache=Path(),
        latents=Path(),
        widths=(16, 16, 16),
        head_width=8,
        tokens=2,
        token_width=16,
        reference_width=16,
    )
    known = default_first({instrument.default_voice for instrument in INSTRUMENTS} | set(voices))
    denoiser = build_model(settings, 4, known)
    vocoder = Vocoder(blocks=1, width=16)
    pipeline = StyleTransferPipeline(autoencoder, denoiser.unet, build_scheduler(), denoiser.style_encoder, vocoder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_tone(path: Path, samples: int = 30001, rate: int = TONE_RATE, channels: int = 1) -> Path:
    """A file with a tone of 440 Hz."""
    wave = 0.3 * np.sin(np.arange(samples) * 2 * np.pi * 440 / rate)
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate)
    return path


def with_detector(score: float) -> StyleTransferPipeline:
    """A pipeline whose detector gives every clip the same score."""
    parts = tiny_pipeline().components
    config = parts["style_encoder"].config
    detector = MixDetector(config.tokens * config.width, 8)
    torch.nn.init.zeros_(detector.score.weight)
    torch.nn.init.constant_(detector.score.bias, score)
    return StyleTransferPipeline(**parts | {"mix_detector": detector})
