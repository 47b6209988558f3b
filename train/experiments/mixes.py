"""How many mixes of held-out recordings are recognised?

python -m train mixes --recordings FOLDER --out DIR
"""

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.pipeline import StyleTransferPipeline
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.recordings import RecordingError, list_recordings, load_clips

SAMPLE_RATE = 22050
QUIETEST_DB = -8.0  # below the loudest instrument
RMS = 0.1  # of each instrument, and of a mix
NOTES = """\
Sums of held-out recordings of different instruments, each up to 8 dB below the first. The recordings are of different
music, so the instruments of a real ensemble may be harder to tell apart. Clips with one instrument that are called a
mix are false alarms.
"""


def load_instruments(folder: Path) -> dict[str, list[torch.Tensor]]:
    """Clips of the held-out recordings by instrument, all equally loud.

    Raises:
        RecordingError: fewer than two instruments have a held-out clip.
    """
    clips: dict[str, list[torch.Tensor]] = {}
    for recording in list_recordings(folder):
        if recording.split == "held_out" and recording.instrument is not None:
            found = load_clips(recording, SAMPLE_RATE)
            clips.setdefault(recording.instrument, []).extend(at_rms(clip) for clip in found)
    clips = {name: some for name, some in clips.items() if some}
    if len(clips) < 2:
        raise RecordingError(f"{folder} has held-out recordings of fewer than two instruments")
    return clips


def at_rms(waveform: torch.Tensor) -> torch.Tensor:
    return waveform * (RMS / waveform.square().mean().sqrt().clamp_min(1e-6))


def draw_clips(
    instruments: dict[str, list[torch.Tensor]], size: int, count: int
) -> Iterator[tuple[tuple[str, ...], torch.Tensor]]:
    """Draw clips of ``size`` instruments; their combinations take turns."""
    rng = np.random.default_rng(size)
    groups = list(combinations(sorted(instruments), size))
    for number in rng.permutation(max(count, len(groups)))[:count]:
        names = groups[number % len(groups)]
        parts = [instruments[name][int(rng.integers(len(instruments[name])))] for name in names]
        samples = min(map(len, parts))
        gains = [1.0, *(10 ** (rng.uniform(QUIETEST_DB, 0) / 20) for _ in names[1:])]
        played = [gain * part[:samples] for gain, part in zip(gains, parts, strict=True)]
        yield names, at_rms(torch.stack(played).sum(0))


def measure(
    pipeline: StyleTransferPipeline, instruments: dict[str, list[torch.Tensor]], count: int
) -> dict[str, dict[str, float]]:
    """Share of clips called a mix, by number of instruments.

    Shares of single instruments are also given for each instrument.
    """
    shares: dict[str, dict[str, float]] = {}
    for size in range(1, min(4, len(instruments)) + 1):
        drawn = [(names, pipeline.is_mix(mix, SAMPLE_RATE)) for names, mix in draw_clips(instruments, size, count)]
        shares[str(size)] = {"clips": len(drawn), "share": float(np.mean([found for _, found in drawn]))}
        for name in instruments if size == 1 else ():
            own = [found for names, found in drawn if names == (name,)]
            shares[name] = {"clips": len(own), "share": float(np.mean(own)) if own else 0.0}
    return shares


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        pipeline = load_pipeline(str(args.model))
        if pipeline.mix_detector is None:
            raise CheckpointError("the model has no mix detector")
        shares = measure(pipeline, load_instruments(args.recordings), args.clips)
        lines = ["# Recognition of mixes\n", NOTES, *table_head(["instruments", "clips", "called a mix"])]
        lines += [table_row([name, entry["clips"], f"{entry['share']:.2f}"]) for name, entry in shares.items()]
        write_page(args.out, "mixes", shares, "\n".join(lines) + "\n")

    return run_command(work, RecordingError, CheckpointError)
