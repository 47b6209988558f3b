"""Plot logged scalars: one panel per scalar, one line per run.

    python -m train plot-curves --run RUN... --scalar NAME... --out PICTURE.png

Steps that were repeated after a resumption show the last values.
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from train.common.cli import run_command

Curve = tuple[list[int], list[float]]


def read_curves(run: Path) -> dict[str, Curve]:
    """Steps and values of every scalar in a run's logs.

    Raises:
        ValueError: the run has no logs.
    """
    # slow to import
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves: dict[str, dict[int, float]] = {}
    for path in sorted(run.rglob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0})
        events.Reload()
        for name in events.Tags()["scalars"]:
            later = {event.step: event.value for event in events.Scalars(name)}
            resumed = min(later)
            kept = {step: value for step, value in curves.get(name, {}).items() if step < resumed}
            curves[name] = kept | later
    if not curves:
        raise ValueError(f"{run} has no training logs")
    return {name: (list(points), list(points.values())) for name, points in curves.items()}


def plot_curves(runs: dict[str, dict[str, Curve]], scalars: list[str]) -> Figure:
    """Plot scalars in panels, with one line per run.

    Args:
        runs: curves by scalar, by run.
    """
    figure = Figure(figsize=(6 * len(scalars), 4), layout="constrained")
    for axes, scalar in zip(figure.subplots(1, len(scalars), squeeze=False)[0], scalars, strict=True):
        for name, curves in runs.items():
            if scalar in curves:
                axes.plot(*curves[scalar], label=name, marker="." if len(curves[scalar][0]) < 30 else "")
        axes.set_title(scalar)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if len(runs) > 1:
            axes.legend()
    return figure


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        names = args.name or [run.name for run in args.run]
        runs = {name: read_curves(run) for name, run in zip(names, args.run, strict=True)}
        for scalar in args.scalar:
            if not any(scalar in curves for curves in runs.values()):
                known = sorted({name for curves in runs.values() for name in curves})
                raise ValueError(f"no run has logged {scalar!r}; choose from {', '.join(known)}")
        plot_curves(runs, args.scalar).savefig(args.out, dpi=80)

    return run_command(work, ValueError, OSError)
