"""Train the detector of mixes, on the features of the style encoder.

Single instruments are clips of the cache, or recordings. Mixes are sums of clips of different instruments. The style
encoder stays as it is, so the detector belongs to it.

python -m train mix-detector --cache RUN/mels --recordings FOLDER --style-encoder MODEL/style_encoder \
    --out RUN/mix_detector
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from stylediff import MixDetector, StyleEncoder
from stylediff.audio import loudness_gain
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.mix_detector import WINDOW_FRAMES
from train.common.files import write_atomically
from train.data.mel_cache import CacheError, MelCache, read_cache
from train.data.recordings import TRAIN, RecordingError, list_recordings, load_clips
from train.trainers.base_settings import read_settings
from train.trainers.classifier import augment_mels
from train.trainers.loop import TrainingRun, generator_at, run_trainer
from train.trainers.settings import MixDetectorSettings

SIZES = (1, 1, 1, 1, 2, 2, 3, 4)  # instruments of a clip, equally likely: half of the clips are single instruments
QUIETEST = 8 / (20 / np.log(10))  # nepers below the loudest instrument
VALIDATION_BATCHES = 8
FOLD = 5  # the last of so many recorded clips of an instrument is for validation


class CachedClips:
    """Log-mels (1, mels, frames) of rows of a cache, read on demand."""

    def __init__(self, cache: MelCache, rows: list[int]) -> None:
        self.cache, self.rows = cache, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.cache.tensor(self.rows[number])


Instruments = list[CachedClips | list[torch.Tensor]]  # clips of each instrument


def cached_clips(cache: MelCache, split: str) -> Instruments:
    """Clips of a split of the cache, by instrument.

    Raises:
        CacheError: the split has fewer instruments than the largest mix.
    """
    rows: dict[str, list[int]] = {}
    for number, clip in enumerate(cache.clips):
        if clip.split == split:
            rows.setdefault(clip.instrument, []).append(number)
    if len(rows) < max(SIZES):
        raise CacheError(f"the {split} split of the cache has fewer than {max(SIZES)} instruments")
    return [CachedClips(cache, numbers) for numbers in rows.values()]


def recorded_clips(folder: Path, mel: MelConfig) -> tuple[Instruments, Instruments]:
    """Log-mels of recordings by instrument, for training and for validation.

    Held-out recordings are in neither. Every fifth clip of an instrument is for validation, so validation clips may be
    of pieces that are trained on.

    Raises:
        RecordingError: fewer instruments than the largest mix have five clips.
    """
    found: dict[str, list[torch.Tensor]] = {}
    for recording in list_recordings(folder):
        if recording.split == TRAIN and recording.instrument is not None:
            clips = [clip[None] * loudness_gain(clip) for clip in load_clips(recording, mel.sample_rate)]
            found.setdefault(recording.instrument, []).extend(waveform_to_mel(clip, mel)[0] for clip in clips)
    found = {instrument: clips for instrument, clips in found.items() if len(clips) >= FOLD}
    if len(found) < max(SIZES):
        raise RecordingError(f"{folder} has fewer than {max(SIZES)} instruments with {FOLD} clips to train on")
    training = [[clip for number, clip in enumerate(clips, 1) if number % FOLD] for clips in found.values()]
    return [*training], [clips[FOLD - 1 :: FOLD] for clips in found.values()]


def add_up(mels: torch.Tensor, gains: torch.Tensor, floor: float) -> torch.Tensor:
    """Log-mel of instruments that play together, at the loudness of one.

    Their phases are unrelated, so their powers add up.

    Args:
        mels: log-mels (instruments, 1, mels, frames).
        gains: (instruments,) in nepers.
    """
    total = 0.5 * torch.logsumexp(2 * (mels + gains[:, None, None, None]), dim=0)
    return (total - 0.5 * torch.logsumexp(2 * gains, dim=0)).clamp_min(floor)


def sample_mixes(
    instruments: Instruments, count: int, mel: MelConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw log-mels, and the number of instruments in each.

    Their shapes are (count, 1, mels, frames) and (count,).
    """
    drawn, sizes = [], []
    for _ in range(count):
        size = SIZES[int(torch.randint(len(SIZES), (1,), generator=generator))]
        chosen = torch.randperm(len(instruments), generator=generator)[:size].tolist()
        parts = []
        for clips in (instruments[number] for number in chosen):
            clip = clips[int(torch.randint(len(clips), (1,), generator=generator))][..., :WINDOW_FRAMES].float()
            parts.append(functional.pad(clip, (0, WINDOW_FRAMES - clip.shape[-1]), value=mel.log_floor))
        gains = -QUIETEST * torch.rand(size, generator=generator)
        gains[0] = 0.0
        drawn.append(add_up(torch.stack(parts), gains, mel.log_floor))
        sizes.append(size)
    return torch.stack(drawn), torch.tensor(sizes)


def sample_batch(
    origins: list[Instruments], count: int, mel: MelConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw equally many samples from each origin, and vary half of them."""
    each = -(-count // len(origins))
    drawn = [sample_mixes(instruments, each, mel, generator) for instruments in origins]
    mels, sizes = (torch.cat(parts)[:count] for parts in zip(*drawn, strict=True))
    varied = augment_mels(mels, mel.log_floor, generator)
    return torch.where(torch.rand(len(mels), 1, 1, 1, generator=generator) < 0.5, mels, varied), sizes


@torch.no_grad()
def set_threshold(
    model: MixDetector, encoder: StyleEncoder, origins: dict[str, Instruments], settings: MixDetectorSettings
) -> dict[str, dict[str, float]]:
    """Shift the scores so that few single instruments are above 0.

    The share is kept for each origin of clips.

    Returns the share of validation clips above it, by origin and number of instruments.
    """
    scores: dict[str, torch.Tensor] = {}
    sizes: dict[str, torch.Tensor] = {}
    for origin, instruments in origins.items():
        drawn = [
            sample_mixes(instruments, settings.batch_size, encoder.mel, torch.Generator().manual_seed(number))
            for number in range(VALIDATION_BATCHES)
        ]
        scores[origin] = torch.cat([model(encoder.encode_reference(mels)) for mels, _ in drawn])
        sizes[origin] = torch.cat([found for _, found in drawn])
    threshold = max(float(scores[origin][sizes[origin] == 1].quantile(1 - settings.false_alarms)) for origin in origins)
    model.score.bias.sub_(threshold)
    return {
        origin: {
            str(size): float((scores[origin][sizes[origin] == size] > threshold).float().mean())
            for size in sorted(set(SIZES))
        }
        for origin in origins
    }


def train(settings: MixDetectorSettings) -> MixDetector:
    """Train or resume, and export the model and its shares to ``out/mix_detector``."""
    cache = read_cache(settings.cache, MelConfig())
    encoder = StyleEncoder.from_pretrained(settings.style_encoder).float().eval()
    origins = [cached_clips(cache, "train")]
    validation = {"cache": cached_clips(cache, "validation")}
    if settings.recordings:
        recorded, validation["recordings"] = recorded_clips(Path(settings.recordings), cache.mel)
        origins.append(recorded)
    torch.manual_seed(settings.seed)
    model = MixDetector(encoder.config.tokens * encoder.config.width, settings.width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=1e-2)
    run = TrainingRun(settings, {"mix_detector": model}, {"mix_detector": optimizer})
    device, process = run.accelerator.device, run.accelerator.process_index
    encoder.to(device)
    for step in run.steps():
        for micro in run.passes():
            generator = generator_at(settings.seed, step, micro, process)
            mels, sizes = sample_batch(origins, settings.batch_size, cache.mel, generator)
            with torch.no_grad():
                tokens = encoder.encode_reference(mels.to(device))
            scores = run.models["mix_detector"](tokens).float()
            loss = functional.binary_cross_entropy_with_logits(scores, (sizes > 1).float().to(device))
            run.backward(loss)
            run.record({"loss": loss.detach()})
        run.update("mix_detector")
    if run.accelerator.is_main_process:
        model.cpu().eval()
        shares = set_threshold(model, encoder.cpu(), validation, settings)
        model.save_pretrained(settings.out / "mix_detector")
        write_atomically(settings.out / "shares.json", json.dumps(shares, indent=1))
        for origin, by_size in shares.items():
            print(f"called a mix, {origin}: " + "  ".join(f"{size} {share:.3f}" for size, share in by_size.items()))
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(MixDetectorSettings, args))
