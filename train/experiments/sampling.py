"""Which steps, start levels, temperatures and dynamics are best?

python -m train sampling --cache MELS --out DIR
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.dynamics import follow_dynamics
from stylediff.mel import MelConfig
from stylediff.settings import DYNAMICS, START
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.mel_cache import MelCache, read_cache
from train.data.notes import frame_prf
from train.data.pairs import PairRows, PairSampler
from train.data.transcription import NoteTranscriber
from train.data.transfer_cache import transfer
from train.evaluation.embeddings import frechet_distance, split_windows
from train.evaluation.metrics.sound import BLOCK_SECONDS, MOMENT_SECONDS, correlation, log_mel_error, mel_contour
from train.evaluation.runner import load_model
from train.models.instrument_classifier import InstrumentClassifier


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Results at one sampling setting.

    Attributes:
        start: noise level at which refinement started.
        dynamics: how far the outputs' loudness follows the source's.
        error: mean absolute log-mel error to the true targets, in nepers.
        frechet: Fréchet distance of generated to true mels, in the classifier's features.
        levels, loudness: correlations with the target's levels in windows of 50 and 400 ms.
        frame_f: pitch F-measure of generated against true mels, both synthesized and transcribed; None without a
            transcriber.
    """

    steps: int
    start: float
    temperature: float
    enhanced: bool
    dynamics: float
    error: float
    frechet: float
    levels: float
    loudness: float
    frame_f: float | None = None


@torch.no_grad()
def features_of(mels: list[torch.Tensor], classifier: InstrumentClassifier) -> np.ndarray:
    """Classifier's features of log-mels (mels, frames), per second."""
    windows = [split_windows(mel[None, None]) for mel in mels]
    return classifier.features(torch.cat(windows)).numpy()


def transcribe_mels(
    mels: list[torch.Tensor], pipeline: StyleTransferPipeline, transcriber: NoteTranscriber
) -> list[np.ndarray]:
    """Transcribe log-mels through the vocoder, (frames, 88) bool each."""
    return [transcriber.frames(pipeline.synthesize(mel[None, None].to(pipeline.device))[0].cpu()) for mel in mels]


def postprocess(
    pipeline: StyleTransferPipeline, latents: torch.Tensor, sources: list[torch.Tensor], dynamics: Sequence[float]
) -> dict[tuple[bool, float], list[torch.Tensor]]:
    """Decode latents to log-mels, by use of enhancer and dynamics.

    Args:
        latents: (pairs, channels, rows, columns).
        sources: log-mels (1, mels, frames) of the source clips.
    """
    played = [source[None].to(pipeline.device) for source in sources]
    made = {False: [pipeline.decode_latents(pair[None], played[0].shape[-1]) for pair in latents]}
    if pipeline.enhancer is not None:
        made[True] = [pipeline.enhance_mel(mel, source) for mel, source in zip(made[False], played, strict=True)]
    return {
        (enhanced, amount): [
            follow_dynamics(mel, source, amount, pipeline.mel)[0, 0].cpu()
            for mel, source in zip(mels, played, strict=True)
        ]
        for enhanced, mels in made.items()
        for amount in dynamics
    }


def mean_correlation(outputs: list[torch.Tensor], true: list[torch.Tensor], seconds: float, config: MelConfig) -> float:
    """Mean correlation of the levels of log-mels in windows."""
    correlations = [
        correlation(mel_contour(ours, seconds, config), mel_contour(target, seconds, config))
        for ours, target in zip(outputs, true, strict=True)
    ]
    return float(np.mean([value for value in correlations if value is not None] or [np.nan]))


@torch.no_grad()
def measure_transfers(
    pipeline: StyleTransferPipeline,
    cache: MelCache,
    pairs: PairRows,
    settings: list[tuple[int, float, float]],
    classifier: InstrumentClassifier,
    transcriber: NoteTranscriber | None = None,
    dynamics: Sequence[float] = (DYNAMICS,),
) -> list[Measured]:
    """Measure all combinations of steps, start and temperature.

    An enhancer, if there is one, is measured on and off.

    Args:
        dynamics: how far the outputs' loudness follows the source's.
    """
    sources, targets = (
        [cache.tensor(int(row), 0, cache.mels.shape[-1]) for row in rows] for rows in (pairs.sources, pairs.targets)
    )
    known = list(pipeline.style_encoder.config.voices)
    voices = torch.tensor([known.index(cache.clips[int(row)].voice) for row in pairs.targets])
    true = [target[0] for target in targets]
    features = features_of(true, classifier)
    rolls = transcribe_mels(true, pipeline, transcriber) if transcriber else []
    results = []
    for steps, start, temperature in tqdm(settings):
        latents = transfer(pipeline, torch.stack(sources), voices, steps, temperature, start)
        for (enhanced, amount), outputs in postprocess(pipeline, latents, sources, dynamics).items():
            error = float(np.mean([log_mel_error(ours, target) for ours, target in zip(outputs, true, strict=True)]))
            distance = frechet_distance(features_of(outputs, classifier), features)
            levels, loudness = (
                mean_correlation(outputs, true, seconds, pipeline.mel) for seconds in (BLOCK_SECONDS, MOMENT_SECONDS)
            )
            played = transcribe_mels(outputs, pipeline, transcriber) if transcriber else []
            agreements = [frame_prf(ours, target)[2] for ours, target in zip(played, rolls, strict=True)]
            results.append(
                Measured(
                    steps=steps,
                    start=start,
                    temperature=temperature,
                    enhanced=enhanced,
                    dynamics=amount,
                    error=error,
                    frechet=distance,
                    levels=levels,
                    loudness=loudness,
                    frame_f=float(np.mean(agreements)) if agreements else None,
                )
            )
    return results


def sample_pairs(cache: MelCache, pipeline: StyleTransferPipeline, count: int) -> PairRows:
    """Sample validation pairs, the same for models with the same voices."""
    sampler = PairSampler(cache.clips, cache.mels, list(pipeline.style_encoder.config.voices), "validation")
    return sampler.sample(count, torch.Generator().manual_seed(0))


def write_markdown(results: list[Measured], pairs: int) -> str:
    lines = [f"# Sampling settings, on {pairs} pairs of the validation split", ""]
    heads = [
        "steps",
        "refined from",
        "temperature",
        "enhanced",
        "dynamics",
        "log-mel error, neper ↓",
        "Fréchet distance ↓",
        "levels, 50 ms",
        "levels, 400 ms",
        "frame F to the target",
    ]
    lines += table_head(heads)
    for setting in results:
        enhanced = "yes" if setting.enhanced else ""
        frame_f = "" if setting.frame_f is None else f"{setting.frame_f:.3f}"
        sampling = (setting.steps, f"{setting.start:g}", f"{setting.temperature:g}", enhanced, f"{setting.dynamics:g}")
        cells = (
            *sampling,
            f"{setting.error:.4f}",
            f"{setting.frechet:.2f}",
            f"{setting.levels:.3f}",
            f"{setting.loudness:.3f}",
            frame_f,
        )
        lines.append(table_row(cells))
    return "\n".join([*lines, ""])


def sampling(args: argparse.Namespace) -> None:
    """Measure all settings; write and print the table.

    Raises:
        CheckpointError, CacheError, OSError: weights or clips are missing.
        ValueError: more steps than noise levels.
    """
    starts, dynamics = args.start or [START], args.dynamics or [DYNAMICS]
    pipeline, cache = load_model(args.model), read_cache(args.cache, MelConfig())
    levels = pipeline.scheduler.config.num_train_timesteps
    if max(args.steps) - 1 > min(starts) * levels:
        raise ValueError(f"{max(args.steps)} steps do not fit into {min(starts):g} of {levels} noise levels")
    pairs = sample_pairs(cache, pipeline, args.pairs)
    classifier = InstrumentClassifier.from_pretrained(args.classifier).eval()
    settings = list(itertools.product(args.steps, starts, args.temperature))
    transcriber = NoteTranscriber() if args.listen else None
    results = measure_transfers(pipeline, cache, pairs, settings, classifier, transcriber, dynamics)
    write_page(args.out, "sampling", [asdict(setting) for setting in results], write_markdown(results, args.pairs))


def main(args: argparse.Namespace) -> int:
    return run_command(partial(sampling, args), ValueError, OSError)
