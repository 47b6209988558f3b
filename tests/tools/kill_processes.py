"""Kill processes at random moments: a second run must finish to the same bytes.

python -m tests.tools.kill_processes --kills 30 [--seed 0]

Rendering, caching, training, exporting and converting are killed in turn (SIGKILL), with tiny scores, soundfonts and
models. After each kill, nothing that is incomplete may pass for complete. The exit code is 1 if something went wrong.
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import stylediff.__main__ as command_line
from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.helpers.files import write_midi, write_soundfont
from tests.helpers.patches import write_sounds
from tests.helpers.tiny_pipeline import tiny_pipeline, write_tone
from train.data.manifest import piece_split, read_manifest
from train.data.mel_cache import CacheError, read_cache

SCRATCH = (".part", ".tmp", ".stylediff-")  # names of files that nothing reads
VARYING = ("checkpoint.pt", "settings.json", "log")  # hold times and paths
RENDERING = ["--clips", "24", "--test-excerpts", "2", "--seconds", "1.5", "--workers", "1"]
TRAINING = ["--steps", "6", "--batch-size", "2", "--crop-frames", "32", "--widths", "16", "16", "--layers", "1"]
TRAINING += ["--latent-channels", "4", "--precision", "no", "--log-every", "1", "--image-every", "0"]


@dataclass(frozen=True)
class Work:
    """A command to kill.

    Attributes:
        run: runs it with an output folder, and returns its exit code.
        find_wrong: names of incomplete results in a folder that pass for complete, given the complete folder.
    """

    run: Callable[[Path], int]
    find_wrong: Callable[[Path, Path], list[str]]


def digest_files(folder: Path) -> dict[str, str]:
    """Digests of the files of a folder that are results."""
    names = {path: path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path, name in names.items()
        if not any(mark in name for mark in SCRATCH) and not name.startswith(VARYING)
    }


def unlike(folder: Path, complete: Path, ending: str) -> list[str]:
    """Files with an ending that differ from those of the complete folder."""
    whole = digest_files(complete)
    return [name for name, digest in digest_files(folder).items() if name.endswith(ending) and whole[name] != digest]


def wrong_render(folder: Path, complete: Path) -> list[str]:
    if (folder / "manifest.jsonl").is_file():
        read_manifest(folder)
        return [] if digest_files(folder) == digest_files(complete) else ["manifest.jsonl"]
    return []


def wrong_cache(folder: Path, complete: Path) -> list[str]:
    try:
        read_cache(folder, MelConfig())
    except CacheError:
        return []
    return unlike(folder, complete, "mels.npy")


def wrong_latents(folder: Path, complete: Path) -> list[str]:
    return unlike(folder, complete, "latents.npy")


def wrong_training(folder: Path, _complete: Path) -> list[str]:
    """Checkpoints that cannot be resumed."""
    checkpoints = sorted(folder.glob("checkpoint.pt"))
    return [path.name for path in checkpoints if torch.load(path, weights_only=True)["step"] > 6]


def wrong_export(folder: Path, complete: Path) -> list[str]:
    try:
        load_pipeline(str(folder))
    except CheckpointError:
        return []
    return unlike(folder, complete, "")


def wrong_conversion(folder: Path, complete: Path) -> list[str]:
    return unlike(folder, complete, ".wav")


def convert(model: Path, sources: list[str], out: Path) -> int:
    """Convert, and keep what a killed run finished."""
    missing = [name for name in sources if not (out / f"{Path(name).stem}_to_harp_seed0.wav").is_file()]
    return command_line.main([*missing, "--to", "harp", "--model", str(model), "--out-dir", str(out)]) if missing else 0


def write_scores(folder: Path) -> Path:
    """Write one short score for each split."""
    folder.mkdir()
    wanted = ["test", "validation", "train"]
    for number in range(1000):
        name = f"piece_{number}.mid"
        if (split := piece_split(f"{folder.name}/./{name}")) in wanted:
            wanted.remove(split)
            write_midi(folder / name, [60 + (number + 5 * step) % 12 for step in range(40)])
    return folder


def prepare(folder: Path) -> dict[str, Work]:
    """Make tiny inputs, and return the work by name."""
    scores = write_scores(folder / "scores")
    fonts = [write_soundfont(folder / f"{name}.sf2") for name in ("Pure", "Unseen")]
    data, mels = write_sounds(folder)
    model, pipeline = folder / "model", tiny_pipeline()
    pipeline.save_pretrained(model)
    pipeline.autoencoder.save_pretrained(folder / "autoencoder")
    for name in ("unet", "style_encoder", "scheduler"):
        getattr(pipeline, name).save_pretrained(folder / "denoiser" / name)
    tones = [str(write_tone(folder / f"tone_{number}.wav")) for number in range(4)]
    inputs = {
        "render-dataset": ["--midi", scores, "--soundfont", fonts[0], "--test-soundfont", fonts[1], *RENDERING],
        "cache-mels": ["--data", data, "--workers", "1"],
        "cache-latents": ["--cache", mels, "--autoencoder", folder / "autoencoder"],
        "autoencoder": ["--cache", mels, "--checkpoint-minutes", "0", *TRAINING],
        "export-pipeline": ["--autoencoder", folder / "autoencoder", "--denoiser", folder / "denoiser"],
    }
    checks = (wrong_render, wrong_cache, wrong_latents, wrong_training, wrong_export)

    def run(name: str) -> Callable[[Path], int]:
        return lambda out: command(name)([*map(str, inputs[name]), "--out", str(out)])

    works = {name: Work(run(name), check) for name, check in zip(inputs, checks, strict=True)}
    return works | {"convert": Work(lambda out: convert(model, tones, out), wrong_conversion)}


def silently(function: Callable[[Path], int], out: Path) -> None:
    """Run in a process of its own, and leave with the exit code."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    torch.set_num_threads(1)
    os._exit(function(out))


def start(function: Callable[[Path], int], out: Path) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=silently, args=(function, out))
    process.start()
    return process


def finish(work: Work, out: Path) -> float:
    """Run to the end, and return the seconds.

    Raises:
        RuntimeError: it failed.
    """
    started = time.monotonic()
    process = start(work.run, out)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"exit code {process.exitcode}")
    return time.monotonic() - started


def kill_once(work: Work, out: Path, complete: Path, delay_s: float) -> tuple[str, list[str]]:
    """Kill the work after a delay and run it again; return what was hit and what went wrong."""
    process = start(work.run, out)
    process.join(delay_s)
    hit = "killed" if process.is_alive() else "had ended"
    process.kill()
    process.join()
    wrong = work.find_wrong(out, complete) if out.is_dir() else []
    try:
        finish(work, out)
    except RuntimeError as error:
        return hit, [*wrong, str(error)]
    if digest_files(out) != digest_files(complete):
        wrong.append("other bytes")
    return hit, wrong


def run(kills: int, seed: int) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Kill the works in turn; return counts by work, and what went wrong."""
    draw, wrong = random.Random(seed), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        works = prepare(folder)
        counts = {name: {"killed": 0, "had ended": 0} for name in works}
        seconds: dict[str, float] = {}
        for number in range(kills):
            name = list(works)[number % len(works)]
            complete, out = folder / f"complete_{name}", folder / f"killed_{name}"
            if name not in seconds:
                seconds[name] = finish(works[name], complete)
            hit, problems = kill_once(works[name], out, complete, draw.uniform(0.05, 0.95) * seconds[name])
            counts[name][hit] += 1
            wrong += [f"{name}, kill {number}: {problem}" for problem in problems]
            shutil.rmtree(out)
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    counts, wrong = run(args.kills, args.seed)
    print("| work | killed | had ended before |\n|---|---|---|")
    for name, hits in counts.items():
        print(f"| {name} | {hits['killed']} | {hits['had ended']} |")
    print("\n".join([*wrong, f"{args.kills} kills, {len(wrong)} wrong"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
