"""How many codes do pictures and log-mels need, and which codebooks collapse?

    python -m train codebooks --patches IMAGES MELS --out DIR --minutes 480

Every size is trained with k-means start and revival; some sizes also with the other codebooks. All runs of a study have
the same number of steps, which follows from ``--minutes`` and a short timing. Rerun the command to resume it.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.code_model import tile, untile
from stylediff.mel import MelConfig
from train.common.cli import run_command
from train.common.files import FolderError, describe_arguments, lock_settings, write_atomically
from train.common.job_chain import Job, JobError, run_jobs
from train.common.precision import fast_autocast
from train.data.mel_cache import CacheError, read_cache
from train.data.notes import frame_prf
from train.data.patches import PatchError, PatchSet, read_patches
from train.data.transcription import NoteTranscriber
from train.evaluation.code_metrics import (
    code_usage,
    description_bits,
    encode,
    fit_prior,
    measure_block_codebook,
    measure_simple,
    prior_bits,
    reconstruct,
)
from train.evaluation.runner import load_model
from train.experiments.codebook_report import plot_reconstructions, write_report
from train.models.vqvae import VqVae
from train.trainers.settings import VqvaeSettings
from train.trainers.vqvae import build_model, vqvae_loss

# settings of the trainer by name of the codebook
METHODS: dict[str, dict[str, Any]] = {
    "loss": {"quantizer": "loss"},
    "averages": {"quantizer": "average"},
    "averages, k-means": {"quantizer": "average", "kmeans": True},
    "averages, k-means, revival": {"quantizer": "average", "kmeans": True, "revive": 0.1},
    "FSQ": {"quantizer": "fsq"},
    "no codebook": {"quantizer": "none"},
}
MAIN, BOUND = "averages, k-means, revival", "no codebook"
TRAINING_SHARE = 0.75  # of the minutes; the rest is for measuring and for priors
TIMED_STEPS = 8
PRIOR_PATCHES = 20_000  # most patches whose codes train a prior


@dataclass(frozen=True)
class Variant:
    """One trained model of the study."""

    method: str
    size: int
    seed: int

    @property
    def folder(self) -> str:
        """Name of its folder."""
        method = self.method.replace(", ", "_").replace(" ", "_")
        return f"{method}-{self.size}-{self.seed}"


def list_variants(sizes: list[int], compared: list[int], seeds: list[int]) -> list[Variant]:
    """List the models of a data set, seed by seed."""
    variants = []
    for seed in seeds:
        variants += [Variant(MAIN, size, seed) for size in sizes]
        others = [method for method in METHODS if method not in (MAIN, BOUND)]
        variants += [Variant(method, size, seed) for size in compared for method in others]
        variants.append(Variant(BOUND, 0, seed))
    return variants


def training_settings(variant: Variant, args: argparse.Namespace) -> dict[str, Any]:
    """Settings of a variant's training, without folders and steps."""
    size = {"codebook_size": variant.size} if variant.size else {}
    network = {"batch_size": args.batch_size, "width": args.width, "residual_width": args.residual_width}
    return {"seed": variant.seed, "validate_every": 0} | network | size | METHODS[variant.method]


def build_job(variant: Variant, folder: Path, out: Path, steps: int, args: argparse.Namespace) -> Job:
    """Return the job that trains a variant."""
    settings = {"patches": folder, "out": out, "steps": steps, "image_every": 0} | training_settings(variant, args)
    return Job(
        name="vqvae",
        does=f"Trains {variant.method}, {variant.size or 'no'} codes, seed {variant.seed}.",
        command="vqvae",
        settings=settings,
        result=out / "measured.json",
        is_trainer=True,
    )


def time_step(patches: PatchSet, variant: Variant, args: argparse.Namespace) -> float:
    """Seconds of a training step, in the precision of the training."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = VqvaeSettings(patches=Path(), out=Path(), steps=1, **training_settings(variant, args))
    model = build_model(settings, patches).to(device, memory_format=torch.channels_last)
    batch = patches.tensor(patches.rows("train")[: args.batch_size]).to(device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(TIMED_STEPS):
        started = time.monotonic()
        with fast_autocast(device):
            loss, parts = vqvae_loss(model, batch)
        loss.backward()
        parts["error"].item()  # waits for a GPU
        seconds.append(time.monotonic() - started)
    return float(np.median(seconds))


def choose_steps(sets: dict[str, PatchSet], args: argparse.Namespace) -> int:
    """Steps of every run, so that the study takes about ``args.minutes``.

    They are chosen once and recorded in the folder of the study.
    """
    path: Path = args.out / "steps.json"
    if path.is_file():
        return json.loads(path.read_text())["steps"]
    steps, timed = args.steps, {}
    if not steps:
        variants = list_variants(args.sizes, args.compared, args.seeds)
        sizes = {variant.size: Variant(MAIN, variant.size or args.sizes[0], 0) for variant in variants}
        timed = {
            name: {size: time_step(patches, variant, args) for size, variant in sizes.items()}
            for name, patches in sets.items()
        }
        seconds = sum(timed[name][variant.size] for name in sets for variant in variants)
        steps = max(1, math.floor(60 * args.minutes * TRAINING_SHARE / seconds))
    write_atomically(path, json.dumps({"steps": steps, "seconds_per_step": timed}, indent=1))
    return steps


class SoundJudge:
    """Vocoder and transcriber: do the notes of clips survive the codes?

    Args:
        mels: log-mels of clips, each (mels, frames).
    """

    def __init__(self, mels: list[torch.Tensor], pipeline: StyleTransferPipeline) -> None:
        self.clips = [tile(mel) for mel in mels]
        self.pipeline, self.mel = pipeline, MelConfig()
        self.transcriber = NoteTranscriber()
        self.rolls = [self.transcribe(patches) for patches in self.clips]

    @torch.no_grad()
    def transcribe(self, patches: torch.Tensor) -> np.ndarray:
        """Keys that sound in a clip, (frames, 88) bool.

        Its patches are put side by side and synthesized.
        """
        mel = untile(patches.clamp_min(self.mel.log_floor), self.mel.n_mels)
        return self.transcriber.frames(self.pipeline.synthesize(mel[None, None])[0])

    @torch.no_grad()
    def frame_f(self, model: VqVae) -> float:
        """Mean pitch F-measure of reconstructed clips against the clips."""
        made = (self.transcribe(model(patches).patches) for patches in self.clips)
        return float(np.mean([frame_prf(roll, true)[2] for roll, true in zip(made, self.rolls, strict=True)]))


def build_judge(args: argparse.Namespace) -> SoundJudge | None:
    """Build the judge of sound, or None without a mel cache.

    Raises:
        CacheError: the cache cannot be read.
    """
    if args.cache is None:
        return None
    cache = read_cache(args.cache, MelConfig())
    clean = [row for row in cache.split("test") if cache.clips[row].role == "target"]
    chosen = np.random.default_rng(0).permutation(clean)[: args.clips]
    return SoundJudge([cache.tensor(int(row))[0] for row in chosen], load_model(args.model))


def measure_variant(
    variant: Variant, patches: PatchSet, out: Path, judge: SoundJudge | None, args: argparse.Namespace
) -> dict[str, Any]:
    """Measure a trained variant on test patches, once."""
    path = out / "found.json"
    if path.is_file():
        return json.loads(path.read_text())
    model = VqVae.from_pretrained(out / "vqvae").eval()
    rows = patches.rows("test", args.tested)
    errors, codes = reconstruct(model, patches, rows)
    trained = json.loads((out / "measured.json").read_text())
    found: dict[str, Any] = {"method": variant.method, "size": model.size, "seed": variant.seed}
    found |= errors | {"seconds": trained["seconds"], "steps": trained["steps"]}
    if model.size:
        found |= code_usage(codes, model.size)
    if model.size and args.prior_steps:
        train_codes = encode(model, patches, patches.rows("train", PRIOR_PATCHES))
        prior = fit_prior(train_codes, model.size, args.prior_steps, variant.seed)
        found["prior_bits"] = prior_bits(prior, codes)
        if patches.kind == "image":
            found["description_bits"] = description_bits(found["squared_error"], found["prior_bits"], patches.values)
    if judge is not None and patches.kind == "mel":
        found["frame_f"] = judge.frame_f(model)
    write_atomically(path, json.dumps(found, indent=1))
    return found


def measure_baselines(patches: PatchSet, out: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure what no network reaches, once."""
    path = out / "baselines.json"
    if not path.is_file():
        rows = patches.rows("test", args.tested)
        found: list[dict[str, Any]] = [{"method": name} | row for name, row in measure_simple(patches, rows).items()]
        found += [
            {"method": "k-means of 4 x 4 blocks", "size": size} | measure_block_codebook(patches, size, rows)
            for size in tqdm(args.sizes, desc="k-means of blocks")
        ]
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(found, indent=1))
    return json.loads(path.read_text())


def draw_reconstructions(variants: list[Variant], patches: PatchSet, folder: Path, path: Path) -> None:
    """Draw test patches and their reconstructions by all models of a seed."""
    models = {
        f"{variant.method}, {variant.size}" if variant.size else variant.method: VqVae.from_pretrained(
            folder / variant.folder / "vqvae"
        ).eval()
        for variant in variants
    }
    plot_reconstructions(models, patches).savefig(path, dpi=80)


def compare_codebooks(args: argparse.Namespace) -> None:
    """Train and measure what is missing.

    The page is written after every seed.
    """
    sets = {folder.name: read_patches(folder) for folder in args.patches}
    if len(sets) < len(args.patches):
        raise PatchError("two folders of patches have the same name: rename one")
    names = ("patches", "sizes", "compared", "seeds", "batch_size", "width", "residual_width", "prior_steps", "tested")
    lock_settings(args.out, describe_arguments(args, names))
    judge = build_judge(args)
    steps = choose_steps(sets, args)
    baselines = {name: measure_baselines(patches, args.out / name, args) for name, patches in sets.items()}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sets}
    for seed in args.seeds:
        variants = list_variants(args.sizes, args.compared, [seed])
        for number, variant in enumerate(variants, start=1):
            for folder, (name, patches) in zip(args.patches, sets.items(), strict=True):
                out = args.out / name / variant.folder
                print(f"== seed {seed}, {number} of {len(variants)}: {name}, {variant.folder}", flush=True)
                run_jobs([build_job(variant, folder, out, steps, args)], out)
                found[name].append(measure_variant(variant, patches, out, judge, args))
        if seed == args.seeds[0]:
            for name, patches in sets.items():
                draw_reconstructions(variants, patches, args.out / name, args.out / f"{name}_patches.png")
        write_report(args.out, found, baselines, {name: patches.values for name, patches in sets.items()})


def main(args: argparse.Namespace) -> int:
    return run_command(
        partial(compare_codebooks, args), PatchError, CacheError, FolderError, JobError, OSError, ImportError
    )
