"""Train the instrument classifier on renders only.

It evaluates the model, so it is never trained on the model's outputs.

accelerate launch -m train classifier --cache DIR --out RUN
"""

import argparse
import json

import numpy as np
import torch
from torch.nn import functional

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from train.common.files import write_atomically
from train.data.mel_cache import CacheError, MelCache, read_cache
from train.models.instrument_classifier import InstrumentClassifier
from train.trainers.base_settings import read_settings
from train.trainers.loop import TrainingRun, generator_at, run_trainer
from train.trainers.settings import ClassifierSettings


def training_rows(cache: MelCache) -> list[np.ndarray]:
    """Return row numbers of the training renders of each instrument.

    Renders of every role are included.

    Raises:
        CacheError: an instrument has no training clip.
    """
    rows: list[list[int]] = [[] for _ in INSTRUMENT_NAMES]
    for number, row in enumerate(cache.clips):
        if row.split == "train" and row.paired:
            rows[INSTRUMENT_NAMES.index(row.instrument)].append(number)
    for name, numbers in zip(INSTRUMENT_NAMES, rows, strict=True):
        if not numbers:
            raise CacheError(f"the cache has no training clip of {name}")
    return [np.array(numbers) for numbers in rows]


def sample_batch(
    cache: MelCache, rows: list[np.ndarray], settings: ClassifierSettings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw random crops and their labels, every instrument equally likely.

    The crops have the shape (batch, 1, mels, frames) and one random length.
    """
    shortest, longest = settings.shortest_frames, settings.longest_frames
    frames = int(torch.randint(shortest, longest + 1, (1,), generator=generator))
    labels = torch.randint(len(rows), (settings.batch_size,), generator=generator)
    crops = []
    for label, (row, start) in zip(labels, torch.rand(len(labels), 2, generator=generator), strict=True):
        number = int(rows[label][int(row * len(rows[label]))])
        first = int(start * max(1, cache.clips[number].frames - frames + 1))
        crops.append(cache.tensor(number, first, frames))
    return torch.stack(crops), labels


def augment_mels(mel: torch.Tensor, floor: float, generator: torch.Generator) -> torch.Tensor:
    """Vary log-mels in level, equalisation, noise and blur.

    This imitates vocoders, rooms and microphones. A classifier trained on clean renders alone would recognise the
    vocoder's artefacts instead of the instrument.

    Args:
        mel: (batch, 1, mels, frames) in nepers.
        floor: lowest value of a log-mel.
    """
    batch, _, mels, _ = mel.shape

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        draw = torch.rand(batch, 1, *(shape or (1, 1)), generator=generator)
        return (low + (high - low) * draw).to(mel.device)

    blurred = functional.avg_pool2d(mel, (5, 3), 1, (2, 1), count_include_pad=False)
    band = torch.linspace(0, 1, mels, device=mel.device)[:, None]
    lowest = uniform(0, 1)
    in_band = (band >= lowest) & (band < lowest + uniform(0, 0.7))
    out = torch.where(in_band, torch.lerp(mel, blurred, uniform(0, 1)), mel)
    bumps = functional.interpolate(uniform(-0.5, 0.5, 8, 1), (mels, 1), mode="bilinear", align_corners=True)
    out = out + bumps + uniform(-1.2, 0.8) * (band - 0.3) + uniform(-1.5, 0.5)
    ripple = torch.randn(mel.shape, generator=generator).to(mel.device)
    out = out + uniform(0, 0.2) * ripple
    hiss = out.amax(dim=(2, 3), keepdim=True) - uniform(4.5, 9.0)
    return torch.logaddexp(out, hiss + 0.4 * ripple).clamp_min(floor)


def classifier_loss(
    model: torch.nn.Module, mel: torch.Tensor, labels: torch.Tensor, label_smoothing: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Cross-entropy and accuracy of a batch of log-mels.

    Log-mels have the shape (batch, 1, mels, frames).
    """
    logits = model(mel).float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    return loss, {"loss": loss.detach(), "accuracy": (logits.argmax(1) == labels).float().mean()}


@torch.no_grad()
def measure_accuracy(model: InstrumentClassifier, cache: MelCache, split: str, role: str) -> dict[str, float]:
    """Accuracy on whole clips of a split, by instrument.

    The entry "mean" is the mean over instruments. Only clips of one role are used.
    """
    hits: dict[str, list[bool]] = {}
    for number, row in enumerate(cache.clips):
        if row.split == split and row.role == role and row.paired:
            named = INSTRUMENT_NAMES[int(model(cache.tensor(number)[None]).argmax())]
            hits.setdefault(row.instrument, []).append(named == row.instrument)
    shares = {name: float(np.mean(hits[name])) for name in INSTRUMENT_NAMES if name in hits}
    return shares | ({"mean": float(np.mean(list(shares.values())))} if shares else {})


def train(settings: ClassifierSettings) -> InstrumentClassifier:
    """Train or resume, and export the model and its accuracy.

    Both are written to ``out/classifier``.
    """
    mel = MelConfig()
    cache = read_cache(settings.cache, mel)
    rows = training_rows(cache)
    torch.manual_seed(settings.seed)
    model = InstrumentClassifier(mel.to_dict(), INSTRUMENT_NAMES, settings.widths).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=1e-2)
    run = TrainingRun(settings, {"classifier": model}, {"classifier": optimizer})
    device, process = run.accelerator.device, run.accelerator.process_index
    for step in run.steps():
        for micro in run.passes():
            generator = generator_at(settings.seed, step, micro, process)
            crops, labels = sample_batch(cache, rows, settings, generator)
            crops = augment_mels(crops.to(device), mel.log_floor, generator)
            crops = crops.contiguous(memory_format=torch.channels_last)
            loss, parts = classifier_loss(run.models["classifier"], crops, labels.to(device), settings.label_smoothing)
            run.backward(loss)
            run.record(parts)
        run.update("classifier")
    if run.accelerator.is_main_process:
        model.cpu().eval()
        model.save_pretrained(settings.out / "classifier")
        accuracy = {
            "validation": measure_accuracy(model, cache, "validation", "target"),
            "test soundfont": measure_accuracy(model, cache, "test", "source"),
        }
        write_atomically(settings.out / "accuracy.json", json.dumps(accuracy, indent=1))
        for name, shares in accuracy.items():
            print(f"{name}: " + "  ".join(f"{instrument} {share:.3f}" for instrument, share in shares.items()))
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(ClassifierSettings, args))
