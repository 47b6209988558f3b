"""Measures how many notes survive a transfer when the source is not clean.

python -m train.measure_robustness --data DATASET --out DIR
"""

import argparse
import sys
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.audio import fit_length, resample
from stylediff.checkpoint import SHIPPED
from train.assessment import Result
from train.hardships import CLEAN, HARDSHIPS, Recording
from train.judges import NoteJudge
from train.manifest import ManifestError, read_manifest
from train.metrics import frame_prf, score_roll
from train.report import describe, format_cell
from train.scores import Note
from train.scoring import load_example, load_model
from train.tables import write_page
from train.trials import Example, Trial, choose_trials
from train.workers import results_of

REQUIRED = 0.85  # of the clean clips' frame F


@lru_cache(maxsize=1)
def load_judge() -> NoteJudge:
    return NoteJudge()


def play(pipeline: StyleTransferPipeline, recording: Recording, example: Example) -> torch.Tensor:
    """What the model makes of a recording, (samples,) at the mel's sample rate."""
    rate = pipeline.mel.sample_rate
    generator = torch.Generator().manual_seed(example.seed)
    result = pipeline(recording.waveform, recording.sample_rate, target=example.instrument, generator=generator)
    return fit_length(resample(result.audio.cpu(), recording.sample_rate, rate), len(example.target))


def measure(trial: Trial, model: Path, data: Path) -> list[Result]:
    """Frame F of a trial's transfer under every hardship, against the score at the recording's pace."""
    pipeline, judge, example = load_model(model), load_judge(), load_example(trial, data)
    rate = pipeline.mel.sample_rate
    notes = trial.score(len(example.target) / rate)
    results = []
    for name, hardship in HARDSHIPS.items():
        recording = hardship(example.source, rate)
        heard = judge.listen(play(pipeline, recording, example))
        paced = tuple(Note(n.start / recording.pace, n.end / recording.pace, n.pitch, n.velocity) for n in notes)
        frame_f = frame_prf(heard.roll, score_roll(paced, len(heard.roll)))[2]
        results.append({"trial": trial.key, "hardship": name, "frame_f": frame_f})
    return results


def write_markdown(results: list[Result]) -> str:
    """Frame F under every hardship, and its share of the clean clips'."""
    values = {name: [r["frame_f"] for r in results if r["hardship"] == name] for name in HARDSHIPS}
    clean = float(np.mean(values[CLEAN]))
    lines = [f"# Frame F of transfers of damaged sources ({len(values[CLEAN])} clips)", ""]
    lines += ["Each kind of damage is described in `train/hardships.py`. Brackets hold 95 % bootstrap intervals.", ""]
    lines += ["| source | frame F | of clean |", "|---|---|---|"]
    shares = {name: float(np.mean(found)) / max(clean, 1e-9) for name, found in values.items()}
    lines += [f"| {name} | {format_cell(describe(values[name]))} | {share:.3f} |" for name, share in shares.items()]
    failed = [name for name, share in shares.items() if share < REQUIRED]
    verdict = f"below {REQUIRED} of clean: {', '.join(failed)}" if failed else f"none is below {REQUIRED} of clean"
    return "\n".join([*lines, "", f"Of these, {verdict}.", ""])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="data set with trials")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the pipeline")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=110, help="trials; the pairs of instruments take turns")
    parser.add_argument("--split", default="test", help="test, or validation to choose by")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(arguments)
    try:
        trials = choose_trials(read_manifest(args.data), args.split, args.clips, args.clips)[: args.clips]
        job = partial(measure, model=args.model, data=args.data)
        results = list(tqdm(results_of(job, trials, args.workers), total=len(trials), unit="clip"))
    except (ManifestError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = sorted((one for of in results for one in of), key=lambda one: (one["trial"], one["hardship"]))
    write_page(args.out, "robustness", found, write_markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
