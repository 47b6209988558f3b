"""Loss of mel, autoencoder and vocoder, by stage and voice.

    python -m train codec --data DATASET [RECORDINGS] --out DIR

Results are saved as they are computed. Rerun an interrupted run to resume it.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stylediff.checkpoint import load_pipeline
from stylediff.mel import MelConfig
from train.common.cli import run_command
from train.common.files import computed_once, describe_arguments, lock_settings, write_atomically
from train.common.markdown import table_head, table_row
from train.common.parallel import parallel_map
from train.data.notes import is_one_voice
from train.data.waveforms import load_waveform
from train.evaluation.embeddings import ClassifierEmbedding, frechet_distance
from train.evaluation.metrics import CODEC, METRIC_NAMED, Result, columns_of, score_clip
from train.evaluation.metrics.clip import ScoredClip
from train.evaluation.report import bootstrap_interval, describe, format_cell
from train.evaluation.runner import load_listeners, read_results
from train.experiments.codec_stages import (
    ALL_PASS,
    DECODED,
    ITERATIONS,
    ORIGINAL,
    VOCODER,
    Stage,
    UnseenClip,
    build_stages,
    choose_unseen_clips,
    griffin_lim_row,
)

COLUMNS = columns_of(CODEC)
STEADINESS = ("wobble", "stripes")
NOTES = f"""\
"{VOCODER}" is a true log-mel through the vocoder, "{DECODED}" the same after encoding and decoding. In the other rows
Griffin-Lim replaces the vocoder, with the given number of iterations. "{ALL_PASS}" is the original with other phases,
its partials shifted by about a millisecond, so its values show the effect of phases alone. Clips are of pieces that
were not used in training. Brackets hold 95 % bootstrap intervals. Pitch is CREPE's, on notes of at least 0.4 s in
monophonic clips. Hop autocorrelation is `train.evaluation.metrics.sound.hop_stripes`. The source of a clip is its
original. Columns with ↓ are better when smaller; wobble and autocorrelation should not exceed the original's.
"""


def frechet_to_originals(results: list[Result], row: str) -> float:
    """Fréchet distance of a stage's features to those of the originals."""
    ours, theirs = (np.concatenate([r["features"] for r in results if r["row"] == name]) for name in (row, ORIGINAL))
    return frechet_distance(ours, theirs)


def table(results: list[Result], rows: list[str]) -> list[str]:
    """Table of the means of all columns that have values, as Markdown."""
    columns = [column for column in COLUMNS if any(column in result for result in results)]
    lines = table_head(["", *(COLUMNS[column] for column in columns)])
    for row in rows:
        values = {c: [r[c] for r in results if r["row"] == row and c in r] for c in columns}
        cells = [format_cell(describe(values[column]) if values[column] else None) for column in columns]
        lines.append(table_row([row, *cells]))
    return lines


def changes(results: list[Result], row: str) -> dict[str, np.ndarray]:
    """Differences of each clip's columns from those of its original."""
    originals = {result["file"]: result for result in results if result["row"] == ORIGINAL}
    ours = sorted((result for result in results if result["row"] == row), key=lambda result: result["file"])
    pairs = [(result, originals[result["file"]]) for result in ours]
    found = {c: [changed[c] - other[c] for changed, other in pairs if c in changed and c in other] for c in COLUMNS}
    return {column: np.array(values) for column, values in found.items() if values}


def write_rivalry(of_instruments: dict[str, list[Result]]) -> list[str]:
    """List where Griffin-Lim beats the vocoder, as Markdown."""
    rival = griffin_lim_row("mel", ITERATIONS[-1])
    lines, cells, certain, further = [], 0, 0, 0
    for instrument, results in of_instruments.items():
        ours, theirs, control = (changes(results, row) for row in (VOCODER, rival, ALL_PASS))
        cells += len(ours)
        for column in ours:
            mine, its, phases = (np.abs(row[column]) for row in (ours, theirs, control))
            if its.mean() >= mine.mean():
                continue
            low, high = bootstrap_interval(mine - its, seed=0)
            certain += low > 0
            further += low > 0 and mine.mean() > phases.mean()
            excess = f"{(mine - its).mean():.3f} more [{low:.3f}, {high:.3f}]; phases alone {phases.mean():.3f}"
            off = f"off by {mine.mean():.3f} against {its.mean():.3f}, {excess}"
            lines.append(f"- {instrument}: {METRIC_NAMED[column].heading}, {off}")
    title = f'"{rival}" is closer to the originals than "{VOCODER}" in {len(lines)} of {cells} cells'
    beyond = f", significantly (the interval of the differences excludes 0) in {certain}"
    more = f', and by more than the effect of phases alone ("{ALL_PASS}") in {further} of these'
    return [f"{title} (means of absolute differences over clips){beyond}{more}" + (":" if lines else "."), "", *lines]


def write_steadiness(results: list[Result]) -> str:
    """Describe wobble and stripes relative to the originals, in a sentence."""
    found = []
    for row in (VOCODER, DECODED):
        change = changes(results, row)
        cells = [f"{METRIC_NAMED[c].heading} {format_cell(describe(change[c]))}" for c in STEADINESS if c in change]
        found.append(f'"{row}" {" and ".join(cells)}')
    return f"Change from the originals, per clip: {'; '.join(found)}."


def lost_frames(results: list[Result], row: str) -> float:
    """Loss of pitch F-measure against the score or the original."""
    column = "frame_f" if any("frame_f" in result for result in results) else "source_frame_f"
    values = {name: [r[column] for r in results if r["row"] == name and column in r] for name in (ORIGINAL, row)}
    before, after = (np.mean(values[name]) for name in (ORIGINAL, row))
    return float(before - after)


def write_markdown(results: list[Result], rows: list[str], seconds: dict[str, float]) -> str:
    """Write the tables: all clips, each instrument, each voice.

    The instrument with the largest loss is named.
    """
    lines = ["# Loss of the codec", "", NOTES, f"## All clips ({len({r['file'] for r in results})})", ""]
    lines += [*table(results, rows), "", "| | Fréchet distance ↓ | seconds per second of sound ↓ |", "|---|---|---|"]
    for row in rows:
        lines.append(f"| {row} | {frechet_to_originals(results, row):.3f} | {seconds[row]:.3f} |")
    groups = {key: sorted({r[key] for r in results}) for key in ("instrument", "voice")}
    of = {(key, name): [r for r in results if r[key] == name] for key in groups for name in groups[key]}
    worst = max(groups["instrument"], key=lambda name: lost_frames(of["instrument", name], DECODED))
    lost = lost_frames(of["instrument", worst], DECODED)
    lines += [
        "",
        f"Autoencoder and vocoder lose most on {worst}: {lost:.3f} of frame F.",
        "",
        write_steadiness(results),
        "",
        *write_rivalry({name: of["instrument", name] for name in groups["instrument"]}),
    ]
    for key, names in groups.items():
        for name in names:
            count = len({r["file"] for r in of[key, name]})
            lines += ["", f"## {name} ({count} clips)" if key == "instrument" else f"### {name} ({count} clips)", ""]
            lines += table(of[key, name], rows)
    return "\n".join([*lines, ""])


TIMED_CLIPS = 3


@lru_cache(maxsize=1)
def load_stages(model: Path) -> dict[str, Stage]:
    return build_stages(load_pipeline(str(model)))


@lru_cache(maxsize=1)
def load_embedding(classifier: Path) -> ClassifierEmbedding:
    return ClassifierEmbedding(classifier)


def measure(task: tuple[UnseenClip, tuple[str, ...]], model: Path, classifier: Path) -> list[Result]:
    """Measure one clip at some stages of the codec.

    Returns their columns and the classifier's features.
    """
    clip, rows = task
    config, listeners, original = MelConfig(), load_listeners(classifier), load_waveform(clip.path)
    notes = clip.notes_within(len(original) / config.sample_rate)
    known = ScoredClip(
        output=original,
        config=config,
        target=original,
        score=notes,
        source=listeners.notes.transcribe(original),
        original_hz=listeners.pitch.track(original)[1] if notes is not None and is_one_voice(notes) else None,
        listeners=listeners,
    )
    results = []
    for row in rows:
        output = load_stages(model)[row](original)
        result = score_clip(replace(known, output=output))
        result["features"] = load_embedding(classifier)(output).round(4).tolist()
        named = {"file": str(clip.path), "voice": clip.voice, "instrument": clip.instrument, "row": row}
        kept = (*COLUMNS, "features")
        results.append(named | {name: result[name] for name in kept if result.get(name) is not None})
    return results


def measure_all(args: argparse.Namespace, clips: list[UnseenClip], rows: list[str]) -> list[Result]:
    """Measure all clips at all stages that are missing."""
    path = args.out / "results.jsonl"
    results = read_results(path)
    done = {(result["file"], result["row"]) for result in results}
    left = [(s, tuple(row for row in rows if (str(s.path), row) not in done)) for s in clips]
    left = [(clip, missing) for clip, missing in left if missing]
    job = partial(measure, model=args.model, classifier=args.classifier)
    with path.open("a") as file:
        for measured in tqdm(parallel_map(job, left, args.workers), total=len(left), unit="clip"):
            results += measured
            file.writelines(json.dumps(result) + "\n" for result in measured)
            file.flush()
    wanted = {(str(clip.path), row) for clip in clips for row in rows}
    return [result for result in results if (result["file"], result["row"]) in wanted]


def time_stages(stages: dict[str, Stage], clips: list[UnseenClip]) -> dict[str, float]:
    """Measure seconds of compute per second of sound, by stage.

    The value is the median over a few clips, after one for warm-up.
    """
    seconds: dict[str, list[float]] = {row: [] for row in stages}
    for clip in [clips[0], *clips[:TIMED_CLIPS]]:
        waveform = load_waveform(clip.path)
        for row, stage in stages.items():
            began = time.perf_counter()
            stage(waveform)
            seconds[row].append((time.perf_counter() - began) * MelConfig().sample_rate / len(waveform))
    return {row: statistics.median(values[1:]) for row, values in seconds.items()}


def measure_codec(args: argparse.Namespace) -> None:
    """Measure what is missing; write and print the page."""
    clips, stages = choose_unseen_clips(args.data, args.clips), load_stages(args.model)
    lock_settings(args.out, describe_arguments(args, ("model", "classifier")))
    # before other processes compete for the cores
    seconds = computed_once(args.out / "seconds.json", partial(time_stages, stages, clips))
    page = write_markdown(measure_all(args, clips, list(stages)), list(stages), seconds)
    write_atomically(args.out / "codec.md", page)
    print(page)


def main(args: argparse.Namespace) -> int:
    return run_command(partial(measure_codec, args), ValueError, OSError)
