"""What the denoiser is trained with: its settings, and pairs cut from the caches."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from stylediff.latents import MelAutoencoder
from train.clips import Clips, near_the_model
from train.colours import ColouredClips, read_coloured
from train.encoding import read_latents
from train.mel_cache import MelCache
from train.pairs import PairBatch, PairSampler, default_first
from train.settings import TrainSettings


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


@dataclass(frozen=True)
class DenoiserData:
    """What the denoiser is trained on.

    Attributes:
        train, unseen: pairs of the training and of the validation split.
        heard: log-mels that references are cut from, (clips, mels, frames), or None.
        references: how many pairs of a batch have one.
    """

    train: PairSampler
    unseen: PairSampler
    heard: Clips | None
    references: int

    def batch(self, settings: DenoiserSettings, generator: torch.Generator) -> PairBatch:
        """Training pairs of a random length."""
        longest = self.train.latents.shape[-1]
        lengths = range(min(settings.shortest_columns, longest), longest + 1, 4)
        columns = lengths[int(torch.randint(len(lengths), (1,), generator=generator))]
        return self.train.batch(settings.batch_size, columns, generator, self.heard, self.references)


def read_data(
    settings: DenoiserSettings,
    cache: MelCache,
    autoencoder: MelAutoencoder | None,
    device: torch.device,
    known_voices: Iterable[str] = (),
) -> DenoiserData:
    """Opens the caches, or copies them to the model's GPU, where it has one with room for them.

    Args:
        known_voices: voices that the model has to know beside those of the cache.

    Raises:
        CacheError: see ``read_latents``.
    """
    latents = read_latents(settings.latents, cache.rows, autoencoder)
    played = {row.voice for row in cache.rows if row.split == "train" and row.paired}
    voices = default_first(played | set(known_voices))
    rows, coloured, near = cache.rows[: len(latents)], read_coloured(settings.latents), near_the_model(latents, device)
    if coloured is not None:
        coloured = ColouredClips(coloured.rows, coloured.curves, near_the_model(coloured.latents, device))
    references = round(settings.reference_share * settings.batch_size) if settings.reference_width else 0
    return DenoiserData(
        PairSampler(rows, near, voices, "train", coloured, cache.mel.log_floor, settings.favoured_share),
        PairSampler(rows, near, voices, "validation"),
        near_the_model(cache.mels, device) if references else None,
        references,
    )
