"""Train the restorer: log-mels of damaged clips become those of clean ones.

    python -m train restorer --data DIR --out RUN

Its network is that of the enhancer, given the damaged log-mel twice, or silence as the second if a codec did the
damage. Rerun the same command to resume.
"""

import argparse
import json

import numpy as np
import torch
from diffusers.training_utils import EMAModel

from stylediff.enhancer import MelEnhancer
from stylediff.mel import MelConfig
from stylediff.restoration import hint_of
from train.common.files import FolderError, write_atomically
from train.data.damaged_clips import CODECS, DamagedClips, read_damaged
from train.models.losses import edge_loss
from train.trainers.base_settings import SettingsError, is_due, read_settings
from train.trainers.loop import TrainingRun, ema_weights, generator_at, run_trainer
from train.trainers.settings import RestorerSettings


def sample_batch(
    clips: DamagedClips, settings: RestorerSettings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw crops of damaged log-mels, their hints, and clean ones.

    Each is (batch, 1, mels, frames).
    """
    rows = torch.randint(len(clips.kinds), (settings.batch_size,), generator=generator).numpy()
    frames = min(settings.crop_frames, clips.damaged.shape[-1])
    first = int(torch.randint(clips.damaged.shape[-1] - frames + 1, (1,), generator=generator))
    damaged, clean = (
        torch.from_numpy(part[rows][..., first : first + frames].astype(np.float32))[:, None]
        for part in (clips.damaged, clips.clean)
    )
    is_coded = torch.tensor([clips.kinds[row] in CODECS for row in rows])[:, None, None, None]
    return damaged, torch.where(is_coded, hint_of(damaged, True), damaged), clean


@torch.no_grad()
def measure_errors(model: MelEnhancer, clips: DamagedClips) -> dict[str, dict[str, float]]:
    """Mean absolute errors by kind of damage, before and after.

    They are those of whole clips, in nepers.
    """
    errors: dict[str, list[tuple[float, float]]] = {}
    for kind, damaged, clean in zip(clips.kinds, clips.damaged, clips.clean, strict=True):
        before, after = (torch.from_numpy(part.astype(np.float32))[None, None] for part in (damaged, clean))
        made = model(before, hint_of(before, kind in CODECS))
        errors.setdefault(kind, []).append((float((before - after).abs().mean()), float((made - after).abs().mean())))
    means = {kind: np.mean(pairs, axis=0) for kind, pairs in errors.items()}
    return {kind: {"before": float(means[kind][0]), "after": float(means[kind][1])} for kind in sorted(means)}


def train(settings: RestorerSettings) -> MelEnhancer:
    """Train or resume, and export the EMA weights to ``out/restorer``.

    Raises:
        SettingsError: there are no damaged clips.
    """
    try:
        clips, unseen = (read_damaged(settings.data, split) for split in ("train", "validation"))
    except FolderError as error:
        raise SettingsError(str(error)) from error
    torch.manual_seed(settings.seed)
    model = MelEnhancer(MelConfig().to_dict(), settings.fold, settings.widths, settings.layers)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True
    )
    average = EMAModel(model.parameters(), decay=settings.average_decay, use_ema_warmup=True, power=0.75)
    run = TrainingRun(settings, {"restorer": model}, {"restorer": optimizer}, {"restorer": average})
    device, process = run.accelerator.device, run.accelerator.process_index
    for step in run.steps():
        for micro in run.passes():
            batch = sample_batch(clips, settings, generator_at(settings.seed, step, micro, process))
            damaged, hint, clean = (part.to(device) for part in batch)
            made = run.models["restorer"](damaged, hint).float()
            left = (made - clean).abs().mean()
            run.backward(left + settings.edge_weight * edge_loss(made, clean))
            run.record({"error": left.detach(), "before": (damaged - clean).abs().mean()})
        run.update("restorer")
        if is_due(step + 1, settings.validate_every) and run.accelerator.is_main_process:
            with ema_weights(model, average):
                errors = measure_errors(model, unseen)
            run.record({"validation": float(np.mean([means["after"] for means in errors.values()]))})
    if run.accelerator.is_main_process:
        average.copy_to(model.parameters())
        model.cpu().eval().save_pretrained(settings.out / "restorer")
        errors = measure_errors(model, unseen)
        write_atomically(settings.out / "errors.json", json.dumps(errors, indent=1))
        for kind, means in errors.items():
            print(f"validation, {kind}: {means['after']:.3f} nepers, {means['before']:.3f} before")
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(RestorerSettings, args))
