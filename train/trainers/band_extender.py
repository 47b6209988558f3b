"""Train the network that predicts the levels of the upper band.

python -m train band-extender --data DIR --out RUN
"""

import argparse
import json

import numpy as np
import torch

from stylediff.bandwidth import BANDS, LEVEL_FLOOR, BandExtender
from stylediff.mel import LEVEL_SCALE, MelConfig
from train.common.files import FolderError, write_atomically
from train.data.full_band import FIRST_RECORDING, FullBandClips, read_full_band
from train.trainers.base_settings import SettingsError, read_settings
from train.trainers.loop import TrainingRun, generator_at, run_trainer
from train.trainers.settings import BandExtenderSettings

AUDIBLE = 1.0  # nepers above the floor; the level of quieter upper bands does not count
CALIBRATED = 200  # clips of each origin
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
    recorded = np.flatnonzero(clips.groups >= FIRST_RECORDING)
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


def whole_level(levels: torch.Tensor) -> float:
    """Level of the mean power of all bands and frames, in nepers."""
    return float(0.5 * (2 * levels).exp().mean().log())


@torch.no_grad()
def measure_error(
    model: BandExtender, clips: FullBandClips, with_hints: bool = False, rows: np.ndarray | None = None
) -> dict[str, float]:
    """Errors in dB: of all levels, and of the whole band's.

    Args:
        rows: clips to measure; None takes all.
    """
    rows = np.arange(len(clips.groups)) if rows is None else rows
    others = pick_hints(clips, rows, np.full(len(rows), 0.5)) if with_hints else np.full(len(rows), -1)
    errors, wholes = [], []
    for row, other in zip(rows, others, strict=True):
        hint = torch.from_numpy(clips.levels[other]).float()[None] if other >= 0 else None
        made = model(torch.from_numpy(clips.mels[row]).float()[None, None], hint)[0]
        levels = torch.from_numpy(clips.levels[row]).float()
        errors.append(float((made - levels).abs().mean()))
        if float(levels.max()) > LEVEL_FLOOR + AUDIBLE:
            wholes.append(whole_level(made) - whole_level(levels))
    wholes = wholes or [np.nan]
    found = {"levels": np.mean(errors), "whole band": np.median(np.abs(wholes)), "bias": np.median(wholes)}
    return {name: float(20 / np.log(10) * value) for name, value in found.items()}


@torch.no_grad()
def calibrate(model: BandExtender, clips: FullBandClips) -> None:
    """Shift the levels until the whole band is loud enough.

    The least absolute error is at the median of the levels, and the loudest carry the power. Renders and recordings
    count alike. Without a clip whose upper band can be heard, nothing is shifted.
    """
    is_recorded = clips.groups >= FIRST_RECORDING
    origins = [np.flatnonzero(chosen) for chosen in (is_recorded, ~is_recorded)]
    biases = [
        measure_error(model, clips, rows=rows[:: -(-len(rows) // CALIBRATED)])["bias"] for rows in origins if len(rows)
    ]
    known = [bias for bias in biases if np.isfinite(bias)]
    if known:
        model.leave.bias -= np.log(10) / 20 * float(np.mean(known)) / LEVEL_SCALE


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
        calibrate(model, clips)
        model.save_pretrained(settings.out / "band_extender")
        errors = {name: measure_error(model, held_out, name == "hints") for name in ("no hints", "hints")}
        write_atomically(settings.out / "errors.json", json.dumps(errors, indent=1))
        for name, found in errors.items():
            print(f"validation, {name}, dB: " + ", ".join(f"{what} {value:.2f}" for what, value in found.items()))
    return model


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(BandExtenderSettings, args))
