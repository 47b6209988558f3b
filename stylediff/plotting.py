"""Pictures of log-mels."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from stylediff.mel import MelConfig, mel_edges

DYNAMIC_RANGE = 8.0  # nepers shown below the loudest band, about 70 dB
DECIBELS = 20 / np.log(10)  # in a neper
SHOWN_CHANGE_DB = 40
SHOWN_PEAKS = 2400  # of a waveform
STRIP_SIZE = (320, 1200)
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
    """Return the top of a colour scale that log-mels share.

    Silence is black on this scale.
    """
    return max(config.log_floor + DYNAMIC_RANGE, *(float(mel.max()) for mel in mels))


def drawable(text: str, instead: str) -> str:
    """Return a text, or another if pictures cannot show it."""
    from matplotlib.font_manager import findfont, get_font

    letters = get_font(findfont("DejaVu Sans")).get_charmap()
    return text if all(ord(letter) in letters for letter in text) else instead


def mels_to_image(mels: list[torch.Tensor], config: MelConfig) -> np.ndarray:
    """Stack log-mels in one picture on a common colour scale.

    Returns (height, width, 3) uint8.

    Args:
        mels: each (mels, frames) in nepers, equally long.
    """
    top = brightest(mels, config)
    line = np.full((2, mels[0].shape[-1], 3), 255, np.uint8)
    rows = []
    for mel in mels:
        rows += [colour_image(mel, top), line]
    return np.concatenate(rows[:-1])


def show_bands(
    axes: Axes, values: torch.Tensor, colours: str, limits: tuple[float, float], config: MelConfig
) -> AxesImage:
    """A picture of (mels, frames) values on axes in seconds and Hz.

    Args:
        colours: name of a matplotlib colour map.
        limits: values at the two ends of the colour map.
    """
    extent = (0, config.seconds(values.shape[-1]), 0, config.n_mels)
    shown = axes.imshow(
        values.float().numpy(), colours, vmin=limits[0], vmax=limits[1], origin="lower", aspect="auto", extent=extent
    )
    centres = mel_edges(config)[1:-1]
    axes.set_yticks(np.interp(TICKS_HZ, centres, np.arange(config.n_mels) + 0.5), [f"{hz:g}" for hz in TICKS_HZ])
    axes.set(xlabel="seconds", ylabel="Hz")
    axes.label_outer()
    return shown


def to_image(figure: Figure) -> Image.Image:
    """Render a figure to a picture without pyplot.

    pyplot's global state is not safe in a server's threads.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def spectrogram_figure(
    mels: list[torch.Tensor],
    names: tuple[str, ...],
    config: MelConfig,
    top: float | None = None,
    title_side: Literal["left", "center", "right"] = "center",
) -> Image.Image:
    """Plot log-mels side by side, in seconds and Hz.

    They share axes and colour scale.

    Args:
        mels: each (mels, frames) in nepers.
        names: a title for each.
        top: value shown brightest; by default the largest value of all log-mels.
        title_side: horizontal position of the titles.
    """
    top = brightest(mels, config) if top is None else top
    figure = Figure(figsize=(6 * len(mels), 4), dpi=100, layout="constrained")
    for axes, mel, name in zip(figure.subplots(1, len(mels), sharey=True, squeeze=False)[0], mels, names, strict=True):
        shown = show_bands(axes, mel, "magma", (top - DYNAMIC_RANGE, top), config)
        axes.set_title(name, loc=title_side)
    bar = figure.colorbar(shown, ax=figure.axes, pad=0.01)
    bar.set_ticks([top - drop / DECIBELS for drop in (0, 20, 40, 60)], labels=["0", "-20", "-40", "-60"])
    bar.set_label("dB below the loudest")
    return to_image(figure)


def waveform_figure(
    waveform: np.ndarray, sample_rate: int, spans: Sequence[tuple[float, float]], ticks: Sequence[float] = ()
) -> Image.Image:
    """Plot the peaks of a waveform, with spans and moments marked.

    Args:
        waveform: (samples,) in [-1, 1].
        spans: first and last second of each marked part.
        ticks: seconds of marked moments.
    """
    block = max(1, len(waveform) // SHOWN_PEAKS)
    blocks = waveform[: len(waveform) // block * block].reshape(-1, block)
    time = (np.arange(len(blocks)) + 0.5) * block / sample_rate
    figure = Figure(figsize=(12, 2.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.fill_between(time, blocks.min(1), blocks.max(1), color="#555577", linewidth=0)
    for first, last in spans:
        axes.axvspan(first, last, color="#E69F00", alpha=0.35, linewidth=0)
    top = max(1e-3, float(np.abs(waveform).max()))
    axes.vlines(list(ticks), -top, -0.9 * top, color="#0072B2", linewidth=0.8)
    axes.set(xlabel="seconds", xlim=(0, len(waveform) / sample_rate), ylim=(-top, top), yticks=[])
    return to_image(figure)


def waveform_strip(waveform: np.ndarray, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """Draw a waveform from edge to edge, with spans marked.

    A column of the picture is a moment, so that a click on it can be read.

    Args:
        waveform: (samples,) in [-1, 1].
        spans: first and last share of the length of each marked part.

    Returns:
        ``STRIP_SIZE`` of (height, width), with three colours, uint8.
    """
    height, width = STRIP_SIZE
    picture = np.full((height, width, 3), 255, np.uint8)
    for first, last in spans:
        left = min(width - 1, int(first * width))
        picture[:, left : max(left + 2, int(last * width))] = (244, 197, 110)
    edges = np.linspace(0, len(waveform), width + 1).astype(int)
    top = max(1e-3, float(np.abs(waveform).max()))
    for column, (begin, end) in enumerate(pairwise(edges)):
        peak = float(np.abs(waveform[begin : max(end, begin + 1)]).max(initial=0)) / top
        half = max(1, int(peak * (height // 2 - 2)))
        picture[height // 2 - half : height // 2 + half, column] = (85, 85, 119)
    return picture


def repair_figure(
    before: torch.Tensor,
    after: torch.Tensor,
    names: tuple[str, str],
    spans: Sequence[tuple[float, float]],
    config: MelConfig,
) -> Image.Image:
    """Plot log-mels before and after a repair, with the repaired parts marked.

    Args:
        before, after: (mels, frames) in nepers.
        spans: first and last second of each repaired part.
    """
    top = brightest([before, after], config)
    figure = Figure(figsize=(12, 6), dpi=100, layout="constrained")
    for axes, mel, name in zip(figure.subplots(2, 1, sharex=True), (before, after), names, strict=True):
        show_bands(axes, mel, "magma", (top - DYNAMIC_RANGE, top), config)
        axes.set_title(name, loc="left")
        for first, last in spans:
            axes.axvspan(first, max(last, first + 0.01), fill=False, edgecolor="#56B4E9", linewidth=1.2)
    return to_image(figure)


def code_figure(source: torch.Tensor, mel: torch.Tensor, colours: np.ndarray, config: MelConfig) -> Image.Image:
    """Plot a log-mel, its codes, and what the codes keep.

    Args:
        source, mel: (mels, frames) in nepers.
        colours: a colour for each code, (mels / 4, padded frames / 4, 3) uint8, low bands first.
    """
    top = brightest([source, mel], config)
    figure = Figure(figsize=(12, 9), dpi=100, layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, sharey=True)
    for axes, values, name in ((above, source, "clip"), (below, mel, "made from the codes")):
        show_bands(axes, values, "magma", (top - DYNAMIC_RANGE, top), config)
        axes.set_title(name, loc="left")
    end = config.seconds(colours.shape[1] * (config.n_mels // colours.shape[0]))
    middle.imshow(colours, origin="lower", aspect="auto", extent=(0, end, 0, config.n_mels), interpolation="nearest")
    middle.set(ylabel="Hz", xlim=(0, config.seconds(mel.shape[-1])))
    middle.set_title("codes", loc="left")
    return to_image(figure)


def change_image(source: torch.Tensor, target: torch.Tensor, config: MelConfig) -> np.ndarray:
    """Draw the level difference of a log-mel to its source.

    Louder is red, quieter is blue, the same is black. Where both lie below the shown range, they count as equal.

    Args:
        source, target: (mels, frames) in nepers.

    Returns:
        (mels, frames, 3) uint8, low bands at the bottom.
    """
    floor = brightest([source, target], config) - DYNAMIC_RANGE
    change = (target.float().clamp_min(floor) - source.float().clamp_min(floor)) * DECIBELS / SHOWN_CHANGE_DB
    red, blue = change.clamp(0, 1), (-change).clamp(0, 1)
    colours = torch.stack([red, 0.4 * (red + blue), blue], dim=-1)
    return (colours.numpy()[::-1] * 255).round().astype(np.uint8)
