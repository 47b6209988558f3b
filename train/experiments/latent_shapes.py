"""Which latent shape is best at equal training time?

    python -m train latent-shapes --cache MELS --data DATASET --vocoder DIR --out DIR

A shape as "8x32x56q35" has latents of 35 levels (finite scalar quantisation) instead of continuous ones. Rerun the
command to resume; two processes can work on different ``--shapes``. Channels, rows and columns are those of the
autoencoder's latents of a clip. With 32 rows, the denoiser gets blocks of 2 x 2 as one position, so that its work is
the same for all shapes.
"""

import argparse
import json
import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stylediff import StyleTransferPipeline
from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig
from stylediff.settings import START, TEMPERATURE
from train.common.cli import run_command
from train.common.files import FolderError, describe_arguments, lock_settings, write_atomically
from train.common.job_chain import Job, JobError, run_jobs
from train.common.markdown import table_head, table_row, write_page
from train.data.mel_cache import CacheError, MelCache, read_cache
from train.data.notes import frame_prf
from train.data.transcription import NoteTranscriber
from train.data.waveforms import read_clips
from train.evaluation.metrics.sound import log_mel_error
from train.evaluation.runner import load_model
from train.experiments.sampling import measure_transfers, sample_pairs
from train.models.instrument_classifier import InstrumentClassifier
from train.trainers.loop import count_steps

FOLD = 4  # bands and frames of a block, before the network
DENOISER_ROWS = 16
NOISE = 0.3  # deviation of the added noise; latents have unit deviation
WARMUP_STEPS = 50
DENOISER = {"widths": (96, 144, 192), "validate_every": 0, "warmup_steps": WARMUP_STEPS}


@dataclass(frozen=True)
class Found:
    """Results of a latent shape on the validation split.

    Errors are mean absolute log-mel differences in nepers.

    Attributes:
        shape: channels, rows and columns of latents, and levels if they are quantised.
        bits: of a latent value: its Kullback-Leibler divergence, or the entropy of its levels.
        parameters: parameters of the autoencoder, in millions.
        autoencoder_steps, denoiser_steps: training steps within the time.
        error: error of reconstructed clips.
        noisy_error: the same with noise of 0.3 added to the normalised latents; small for smooth latents.
        least_deviation, greatest_deviation: smallest and largest deviation of a channel before normalisation.
        frame_f: pitch F-measure of clips through autoencoder and vocoder, against the clips' transcriptions.
        transfer_error_1, transfer_error_20: errors of transfers with 1 and 20 steps.
        frechet_20: Fréchet distance of transfers with 20 steps to the targets, in the classifier's features.
    """

    shape: str
    parameters: float
    bits: float
    autoencoder_steps: int
    denoiser_steps: int
    error: float
    noisy_error: float
    least_deviation: float
    greatest_deviation: float
    frame_f: float
    transfer_error_1: float
    transfer_error_20: float
    frechet_20: float


def read_shape(shape: str) -> tuple[int, int, int]:
    """Channels, rows and levels of a shape, as "8x32x56" or "8x32x56q35"."""
    size, _, levels = shape.partition("q")
    channels, rows, _ = map(int, size.split("x"))
    return channels, rows, int(levels or 0)


def build_jobs(shape: str, args: argparse.Namespace) -> list[Job]:
    """Return the jobs that train a latent shape in ``args.out / shape``."""
    channels, rows, quantized = read_shape(shape)
    out: Path = args.out / shape
    stride = MelConfig().n_mels // rows
    levels = (stride // FOLD).bit_length()
    fold = rows // DENOISER_ROWS
    widths = (96, 192, 192, 192)[:levels]
    encoder, latents, denoiser = out / "autoencoder" / "autoencoder", out / "latents", out / "denoiser"
    shape_settings = {"latent_channels": channels, "latent_fold": fold, "widths": widths, "levels": quantized}
    return [
        Job(
            name="autoencoder",
            does="Trains an autoencoder with this latent shape.",
            command="autoencoder",
            settings={"cache": args.cache, "out": out / "autoencoder", "warmup_steps": WARMUP_STEPS} | shape_settings,
            result=encoder / "config.json",
            is_trainer=True,
            minutes=args.minutes,
        ),
        Job(
            name="latents",
            does="Encodes clips.",
            command="cache-latents",
            settings={"cache": args.cache, "autoencoder": encoder, "out": latents, "clips": args.clips},
            result=latents / "latents.npy",
        ),
        Job(
            name="denoiser",
            does="Trains a small denoiser on these latents.",
            command="denoiser",
            settings={"cache": args.cache, "latents": latents, "out": denoiser} | DENOISER,
            result=denoiser / "unet" / "config.json",
            is_trainer=True,
            minutes=args.minutes,
        ),
        Job(
            name="pipeline",
            does="Exports the pipeline.",
            command="export-pipeline",
            settings={"autoencoder": encoder, "denoiser": denoiser, "vocoder": args.vocoder, "out": out / "model"},
            result=out / "model" / "model_index.json",
        ),
    ]


@torch.no_grad()
def measure_bits(autoencoder: MelAutoencoder, cache: MelCache, rows: np.ndarray) -> float:
    """Bits of a latent value.

    With levels it is their entropy in each channel, else the Kullback-Leibler divergence from the standard normal.
    """
    mels = [cache.tensor(int(row))[None].to(autoencoder.device) for row in rows]
    if not autoencoder.config.levels:
        return float(np.mean([float(autoencoder(mel)[1]) for mel in mels])) / math.log(2)
    found = [
        autoencoder.snap(autoencoder.bound(autoencoder.vae.encode(autoencoder.fold(mel)).latent_dist.mode()))
        for mel in mels
    ]
    channels = torch.cat([latents[0].flatten(1) for latents in found], dim=1).round().int()
    counts = [channel.unique(return_counts=True)[1] / len(channel) for channel in channels]
    return float(np.mean([float(torch.special.entr(shares).sum()) for shares in counts])) / math.log(2)


@torch.no_grad()
def measure_codec(
    pipeline: StyleTransferPipeline, cache: MelCache, rows: np.ndarray, data: Path, transcriber: NoteTranscriber
) -> tuple[float, float, float]:
    """Measure error, error with noisy latents, and pitch F-measure.

    Clips go through autoencoder and vocoder.
    """
    generator = torch.Generator().manual_seed(0)
    measured = []
    for mel, original in read_clips(cache, rows, data):
        latents = pipeline.encode_mel(mel.to(pipeline.device))
        noise = NOISE * torch.randn(latents.shape, generator=generator).to(pipeline.device)
        decoded, noisy = (pipeline.decode_latents(version, mel.shape[-1]) for version in (latents, latents + noise))
        output, true = transcriber.frames(pipeline.synthesize(decoded)[0].cpu()), transcriber.frames(original[0])
        errors = (log_mel_error(made[0, 0].cpu(), mel[0, 0]) for made in (decoded, noisy))
        measured.append((*errors, frame_prf(output, true)[2]))
    error, noisy_error, frame_f = np.mean(measured, axis=0)
    return float(error), float(noisy_error), float(frame_f)


def measure(
    shape: str,
    args: argparse.Namespace,
    cache: MelCache,
    classifier: InstrumentClassifier,
    transcriber: NoteTranscriber,
) -> Found:
    """Measure the trained pipeline of a shape, once."""
    out: Path = args.out / shape
    if (out / "found.json").is_file():
        return Found(**json.loads((out / "found.json").read_text()))
    pipeline = load_model(out / "model")
    rows = cache.split("validation")
    chosen = rows[:: -(-len(rows) // args.pairs)]
    error, noisy_error, frame_f = measure_codec(pipeline, cache, chosen, args.data, transcriber)
    pairs = sample_pairs(cache, pipeline, args.pairs)
    once, often = measure_transfers(
        pipeline, cache, pairs, [(1, START, TEMPERATURE), (20, START, TEMPERATURE)], classifier
    )
    deviations = pipeline.autoencoder.latents_std
    found = Found(
        shape=shape.replace("x", " x ").replace("q", ", levels: "),
        bits=measure_bits(pipeline.autoencoder, cache, chosen),
        parameters=sum(parameter.numel() for parameter in pipeline.autoencoder.parameters()) / 1e6,
        autoencoder_steps=count_steps(out / "autoencoder"),
        denoiser_steps=count_steps(out / "denoiser"),
        error=error,
        noisy_error=noisy_error,
        least_deviation=float(deviations.min()),
        greatest_deviation=float(deviations.max()),
        frame_f=frame_f,
        transfer_error_1=once.error,
        transfer_error_20=often.error,
        frechet_20=often.frechet,
    )
    write_atomically(out / "found.json", json.dumps(asdict(found)))
    return found


def write_markdown(found: list[Found], minutes: float, pairs: int) -> str:
    """Write a table with one row per shape."""
    columns = {
        "shape": "latents of 5 s",
        "parameters": "parameters, M",
        "bits": "bits of a value",
        "autoencoder_steps": "steps of the autoencoder",
        "error": "log-mel error ↓",
        "noisy_error": f"with noise of {NOISE} ↓",
        "deviations": "deviation of channels",
        "frame_f": "frame F to the original",
        "denoiser_steps": "steps of the denoiser",
        "transfer_error_1": "transfer's error, 1 step ↓",
        "transfer_error_20": "20 steps ↓",
        "frechet_20": "Fréchet distance ↓",
    }
    lines = [
        f"# Latent shapes, {minutes:g} minutes of training for every network, {pairs} clips and pairs",
        "",
        *table_head(columns.values()),
    ]
    for shape in found:
        spread = f"{shape.least_deviation:.2f} to {shape.greatest_deviation:.2f}"
        values = [(asdict(shape) | {"deviations": spread})[name] for name in columns]
        lines.append(table_row(f"{value:.3f}" if isinstance(value, float) else value for value in values))
    return "\n".join([*lines, ""])


def compare_shapes(args: argparse.Namespace) -> None:
    """Train and measure what is missing; write and print the table."""
    cache = read_cache(args.cache, MelConfig())
    settled = ("cache", "data", "vocoder", "classifier", "minutes", "clips", "pairs")
    lock_settings(args.out, describe_arguments(args, settled))
    classifier = InstrumentClassifier.from_pretrained(args.classifier).eval()
    transcriber = NoteTranscriber()  # before the training, so that a missing package is reported at once
    found = []
    for shape in args.shapes:
        print(f"== {shape}", flush=True)
        run_jobs(build_jobs(shape, args), args.out / shape)
        found.append(measure(shape, args, cache, classifier, transcriber))
    page = write_markdown(found, args.minutes, args.pairs)
    write_page(args.out, "latents", [asdict(shape) for shape in found], page)


def main(args: argparse.Namespace) -> int:
    return run_command(partial(compare_shapes, args), CacheError, FolderError, JobError, OSError, ImportError)
