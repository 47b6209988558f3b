"""Costs of running a model: parameters, operations and memory."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from torch.utils.flop_counter import FlopCounterMode

from stylediff import StyleTransferPipeline
from stylediff.audio import read_audio, write_audio
from stylediff.checkpoint import load_pipeline

CLIP_SECONDS = 5.0
TIMED = 5  # timed conversions
STATUS = Path("/proc/self/status")  # available on Linux only


def count_parameters(pipeline: StyleTransferPipeline) -> dict[str, int]:
    """Parameters of each network of a pipeline."""
    return {name: part.num_parameters() for name, part in pipeline.components.items() if isinstance(part, ModelMixin)}


def count_operations(function: Callable[[], Any]) -> int:
    """Count the floating-point operations of a call.

    A multiply-add counts as two. Only matrix products and convolutions are counted.
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@torch.no_grad()
def count_pass_operations(pipeline: StyleTransferPipeline, seconds: float) -> dict[str, int]:
    """Count floating-point operations for a clip, by stage.

    Denoising is counted for one step, and the enhancer if there is one.
    """
    frames = pipeline.mel.frames(round(seconds * pipeline.mel.sample_rate))
    mel = torch.zeros(1, 1, pipeline.mel.n_mels, frames, device=pipeline.device)
    source = pipeline.encode_mel(mel)
    tokens = pipeline.encode_target(pipeline.style_encoder.config.voices[0])
    step = partial(pipeline.unet, torch.cat([source, source], dim=1), 1, tokens)
    enhancing = {"enhancer": count_operations(partial(pipeline.enhance_mel, mel, mel))} if pipeline.enhancer else {}
    return {
        "encoding": count_operations(partial(pipeline.encode_mel, mel)),
        "denoising step": count_operations(step),
        "decoding": count_operations(partial(pipeline.decode_latents, source, frames)),
        **enhancing,
        "vocoder": count_operations(partial(pipeline.synthesize, mel)),
    }


def peak_memory_bytes() -> int:
    """Return the peak memory of this process, or 0 if unknown."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def convert_file(pipeline: StyleTransferPipeline, source: Path, out: Path) -> None:
    """Convert a clip to the first voice at the default settings."""
    samples, sample_rate = read_audio(source)
    result = pipeline(torch.from_numpy(samples), sample_rate, target=pipeline.style_encoder.config.voices[0])
    write_audio(out, result.audio, result.sample_rate)


def convert_alone(model: str, seconds: float) -> dict[str, Any]:
    """Measure loading a model and converting a file in a separate process.

    Returns:
        ``peak_memory_bytes`` after loading and after converting, and ``file_seconds``, the median time of a few
        conversions from file to file, without the first.
    """
    pipeline = load_pipeline(model)
    pipeline.set_progress_bar_config(disable=True)
    loaded, rate = peak_memory_bytes(), pipeline.mel.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "source.wav", Path(folder) / "out.wav"
        write_audio(source, 0.1 * torch.randn(round(seconds * rate)), rate)
        times = [time.perf_counter()]
        for _ in range(TIMED + 1):
            convert_file(pipeline, source, out)
            times.append(time.perf_counter())
    took = [after - before for before, after in itertools.pairwise(times)][1:]
    memory = {"loaded": loaded, "converting": peak_memory_bytes()}
    return {"peak_memory_bytes": memory, "file_seconds": statistics.median(took)}


def measure_costs(model: Path) -> dict[str, Any]:
    """Measure parameters, operations, memory and time for a clip."""
    pipeline = load_pipeline(str(model))
    with get_context("spawn").Pool(1) as pool:
        alone = pool.apply(convert_alone, (str(model), CLIP_SECONDS))
    return {
        "seconds": CLIP_SECONDS,
        "parameters": count_parameters(pipeline),
        "operations": count_pass_operations(pipeline, CLIP_SECONDS),
        **alone,
    }
