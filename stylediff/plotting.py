"""Log-mels as pictures."""

import librosa
import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from stylediff.mel import MelConfig

DYNAMIC_RANGE = 8.0  # nepers shown below the loudest band, about 70 dB
TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000)


def colour_image(mel: torch.Tensor, top: float) -> np.ndarray:
    """One log-mel as (mels, frames, 3) uint8, low bands at the bottom.

    Args:
        mel: (mels, frames) in nepers.
        top: value shown brightest; ``DYNAMIC_RANGE`` below it is black.
    """
    scaled = ((mel.float() - top) / DYNAMIC_RANGE + 1).clamp(0, 1).numpy()[::-1]
    return (matplotlib.colormaps["magma"](scaled)[..., :3] * 255).round().astype(np.uint8)


def brightest(mels: list[torch.Tensor], config: MelConfig) -> float:
    """The value shown brightest when these log-mels share one colour scale, on which silence is black."""
    return max(config.log_floor + DYNAMIC_RANGE, *(float(mel.max()) for mel in mels))


def mels_to_image(mels: list[torch.Tensor], config: MelConfig) -> np.ndarray:
    """Log-mels above each other on one colour scale, as (height, width, 3) uint8.

    Args:
        mels: each (mels, frames) in nepers, equally long.
    """
    top = brightest(mels, config)
    line = np.full((2, mels[0].shape[-1], 3), 255, np.uint8)
    rows = []
    for mel in mels:
        rows += [colour_image(mel, top), line]
    return np.concatenate(rows[:-1])


def spectrogram_figure(mels: list[torch.Tensor], names: tuple[str, ...], config: MelConfig) -> Image.Image:
    """Log-mels side by side on the same axes and colour scale, in seconds and Hz.

    Built without pyplot, whose global state is not safe in a server's threads.

    Args:
        mels: each (mels, frames) in nepers.
        names: a title for each.
    """
    top = brightest(mels, config)
    edges = librosa.mel_frequencies(config.n_mels + 2, fmin=config.fmin_hz, fmax=config.fmax_hz)[1:-1]
    figure = Figure(figsize=(6 * len(mels), 4), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axis, mel, name in zip(figure.subplots(1, len(mels), sharey=True, squeeze=False)[0], mels, names, strict=True):
        shown = axis.imshow(
            mel.float().numpy(),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - DYNAMIC_RANGE,
            vmax=top,
            extent=(0, config.seconds(mel.shape[-1]), 0, config.n_mels),
        )
        axis.set(title=name, xlabel="seconds")
        axis.set_yticks(np.interp(TICKS_HZ, edges, np.arange(config.n_mels) + 0.5), [f"{hz:g}" for hz in TICKS_HZ])
    figure.axes[0].set_ylabel("Hz")
    decibels = 20 / np.log(10)
    bar = figure.colorbar(shown, ax=figure.axes, pad=0.01)
    bar.set_ticks([top - drop / decibels for drop in (0, 20, 40, 60)], labels=["0", "-20", "-40", "-60"])
    bar.set_label("dB below the loudest")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
