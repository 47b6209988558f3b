"""Which metric detects which corruption of true renders?

    python -m train metric-sensitivity --data DATASET --out DIR

A metric that does not get worse with a stronger corruption is blind to it.
"""

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff.audio import fit_length, resample
from stylediff.mel import MelConfig, transform
from stylediff.phase_reconstruction import inverse_transform, refine_phases, track_phases
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.common.parallel import parallel_map
from train.data.manifest import read_manifest
from train.data.waveforms import load_waveform
from train.evaluation.cases import CaseError, EvalCase, choose_cases
from train.evaluation.metrics import METRIC_NAMED, Result, score_clip
from train.evaluation.report import COLUMNS
from train.evaluation.runner import known_of, load_case_audio, load_listeners

PHASE_ITERATIONS = 6


@dataclass(frozen=True)
class Material:
    """Waveforms (samples,) that corruptions use.

    They are at the mel's sample rate.

    Attributes:
        target: the clip to corrupt.
        other_music: another piece in the same voice.
        other_instrument: the same music on another instrument.
    """

    target: torch.Tensor
    other_music: torch.Tensor
    other_instrument: torch.Tensor


Corruption = Callable[[Material, float], torch.Tensor]


def add_noise(material: Material, snr_db: float) -> torch.Tensor:
    """Add white noise at a level below the clip's RMS."""
    noise = torch.randn(len(material.target), generator=torch.Generator().manual_seed(0))
    return material.target + noise * material.target.square().mean().sqrt() * 10 ** (-snr_db / 20)


def blur(material: Material, cells: float) -> torch.Tensor:
    """Average magnitudes over bins and frames, with new phases.

    This imitates the output of networks that predict a mean.
    """
    config, size = MelConfig(), int(cells)
    magnitude = transform(material.target[None], config).abs()
    smooth = torch.nn.functional.avg_pool2d(magnitude[None], size, 1, size // 2, count_include_pad=False)[0]
    phasor = refine_phases(smooth, track_phases(smooth, config), config, PHASE_ITERATIONS)
    return fit_length(inverse_transform(smooth * phasor, config)[0], len(material.target))


def detune(material: Material, cents: float) -> torch.Tensor:
    """Raise the pitch by playing faster.

    A clip of five seconds raised by 50 cents ends 0.14 s early.
    """
    rate = MelConfig().sample_rate
    return fit_length(resample(material.target, round(rate * 2 ** (cents / 1200)), rate), len(material.target))


def shift(material: Material, milliseconds: float) -> torch.Tensor:
    """Everything later."""
    late = torch.zeros(round(milliseconds / 1000 * MelConfig().sample_rate))
    return fit_length(torch.cat([late, material.target]), len(material.target))


def swap_notes(material: Material, share: float) -> torch.Tensor:
    """Replace the clip's end by another piece in the same voice."""
    kept = round((1 - share) * len(material.target))
    return fit_length(torch.cat([material.target[:kept], material.other_music[kept:]]), len(material.target))


def change_instrument(material: Material, share: float) -> torch.Tensor:
    """Mix in the same music on another instrument.

    At 1 only the other instrument sounds.
    """
    other = fit_length(material.other_instrument, len(material.target))
    return (1 - share) * material.target + share * other


CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "noise, dB below": (add_noise, (40, 25, 10)),
    "blur, bins x frames": (blur, (3, 7, 15)),
    "detuned, cents": (detune, (10, 25, 50)),
    "late, ms": (shift, (20, 50, 100)),
    "other notes, share": (swap_notes, (0.25, 0.5, 1.0)),
    "other instrument, share": (change_instrument, (0.25, 0.5, 1.0)),
}

UNCORRUPTED = "undamaged"
LEFT_OUT = ("clipped", "missing_seconds")  # not affected by any corruption here
CHECKED = tuple(name for name in COLUMNS if METRIC_NAMED[name].higher_is_better is not None and name not in LEFT_OUT)


def measure(pair: tuple[EvalCase, EvalCase], data: Path, classifier: Path) -> list[Result]:
    """Measure every corruption of a case at every strength.

    The other case's target provides other music.
    """
    case, other = pair
    audio = load_case_audio(case, data)
    material = Material(audio.target, load_waveform(data / other.target.file), audio.source)
    rungs = [(UNCORRUPTED, 0.0, audio.target)]
    for name, (damage, strengths) in CORRUPTIONS.items():
        rungs += [(name, strength, damage(material, strength)) for strength in strengths]
    known = known_of(case, audio, load_listeners(classifier))
    return [
        score_clip(replace(known, output=output)) | {"damage": name, "strength": strength}
        for name, strength, output in rungs
    ]


def choose_pairs(cases: list[EvalCase], count: int) -> list[tuple[EvalCase, EvalCase]]:
    """Choose cases, each with another piece in the same voice.

    Raises:
        CaseError: no case has such a partner.
    """
    pairs = []
    for number, case in enumerate(cases):
        others = cases[number + 1 :] + cases[:number]
        same_voice = [t for t in others if t.target.voice == case.target.voice and t.group.piece != case.group.piece]
        if same_voice:
            pairs.append((case, same_voice[0]))
    if not pairs:
        raise CaseError("no two cases have the same target voice but different pieces")
    return pairs[:count]


def average(results: list[Result]) -> dict[tuple[str, float], dict[str, float]]:
    """Average all columns at all strengths over clips."""
    rungs: dict[tuple[str, float], list[Result]] = {}
    for result in results:
        rungs.setdefault((result["damage"], result["strength"]), []).append(result)
    means = {}
    for rung, members in rungs.items():
        values = {name: [member[name] for member in members if member.get(name) is not None] for name in CHECKED}
        means[rung] = {column: float(np.mean(found)) for column, found in values.items() if found}
    return means


def verdict(column: str, steps: list[float]) -> str:
    """Return "sees", "partly" or "blind" for a metric and a corruption."""
    sign = 1 if METRIC_NAMED[column].higher_is_better else -1
    worse = [sign * (before - after) for before, after in itertools.pairwise(steps)]
    whole = sum(worse)
    scale = max(abs(value) for value in steps) or 1.0
    if whole < 0.03 * scale:
        return "blind"
    return "sees" if all(step > -0.01 * scale for step in worse) else "partly"


def write_markdown(means: dict[tuple[str, float], dict[str, float]], clips: int) -> str:
    """Write both tables: values by strength, and verdicts by corruption."""
    columns = [column for column in CHECKED if all(column in values for values in means.values())]
    heads = [COLUMNS[column] for column in columns]
    lines = [f"# Sensitivity of the metrics ({clips} clips)", "", *table_head(["damage", *heads])]
    for (name, strength), values in means.items():
        rung = name if name == UNCORRUPTED else f"{name} {strength:g}"
        lines.append(table_row([rung, *(f"{values[column]:.3f}" for column in columns)]))
    lines += ["", *table_head(["metric", *CORRUPTIONS])]
    for column, head in zip(columns, heads, strict=True):
        cells = []
        for name, (_, strengths) in CORRUPTIONS.items():
            steps = [means[UNCORRUPTED, 0.0], *(means[name, strength] for strength in strengths)]
            cells.append(verdict(column, [step[column] for step in steps]))
        lines.append(table_row([head, *cells]))
    return "\n".join([*lines, ""])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        pairs = choose_pairs(choose_cases(read_manifest(args.data), "test", args.clips, 1), args.clips)
        job = partial(measure, data=args.data, classifier=args.classifier)
        measured = list(tqdm(parallel_map(job, pairs, args.workers), total=len(pairs), unit="clip"))
        means = average([result for results in measured for result in results])
        values = [{"damage": name, "strength": strength, **row} for (name, strength), row in means.items()]
        write_page(args.out, "ladder", values, write_markdown(means, len(pairs)))

    return run_command(work, ValueError, OSError)
