"""Where does the time of a transfer go?

    python -m train speed --soundfont GeneralUser.sf2 --out DIR

A clip is converted several times at its own rate, and each stage is timed. In the same run its notes are transcribed
and played by a soundfont, which is the nearest rival in speed. Long clips are converted in parts, as on the page.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import stylediff.pipeline
from stylediff import StyleTransferPipeline
from stylediff.audio import read_audio, to_mono, write_audio
from stylediff.checkpoint import load_pipeline
from stylediff.instruments import get_instrument
from stylediff.output_files import write_result
from stylediff.settings import TransferSettings
from stylediff.streaming import Part, PartSampler
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.soundfonts import SynthesisError
from train.data.transcription import NoteTranscriber
from train.evaluation.cases import CaseError
from train.evaluation.recorded import load_player

RATE = 44_100
WHOLE, OTHER = "whole", "everything else"
PIPELINE, MODULE = "pipeline", "module"
# what is timed, where it is looked up, and the names of the table
STAGES = {
    "read_audio": (MODULE, "reading the file"),
    "tuned_mono": (PIPELINE, "mono at the model's rate, tuning"),
    "waveform_to_mel": (MODULE, "log-mel"),
    "encode_mel": (PIPELINE, "encoder"),
    "denoise": (PIPELINE, "denoiser"),
    "decode_latents": (PIPELINE, "decoder"),
    "enhance_mel": (PIPELINE, "enhancer"),
    "follow_dynamics": (MODULE, "dynamics"),
    "synthesize": (PIPELINE, "vocoder"),
    "extend_band": (PIPELINE, "upper band"),
    "finish_sound": (MODULE, "level, rate, panning, room"),
    "write_audio": (MODULE, "writing the file"),
}
NOTES = """\
{seconds:g} s of {what} at {rate} Hz, to {target} with {steps} steps, from file to file, everything loaded: median of
{times} runs on {threads} threads. *Replayed*: basic-pitch's transcription of the clip, played by a soundfont, from file
to file. Times of different machines, or of one machine at different moments, cannot be compared; ratios of one run can.
"""
LONG_NOTES = """\
The clip repeated in stereo, converted in parts, as on the page, each length in a process of its own. *First sound*:
from opening the file until a part can be heard. *Whole*: until the result is written. *Peak*: most memory of the
process, with everything loaded.
"""

Seconds = dict[str, float]


@contextmanager
def timed(pipeline: StyleTransferPipeline, found: Seconds) -> Iterator[None]:
    """Add the time of each stage of a pipeline to ``found``."""

    def clock(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            result = function(*args, **kwargs)
            found[name] += time.perf_counter() - started
            return result

        return call

    with ExitStack() as stack:
        for name, (where, _) in STAGES.items():
            if where == PIPELINE:
                stack.enter_context(patch.object(pipeline, name, clock(name, getattr(pipeline, name))))
            elif name not in ("read_audio", "write_audio"):
                stack.enter_context(
                    patch.object(stylediff.pipeline, name, clock(name, getattr(stylediff.pipeline, name)))
                )
        yield


def convert(pipeline: StyleTransferPipeline, source: Path, out: Path, target: str, steps: int | None = None) -> Seconds:
    """Convert a file, and return seconds by stage.

    Args:
        steps: None takes as many as are recommended for the target.
    """
    found: Seconds = defaultdict(float)
    started = time.perf_counter()
    samples, sample_rate = read_audio(source)
    found["read_audio"] = time.perf_counter() - started
    with timed(pipeline, found):
        generator = torch.Generator().manual_seed(0)
        waveform = torch.from_numpy(samples)
        chosen: dict[str, Any] = {} if steps is None else {"num_inference_steps": steps}
        result = pipeline(waveform, sample_rate, target=target, generator=generator, **chosen)
    writing = time.perf_counter()
    write_audio(out, result.audio, result.sample_rate)
    found["write_audio"] = time.perf_counter() - writing
    found[WHOLE] = time.perf_counter() - started
    return found


def replay(transcriber: NoteTranscriber, player: Any, source: Path, out: Path) -> float:
    """Transcribe a file and play its notes; return seconds."""
    synthesizer, program = player
    started = time.perf_counter()
    samples, sample_rate = read_audio(source)
    mono = to_mono(samples, sample_rate, 22_050)
    notes = transcriber.transcribe(mono).notes
    write_audio(out, torch.from_numpy(synthesizer.render(notes, program, len(mono), {})).float(), 22_050)
    return time.perf_counter() - started


def convert_long(seconds: float, clip: Path, model: Path, target: str) -> dict[str, float]:
    """Convert a long clip in parts.

    Returns seconds, and peak memory in GB.
    """
    pipeline = load_pipeline(str(model))
    pipeline.set_progress_bar_config(disable=True)
    samples, sample_rate = read_audio(clip)
    mono = to_mono(samples, sample_rate, RATE)
    pipeline(mono[:RATE], RATE, target=target)  # warms up
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "source.wav", Path(folder) / "out.wav"
        whole = mono.repeat(1 + round(seconds * RATE) // len(mono))[: round(seconds * RATE)]
        write_audio(source, torch.stack([whole, 0.7 * whole]), RATE)
        del whole
        heard: list[float] = []
        started = time.perf_counter()

        def listen(part: Part) -> bool:
            heard.extend([] if part.audio is None else [time.perf_counter() - started])
            return not heard

        samples, sample_rate = read_audio(source)
        generator = torch.Generator().manual_seed(0)
        waveform, sampler = torch.from_numpy(samples), PartSampler(listen)
        result = pipeline(waveform, sample_rate, target=target, generator=generator, sampler=sampler)
        write_result(out, result.audio, result.sample_rate)
        taken = time.perf_counter() - started
    unit = 1e9 if sys.platform == "darwin" else 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {"seconds": seconds, "first": heard[0], "whole": taken, "peak": peak}


def measure_long(args: argparse.Namespace) -> list[dict[str, float]]:
    """Measure long clips, each in a new process."""
    found = []
    for seconds in args.long:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(convert_long, (seconds, args.clip, args.model, args.target)))
    return found


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every stage, and of the rival, in turn."""
    pipeline, transcriber = load_pipeline(str(args.model)), NoteTranscriber()
    pipeline.set_progress_bar_config(disable=True)
    recommended = TransferSettings().resolve(pipeline.recommended_settings(args.target)).steps
    voice = get_instrument(args.target).default_voice
    player = load_player(tuple(args.soundfont), voice)[voice] if args.soundfont else None
    runs: list[Seconds] = []
    replayed: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "source.wav", Path(folder) / "out.wav"
        samples, sample_rate = read_audio(args.clip)
        mono = to_mono(samples, sample_rate, RATE)[: round(args.seconds * RATE)]
        write_audio(source, mono, RATE)
        for number in range(args.times + 1):
            found = convert(pipeline, source, out, args.target, args.steps)
            taken = replay(transcriber, player, source, out) if player else 0.0
            if number:  # the first run warms up
                runs.append(found)
                replayed.append(taken)
    stages = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in (*STAGES, WHOLE)}
    return {
        "seconds": len(mono) / RATE,
        "steps": args.steps or recommended,
        "stages": stages,
        "replayed": statistics.median(replayed),
        "long": measure_long(args),
    }


def write_markdown(found: dict[str, Any], args: argparse.Namespace) -> str:
    """Table of the stages with their shares."""
    stages, whole = found["stages"], found["stages"][WHOLE]
    notes = NOTES.format(
        seconds=found["seconds"], what=args.clip.stem.replace("_", " "), rate=RATE, target=args.target,
        steps=found["steps"], times=args.times, threads=torch.get_num_threads(),
    )  # fmt: skip
    lines = ["# Speed", "", notes, *table_head(["stage", "ms", "share"])]
    rows = {title: stages[name] for name, (_, title) in STAGES.items() if stages[name]}
    rows[OTHER] = whole - sum(rows.values())
    lines += [table_row([title, f"{1000 * taken:.0f}", f"{taken / whole:.0%}"]) for title, taken in rows.items()]
    lines.append(table_row(["**whole**", f"**{1000 * whole:.0f}**", "100%"]))
    if found["replayed"]:
        lines.append(table_row(["replayed", f"{1000 * found['replayed']:.0f}", f"{found['replayed'] / whole:.0%}"]))
    if found["long"]:
        lines += ["", "## Long clips", "", LONG_NOTES]
        lines += table_head(["length, s", "first sound, s", "whole, s", "peak, GB"])
        lines += [
            table_row([f"{one['seconds']:g}", f"{one['first']:.1f}", f"{one['whole']:.0f}", f"{one['peak']:.2f}"])
            for one in found["long"]
        ]
    return "\n".join([*lines, ""])


def compare(args: argparse.Namespace) -> None:
    """Measure, and write the page."""
    found = measure(args)
    args.out.mkdir(parents=True, exist_ok=True)
    write_page(args.out, "speed", found, write_markdown(found, args))


def main(args: argparse.Namespace) -> int:
    return run_command(partial(compare, args), CaseError, SynthesisError, OSError, ValueError, ImportError)
