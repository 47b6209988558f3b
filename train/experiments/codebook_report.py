"""Page of the comparison of codebooks: tables and curves."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from stylediff.mel import MelConfig
from train.common.markdown import table_head, table_row, write_page
from train.data.patches import PatchSet
from train.evaluation.code_metrics import bits_per_value
from train.models.vqvae import VqVae

Found = dict[str, Any]
NOTES = """\
Mean ± standard deviation over seeds, on patches of the test split. *Relative error*: mean squared error over the
variance of the training data; 1 is the error of a constant. *Perplexity*: number of equally frequent codes with the
same entropy. *Used*: share of the codes that occur in the test patches. Bits are per value of a patch: by the number of
codes, by their entropy, and by an autoregressive prior (PixelCNN) trained on training patches. *Description*: bits by
the prior and bits of a Gaussian residual, a bound of the negative log-likelihood per value. *Frame F*: agreement of the
notes that a transcriber detects in reconstructed clips and in the clips, both through the vocoder.
"""
# heading and digits by name
COLUMNS = {
    "relative_error": ("relative error ↓", 4),
    "psnr_db": ("PSNR, dB ↑", 2),
    "ssim": ("SSIM ↑", 3),
    "absolute_error": ("absolute error ↓", 3),
    "frame_f": ("frame F ↑", 3),
    "perplexity": ("perplexity", 0),
    "used": ("used", 2),
    "size_bits": ("bits, size", 4),
    "entropy_bits": ("bits, entropy", 4),
    "prior_bits": ("bits, prior", 4),
    "description_bits": ("description, bits", 3),
    "seconds": ("training, s", 0),
}
SHOWN = 16  # patches in the picture of reconstructions
RATES = ("size_bits", "entropy_bits", "prior_bits")


def group(found: list[Found]) -> dict[tuple[str, int], list[Found]]:
    """Results of all seeds by method and size."""
    groups: dict[tuple[str, int], list[Found]] = {}
    for row in found:
        groups.setdefault((row["method"], row.get("size", 0)), []).append(row)
    return groups


def values_of(rows: list[Found], name: str, values: int) -> np.ndarray:
    """One column over seeds; rates in bits per value of a patch."""
    column = np.array([row[name] for row in rows if name in row], float)
    return bits_per_value(1, values) * column if name in RATES else column


def show(column: np.ndarray, digits: int) -> str:
    """Mean and deviation as text, "0.123 ± 0.004".

    A single value has no deviation.
    """
    if not len(column):
        return ""
    mean = f"{column.mean():.{digits}f}"
    return mean if len(column) == 1 else f"{mean} ± {column.std(ddof=1):.{digits}f}"


def table_lines(found: list[Found], baselines: list[Found], values: int) -> list[str]:
    """Table of a data set: the baselines, then each method by size."""
    rows = {**group(baselines), **group(found)}
    used = [name for name in COLUMNS if any(name in row for row in [*found, *baselines])]
    lines = table_head(["codebook", "codes", "seeds", *(COLUMNS[name][0] for name in used)])
    methods = list(dict.fromkeys(method for method, _ in rows))
    for method, size in sorted(rows, key=lambda key: (methods.index(key[0]), key[1])):
        runs = rows[method, size]
        cells = (show(values_of(runs, name, values), COLUMNS[name][1]) for name in used)
        lines.append(table_row([method, size or "", len(runs), *cells]))
    return lines


def plot_curves(found: list[Found], baselines: list[Found], values: int) -> Figure:
    """Plot error and perplexity by number of codes, and error by bits.

    Bars are standard deviations over seeds.
    """
    figure = Figure(figsize=(16, 4.8), layout="constrained")
    error_axes, use_axes, rate_axes = figure.subplots(1, 3)
    rows = {**group(baselines), **group(found)}
    methods = list(dict.fromkeys(method for method, size in rows if size))

    def pick(method: str, size: int, name: str) -> np.ndarray:
        return values_of(rows[method, size], name, values)

    for number, method in enumerate(methods):
        sizes = sorted(size for other, size in rows if other == method)
        drawn: dict[str, Any] = {"marker": "o", "color": f"C{number}", "label": method}
        for axes, name in ((error_axes, "relative_error"), (use_axes, "perplexity")):
            columns = [pick(method, size, name) for size in sizes]
            spreads = [column.std(ddof=1) if len(column) > 1 else 0.0 for column in columns]
            axes.errorbar(sizes, [column.mean() for column in columns], spreads, capsize=3, **drawn)
        rates = [pick(method, size, "prior_bits") for size in sizes]
        if all(len(rate) for rate in rates):
            errors = [pick(method, size, "relative_error").mean() for size in sizes]
            rate_axes.plot([rate.mean() for rate in rates], errors, **drawn)
    ticks = sorted({size for method, size in rows if size and method in {row["method"] for row in baselines}})
    for axes in (error_axes, use_axes):
        axes.set(xscale="log", yscale="log", xlabel="codes")
        axes.set_xticks(ticks, [f"{size}" for size in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    use_axes.plot(ticks, ticks, color="grey", linestyle=":")
    error_axes.set_ylabel("relative error")
    use_axes.set_ylabel("perplexity (dotted: all codes equally frequent)")
    rate_axes.set(yscale="log", xlabel="bits per value, by the prior", ylabel="relative error")
    error_axes.legend(fontsize=8)
    return figure


def to_picture(patch: torch.Tensor, kind: str) -> np.ndarray:
    """Show a patch (channels, height, width) as RGB.

    Low bands are at the bottom.
    """
    if kind == "image":
        return patch.clamp(0, 1).movedim(0, -1).numpy()
    floor = MelConfig().log_floor
    return colormaps["magma"](((patch[0] - floor) / 8).clamp(0, 1).numpy()[::-1])[..., :3]


@torch.no_grad()
def plot_reconstructions(models: dict[str, VqVae], patches: PatchSet) -> Figure:
    """Plot test patches, and below them their reconstructions by each model.

    Args:
        models: by the title of their line.
    """
    originals = patches.tensor(patches.rows("test", SHOWN))
    lines = {"original": originals} | {title: model(originals).patches for title, model in models.items()}
    figure = Figure(figsize=(SHOWN + 4.0, 1.03 * len(lines)))
    for line, (title, made) in zip(figure.subplots(len(lines), SHOWN, squeeze=False), lines.items(), strict=True):
        for axes, patch in zip(line, made, strict=False):
            axes.imshow(to_picture(patch, patches.kind), interpolation="nearest")
            axes.set_axis_off()
        line[0].text(-0.2, 0.5, title, transform=line[0].transAxes, ha="right", va="center")
    figure.subplots_adjust(left=0.17, right=0.99, top=0.99, bottom=0.01, wspace=0.05, hspace=0.05)
    return figure


def write_report(
    out: Path, found: dict[str, list[Found]], baselines: dict[str, list[Found]], values: dict[str, int]
) -> None:
    """Write tables, curves, and the numbers behind them.

    Args:
        found, baselines: results by data set.
        values: values of a patch by data set.
    """
    lines = ["# Codebooks", "", NOTES]
    for name, rows in found.items():
        figure = plot_curves(rows, baselines[name], values[name])
        figure.savefig(out / f"{name}.png", dpi=100)
        steps = sorted({row["steps"] for row in rows})
        lines += [f"## {name}", "", f"Steps of every run: {', '.join(map(str, steps))}.", ""]
        lines += [*table_lines(rows, baselines[name], values[name]), "", f"![curves of {name}]({name}.png)", ""]
        lines += [f"![patches of {name} and their reconstructions]({name}_patches.png)", ""]
    write_page(out, "codebooks", {"found": found, "baselines": baselines}, "\n".join(lines))
