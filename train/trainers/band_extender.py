"""Train the network that predicts the levels of the upper band.

python -m train band-extender --data DIR --out RUN
"""

import argparse
import json

import numpy as np
import torch

from stylediff.bandwidth import BANDS, BandExtender
from stylediff.mel import MelConfig
from train.common.files import FolderError, write_atomically
from train.data.full_band import FullBandClips, read_full_band
from train.trainers.base_settings import SettingsError, read_settings
from train.trainers.loop import TrainingRun, generator_at, run_trainer
from train.trainers.settings import BandExtenderSettings

RECORDED_SHARE = 0.25  # of the clips of a batch, if there are recordings


def pick_hints(clips: FullBandClips, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Choose another clip of the same notes for each row.

    A row without one gets -1.
    """
    hints = []
    for row, draw in zip(rows, draws, strict=True):
        others = np.flatnonzero(clips.groups == clips.groups[row])
        others = others[others != row]
        hints.append(int(others[int(draw * len(others))]) if len(others) else -1)
    return np.array(hints)


def sample_batch(
    clips: FullBandClips, settings: BandExtenderSettings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw crops: log-mels, hints and levels.

    A share of the clips has a hint: the upper band of other instruments that play the same notes.

    Returns:
        (batch, 1, mels, frames), and twice (batch, bands, frames); hints are NaN where there are none.
    """
    recorded = np.flatnonzero(clips.groups >= 1_000_000)
    draws = torch.rand(settings.batch_size, 4, generator=generator).numpy()
    rows = (draws[:, 0] * len(clips.groups)).astype(int)
    count = round(RECORDED_SHARE * settings.batch_size) if len(recorded) else 0
    rows[:count] = recorded[(draws[:count, 0] * len(recorded)).astype(int)]
    others = pick_hints(clips, rows, draws[:, 1])
    first = int(draws[0, 2] * (clips.mels.shape[-1] - settings.crop_frames + 1))
    crop = slice(first, first + settings.crop_frames)
    hints = torch.full((len(rows), BANDS, settings.crop_frames), torch.nan)
    for number, (other, draw) in enumerate(zip(others, draws[:, 3], strict=True)):
        if other >= 0 and draw < settings.hint_share:
            hints[number] = torch.from_numpy(clips.levels[other][:, crop]).float()
    mels, levels = (torch.from_numpy(part[rows][..., crop]).float() for part in (clips.mels, clips.levels))
    return mels[:, None], hints, levels


@torch.no_grad()
def measure_error(model: BandExtender, clips: FullBandClips, with_hints: bool) -> float:
    """Mean absolute error of the levels of whole clips, in dB."""
    rows = np.arange(len(clips.groups))
    others = pick_hints(clips, rows, np.full(len(rows), 0.5)) if with_hints else np.full(len(rows), -1)
    errors = []
    for row, other in zip(rows, others, strict=True):
        hint = torch.from_numpy(clips.levels[other]).float()[None] if other >= 0 else None
        made = model(torch.from_numpy(clips.mels[row]).float()[None, None], hint)[0]
        errors.append(float((made - torch.from_numpy(clips.levels[row]).float()).abs().mean()))
    return 20 / np.log(10) * float(np.mean(errors))


def train(settings: BandExtenderSettings) -> BandExtender:
    """Train or resume, and export the model to ``out/band_extender``.

    Raises:
        SettingsError: no clips, or shorter ones than a crop.
    """
    try:
        clips, held_out = read_full_band(settings.data, "train"), read_full_band(settings.data, "validation")
    except FolderError as error:
        raise SettingsError(str(error)) from error
    if settings.crop_frames > clips.mels.shape[-1]:
        raise SettingsError(f"crop_frames must be at most {clips.mels.shape[-1]}, got {settings.crop_frames}")
    torch.manual_seed(settings.seed)
    model = BandExtender(MelConfig().to_dict(), settings.width, settings.layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=1e-2)
    run = TrainingRun(settings, {"band_extender": model}, {"band_extender": optimizer})
    device, process = run.accelerator.device, run.accelerator.process_index
    for step in run.steps():
        for micro in run.passes():
            batch = sample_batch(clips, settings, generator_at(settings.seed, step, micro, process))
            mels, hints, levels = (part.to(device) for part in batch)
            loss = (run.models["band_extender"](mels, hints).float() - levels).abs().mean()
            run.backward(loss)
            run.record({"loss": loss.detach()})
        run.update("band_extender")
    if run.accelerator.is_main_process:
        model.cpu().eval()
        model.save_pretrained(settings.out / "band_extender")
        errors = {name: measure_error(model, held_out, name == "hints") for name in ("no hints", "hints")}
        write_atomically(settings.out / "errors.json", json.dumps(errors, indent=1))
        print("validation error of the levels, dB: " + ", ".join(f"{name} {errors[name]:.2f}" for name in errors))
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(BandExtenderSettings, args))
