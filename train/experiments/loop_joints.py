"""Does the joint of a looped ringtone stand out?

python -m train loop-joints --recordings FOLDER --out DIR
"""

import argparse
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path

import librosa
import numpy as np
import scipy.stats
import torch
from tqdm import tqdm

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.phrase_selection import SAMPLE_RATE, Phrase, select_phrase
from stylediff.pipeline import StyleTransferPipeline
from stylediff.ringtone import ORIGINAL, SILENT_PEAK, RingtoneSettings, close_loop, play
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.common.parallel import parallel_map
from train.data.recordings import Recording, list_recordings, load_recording
from train.evaluation.metrics import Result
from train.evaluation.runner import load_model

N_FFT, HOP = 1024, 128
NEAR_FRAMES = 4  # 23 ms on each side of a moment
SHORTEST_S, LONGEST_S, LOOP_S = 10.0, 40.0, 8.0
LOUD_SHARE = 0.95
SYSTEMS = {
    "ring": "diffusion on a ring",
    "turned": "the same loop, its joint half a turn away",
    "cut": "the same diffusion without a ring, cut at the same samples",
    "original": "the recording, its joint crossfaded",
    "original cut": "the recording, cut at the same samples",
}
NOTES = """\
Each loop is played twice. Rank is the share of the loop's other beats at which the spectrum changes at least as much as
at the joint (largest positive change of log-magnitudes within 23 ms): 0.5 on average if the joint is a beat like any
other, 0 if it stands out everywhere. Loud joints lie above 95 % of the beats. Jump is the largest second difference of
three samples at the joint over the largest of the loop: above 1, the joint clicks. The second line is the reference for
the first: the same bar follows the same bar, and the joint of the rendering is elsewhere. Phrases begin where the music
changes most, so ranks below 0.5 are expected of the music itself. Clips of which the model plays nothing (some single
steady tones) are left out.
"""


@dataclass(frozen=True)
class Loop:
    """A recording and the instrument that plays its loop."""

    recording: Recording
    target: str
    seed: int


def choose_loops(folder: Path, count: int) -> list[Loop]:
    """Choose recordings long enough for a loop; instruments take turns."""
    by_instrument: dict[str | None, list[Recording]] = {}
    for recording in list_recordings(folder):
        if librosa.get_duration(path=recording.path) >= SHORTEST_S:
            by_instrument.setdefault(recording.instrument, []).append(recording)
    turns = [one for turn in zip_longest(*by_instrument.values()) for one in turn if one is not None][:count]
    targets = [name for name in INSTRUMENT_NAMES if name != "strings"]
    return [Loop(one, targets[number % len(targets)], number) for number, one in enumerate(turns)]


def spectral_flux(waveform: np.ndarray) -> np.ndarray:
    """Positive change of log-magnitudes from frame to frame, (frames,)."""
    log = np.log(np.abs(librosa.stft(waveform, n_fft=N_FFT, hop_length=HOP)) + 1e-2)
    return np.maximum(0, np.diff(log, axis=1)).mean(0)


def judge_joint(loop: np.ndarray, beats: list[int]) -> Result:
    """Compare the joint of a loop (samples,) with its other beats."""
    flux = spectral_flux(np.tile(loop, 2))

    def change(sample: int) -> float:
        frame = sample // HOP
        return float(flux[max(0, frame - NEAR_FRAMES) : frame + NEAR_FRAMES].max())

    joint, others = change(len(loop)), np.array([change(len(loop) + beat) for beat in beats])
    curve = np.abs(np.diff(np.concatenate([loop[-2:], loop, loop[:2]]), 2))
    at_joint = max(curve[:2].max(), curve[-2:].max())
    jump = float(at_joint / max(curve[2:-2].max(), 1e-6))
    return {"change": joint, "rank": float((others >= joint).mean()), "jump": jump}


def render(pipeline: StyleTransferPipeline, mono: torch.Tensor, phrase: Phrase, loop: Loop) -> dict[str, np.ndarray]:
    """Render the loop by every system, each (samples,)."""
    first, last = round(phrase.start_s * SAMPLE_RATE), round(phrase.end_s * SAMPLE_RATE)
    settings = RingtoneSettings(to=loop.target, seed=loop.seed, loop=True).resolve({})
    cut = replace(settings, loop=False)
    half = (last - first) // 2
    turned = mono[first:last].roll(half)
    return {
        "ring": play(pipeline, mono, first, last, SAMPLE_RATE, settings, None)[0].numpy(),
        "turned": play(pipeline, turned, 0, len(turned), SAMPLE_RATE, settings, None)[0].roll(-half).numpy(),
        "cut": play(pipeline, mono, first, last, SAMPLE_RATE, cut, None)[0].numpy(),
        ORIGINAL: close_loop(mono[None], first, last, SAMPLE_RATE)[0].numpy(),
        "original cut": mono[first:last].numpy(),
    }


def measure(loop: Loop, model: Path) -> list[Result]:
    """Measure the joint of one recording's loop for every system."""
    mono = load_recording(loop.recording.path, SAMPLE_RATE)[: round(LONGEST_S * SAMPLE_RATE)]
    phrase = select_phrase(mono.numpy(), LOOP_S, is_loop=True)
    inner = [beat for beat in phrase.beats_s if phrase.start_s + 0.1 < beat < phrase.end_s - 0.1]
    beats = [round((beat - phrase.start_s) * SAMPLE_RATE) for beat in inner]
    named = {"recording": loop.recording.name, "target": loop.target, "beats": len(beats)}
    if not beats:
        return []
    pipeline = load_model(model)
    sounds = render(pipeline, mono, phrase, loop)
    if min(float(np.abs(sound).max()) for sound in sounds.values()) < SILENT_PEAK:
        return []  # the model plays nothing of some single tones
    return [named | {"system": name} | judge_joint(sound, beats) for name, sound in sounds.items()]


def write_markdown(results: list[Result]) -> str:
    """Write means over the loops for every system."""
    loops = len({result["recording"] for result in results})
    lines = [f"# Joints of loops ({loops} loops)", "", NOTES]
    lines += table_head(["system", "mean rank", "loud joints", "clicks", "largest jump"])
    for name, meaning in SYSTEMS.items():
        found = [result for result in results if result["system"] == name]
        ranks = np.array([result["rank"] for result in found])
        jumps = np.array([result["jump"] for result in found])
        loud = int((ranks <= 1 - LOUD_SHARE).sum())
        cells = [meaning, f"{ranks.mean():.2f}", f"{loud} of {len(found)}", (jumps > 1).sum(), f"{jumps.max():.2f}"]
        lines.append(table_row(cells))
    return "\n".join([*lines, "", compare_pairs(results), ""])


def compare_pairs(results: list[Result]) -> str:
    """Compare joints with the same bar lines elsewhere, loop by loop."""
    change = {(result["recording"], result["system"]): result["change"] for result in results}
    usual = {name: value for (name, system), value in change.items() if system == "turned"}
    differences = np.array([change[name, "ring"] - value for name, value in usual.items()])
    chance = scipy.stats.wilcoxon(differences).pvalue if differences.any() else 1.0
    return (
        f"The spectrum changes more at the joint than at the same bar line of the reference in "
        f"{int((differences > 0).sum())} of {len(differences)} loops, by {differences.mean():+.3f} nepers on average; "
        f"the reference changes by {np.mean([*usual.values()]):.3f}. Wilcoxon's signed-rank test: p = {chance:.2f}."
    )


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        loops = choose_loops(args.recordings, args.clips)
        found = tqdm(parallel_map(partial(measure, model=args.model), loops, args.workers), total=len(loops))
        results = [result for clip in found for result in clip]
        results.sort(key=lambda one: (one["recording"], one["system"]))
        write_page(args.out, "loop_joints", results, write_markdown(results))

    return run_command(work, ValueError, OSError)
