"""How many notes of clips with known scores are found?

python -m train transcription --data DATASET --out DIR
"""

import argparse
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from stylediff.transcription import (
    FRAME_THRESHOLD,
    FRAMES_PER_SECOND,
    LOWEST_PITCH,
    ONSET_THRESHOLD,
    SAMPLE_RATE,
    SHORTEST_NOTE_S,
    Posteriors,
    find_events,
)
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.notes import note_f1
from train.data.transcription import NoteTranscriber
from train.data.waveforms import load_waveform
from train.evaluation.metrics import Result
from train.experiments.codec_stages import choose_unseen_clips

TOLERANCE_S = 0.05
NOTES = """\
One network, three ways to make notes of its probabilities: `stylediff.transcription`; basic-pitch 0.4.0 with the same
thresholds; and basic-pitch with its own (onsets 0.5, frames 0.3, 128 ms). Renders of test pieces. Note F1: onsets
within 50 ms, pitches within 50 cents.
"""
Events = list[tuple[int, int, int]]  # first frame, frame after the last, MIDI pitch


def decoders(transcriber: NoteTranscriber) -> dict[str, Callable[[Posteriors], Events]]:
    """Ways from probabilities to notes, by name."""

    def ours(found: Posteriors) -> Events:
        return [(first, last, key + LOWEST_PITCH) for first, last, key in find_events(found.notes, found.onsets)]

    def theirs(onset: float, frame: float, shortest_s: float) -> Callable[[Posteriors], Events]:
        def decode(found: Posteriors) -> Events:
            shortest = round(shortest_s * FRAMES_PER_SECOND)
            events = transcriber.decode_notes(found.notes, found.onsets, onset, frame, shortest, True, None, None)
            return [(int(first), int(last), int(pitch)) for first, last, pitch, _ in events]

        return decode

    return {
        "ours": ours,
        "basic-pitch, our thresholds": theirs(ONSET_THRESHOLD, FRAME_THRESHOLD, SHORTEST_NOTE_S),
        "basic-pitch, its thresholds": theirs(0.5, 0.3, 0.128),
    }


def measure(args: argparse.Namespace) -> list[Result]:
    """Measure the note F1 of every clip with a score."""
    transcriber = NoteTranscriber()
    ways, results = decoders(transcriber), []
    for clip in tqdm(choose_unseen_clips([args.data], args.clips), unit="clip"):
        waveform = load_waveform(clip.path)
        score = clip.notes_within(len(waveform) / SAMPLE_RATE)
        if not score:
            continue
        found = transcriber.network.posteriors(waveform)
        for name, decode in ways.items():
            events = np.array(decode(found), dtype=float).reshape(-1, 3)
            f1 = note_f1(score, events[:, :2] / FRAMES_PER_SECOND, events[:, 2], TOLERANCE_S)
            results.append(
                {
                    "clip": str(clip.path.relative_to(args.data)),
                    "instrument": clip.instrument,
                    "decoder": name,
                    "note_f1": f1,
                }
            )
    return results


def write_markdown(results: list[Result]) -> str:
    """Write a table with a line for each instrument."""
    names = list(dict.fromkeys(result["decoder"] for result in results))
    lines = [f"# Notes found ({len({result['clip'] for result in results})} clips)", "", NOTES]
    lines += table_head(["instrument", "clips", *names])
    instruments = sorted({result["instrument"] for result in results})
    lines += [line_of(name, results, {name}, names) for name in instruments]
    return "\n".join([*lines, line_of("all", results, set(instruments), names), ""])


def line_of(label: str, results: list[Result], instruments: set[str], names: list[str]) -> str:
    """Return a line of the table, the means over some instruments."""
    values = {
        name: [one["note_f1"] for one in results if one["decoder"] == name and one["instrument"] in instruments]
        for name in names
    }
    return table_row([label, len(values[names[0]]), *(f"{np.mean(values[name]):.3f}" for name in names)])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        results = measure(args)
        if not results:
            raise ValueError(f"{args.data}: no clip has a score")
        write_page(args.out, "transcription", results, write_markdown(results))

    return run_command(work, ValueError, OSError)
