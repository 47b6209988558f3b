"""Pictures of an evaluation: confusions, pairs, quality against settings, and spectrograms."""

import numpy as np
from matplotlib.figure import Figure

from stylediff.instruments import INSTRUMENT_NAMES
from train.report import COLUMNS, Table
from train.rows import ours

SWEPT = ("log_mel_error", "timbre_distance", "frame_f", "named_target")


def draw_confusion(matrix: np.ndarray) -> Figure:
    """The confusion matrix, (targets, names), as a figure."""
    figure = Figure(figsize=(7.5, 7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(INSTRUMENT_NAMES))
    axes.set_xticks(ticks, INSTRUMENT_NAMES, rotation=60)
    axes.set_yticks(ticks, INSTRUMENT_NAMES)
    axes.set_xlabel("heard as")
    axes.set_ylabel("target")
    for row, column in np.argwhere(matrix >= 0.005):
        share = matrix[row, column]
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color="white" if share > 0.5 else "black")
    return figure


def draw_contact_sheet(panels: list[tuple[str, np.ndarray]]) -> Figure:
    """Titled pictures (height, width, 3), three in a row, as a figure."""
    lines = -(-len(panels) // 3)
    figure = Figure(figsize=(15, 6.5 * lines), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(lines, 3, squeeze=False).flat, panels, strict=False):
        axes.imshow(image, aspect="auto", interpolation="nearest")
        axes.set_title(title)
    for axes in figure.axes:
        axes.set_axis_off()
    return figure


def draw_pairs(ratios: dict[str, dict[str, float]]) -> Figure:
    """Each of the key ratios as a matrix, sources down and targets across.

    Args:
        ratios: by pair, as "piano -> violin", then by name.
    """
    names = list(next(iter(ratios.values())))
    figure = Figure(figsize=(6.5 * len(names), 7.2), layout="constrained")
    ticks = range(len(INSTRUMENT_NAMES))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        matrix = np.full((len(INSTRUMENT_NAMES), len(INSTRUMENT_NAMES)), np.nan)
        for pair, values in ratios.items():
            row, column = (INSTRUMENT_NAMES.index(instrument) for instrument in pair.split(" -> "))
            matrix[row, column] = values[name]
        brightest = max(1.0, float(np.nanmax(matrix)))
        axes.imshow(matrix, cmap="cividis", vmin=0, vmax=brightest)
        for row, column in np.argwhere(np.isfinite(matrix)):
            ratio = matrix[row, column]
            colour = "white" if ratio < 0.6 * brightest else "black"
            axes.text(column, row, f"{ratio:.2f}", ha="center", va="center", color=colour, fontsize=8)
        axes.set_title(name)
        axes.set_xticks(ticks, INSTRUMENT_NAMES, rotation=60)
        axes.set_yticks(ticks, INSTRUMENT_NAMES)
    return figure


def draw_sweep(
    table: Table,
    steps: list[int],
    guidance: list[float],
    temperatures: list[float],
    dynamics: list[float],
    headline_steps: int,
) -> Figure:
    """Some columns against the number of steps, the guidance, the temperature and the dynamics, with 95 % intervals."""
    lines: list[tuple[str, list[tuple[float, str]]]] = [
        ("steps", [(number, ours(number)) for number in steps]),
        ("guidance", [(scale, ours(headline_steps, scale)) for scale in guidance]),
        ("temperature", [(one, ours(headline_steps, temperature=one)) for one in temperatures]),
        ("dynamics", [(one, ours(headline_steps, dynamics=one)) for one in dynamics]),
    ]
    figure = Figure(figsize=(4 * len(SWEPT), 3.5 * len(lines)), layout="constrained")
    axes = figure.subplots(len(lines), len(SWEPT), squeeze=False)
    for line, (label, settings) in enumerate(lines):
        known = [(place, table[name]) for place, name in settings if name in table]
        for number, column in enumerate(SWEPT):
            cells = [cells[column] for _, cells in known]
            means = np.array([cell["mean"] for cell in cells])
            reach = np.array([[cell["mean"] - cell["low"], cell["high"] - cell["mean"]] for cell in cells]).T
            axes[line, number].errorbar([place for place, _ in known], means, reach, marker="o", capsize=3)
            axes[line, number].set_xlabel(label)
            axes[line, number].set_title(COLUMNS[column])
        if line == 0:
            for one in axes[line]:
                one.set_xscale("log")
                one.set_xticks(steps, [str(number) for number in steps])
    return figure
