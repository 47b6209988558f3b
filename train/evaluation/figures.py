"""Figures of an evaluation: confusion, pairs, settings, and spectrograms."""

import shutil
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from stylediff.settings import STEPS
from train.data.waveforms import load_waveform, normalized_mel
from train.evaluation.cases import MAIN_PAIRS, Direction, EvalCase
from train.evaluation.metrics import Result
from train.evaluation.report import COLUMNS, Table
from train.evaluation.runner import EvalConfig, audio_path
from train.evaluation.systems import IDENTITY, TRUE_TARGET, model_name

SWEPT = ("log_mel_error", "timbre_distance", "frame_f", "named_target")


def plot_confusion(matrix: np.ndarray) -> Figure:
    """Plot the confusion matrix, (targets, names)."""
    figure = Figure(figsize=(7.5, 7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(INSTRUMENT_NAMES))
    axes.set_xticks(ticks, INSTRUMENT_NAMES, rotation=60)
    axes.set_yticks(ticks, INSTRUMENT_NAMES)
    axes.set_xlabel("classified as")
    axes.set_ylabel("target")
    for row, column in np.argwhere(matrix >= 0.005):
        share = matrix[row, column]
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color="white" if share > 0.5 else "black")
    return figure


def plot_contact_sheet(panels: list[tuple[str, np.ndarray]]) -> Figure:
    """Plot titled pictures (height, width, 3), three in a row."""
    lines = max(1, -(-len(panels) // 3))
    figure = Figure(figsize=(15, 6.5 * lines), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(lines, 3, squeeze=False).flat, panels, strict=False):
        axes.imshow(image, aspect="auto", interpolation="nearest")
        axes.set_title(title)
    for axes in figure.axes:
        axes.set_axis_off()
    return figure


def plot_pairs(ratios: dict[Direction, dict[str, float]]) -> Figure:
    """Plot each key ratio as a matrix, sources by targets.

    Args:
        ratios: by direction, then by name.
    """
    names = list(next(iter(ratios.values())))
    figure = Figure(figsize=(6.5 * len(names), 7.2), layout="constrained")
    ticks = range(len(INSTRUMENT_NAMES))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        matrix = np.full((len(INSTRUMENT_NAMES), len(INSTRUMENT_NAMES)), np.nan)
        for pair, values in ratios.items():
            row, column = (INSTRUMENT_NAMES.index(instrument) for instrument in pair)
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


def plot_sweep(
    table: Table,
    *,
    steps: list[int],
    guidance: list[float],
    temperatures: list[float],
    dynamics: list[float],
) -> Figure:
    """Plot columns against steps, guidance, temperature and dynamics.

    Error bars are 95 % intervals.
    """
    lines: list[tuple[str, list[tuple[float, str]]]] = [
        ("steps", sorted([(STEPS, model_name()), *((number, model_name(number)) for number in steps)])),
        ("guidance", [(scale, model_name(guidance=scale)) for scale in guidance]),
        ("temperature", [(value, model_name(temperature=value)) for value in temperatures]),
        ("dynamics", [(value, model_name(dynamics=value)) for value in dynamics]),
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
            for panel in axes[line]:
                panel.set_xscale("log")
                panel.set_xticks(sorted({STEPS, *steps}), [str(number) for number in sorted({STEPS, *steps})])
    return figure


SHEET_EXAMPLES = 12
EXTREMES = 3


def choose_examples(cases: list[EvalCase]) -> list[EvalCase]:
    """Choose the first case of twelve directions.

    The main directions are among them.
    """
    pairs = {case.pair: case for case in reversed(cases)}
    others = [case for pair, case in sorted(pairs.items()) if pair not in MAIN_PAIRS]
    chosen = [pairs[pair] for pair in MAIN_PAIRS if pair in pairs]
    chosen += others[:: max(1, len(others) // (SHEET_EXAMPLES - len(chosen)))]
    return chosen[:SHEET_EXAMPLES]


def choose_extremes(
    cases: list[EvalCase], results: list[Result], headline: str
) -> tuple[list[EvalCase], list[EvalCase]]:
    """Choose the three best and the three worst cases.

    They are ranked by log-mel error relative to the source's.
    """
    errors = {(result["trial"], result["row"]): result["log_mel_error"] for result in results}
    ranked = sorted(cases, key=lambda t: errors[t.key, headline] / max(errors[t.key, IDENTITY], 1e-9))
    few = min(EXTREMES, max(1, len(ranked) // 2))
    return ranked[:few], ranked[len(ranked) - few :][::-1]


def plot_examples(cases: list[EvalCase], eval_config: EvalConfig, headline: str) -> list[tuple[str, np.ndarray]]:
    """Plot source, output and target of each case, with a title."""
    panels = []
    for case in cases:
        waveforms = [load_waveform(audio_path(eval_config, case, row)) for row in (IDENTITY, headline, TRUE_TARGET)]
        mels = [normalized_mel(waveform, MelConfig())[0, 0] for waveform in waveforms]
        panels.append((" → ".join(case.pair) + ": source, output, target", mels_to_image(mels, MelConfig())))
    return panels


def copy_extremes(
    best: list[EvalCase], worst: list[EvalCase], eval_config: EvalConfig, headline: str, out: Path
) -> None:
    """Save source, output and target of each case as Ogg Vorbis.

    Previous files in ``out`` are replaced.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for kind, cases in {"best": best, "worst": worst}.items():
        for number, case in enumerate(cases, 1):
            for name, row in {"source": IDENTITY, "output": headline, "target": TRUE_TARGET}.items():
                samples = load_waveform(audio_path(eval_config, case, row)).numpy()
                file = out / f"{kind}_{number}_{'_to_'.join(case.pair)}_{name}.ogg"
                soundfile.write(file, samples, MelConfig().sample_rate)
