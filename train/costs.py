"""What running a model costs: parameters, arithmetic and memory."""

from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from torch.utils.flop_counter import FlopCounterMode

from stylediff import StyleTransferPipeline
from stylediff.checkpoint import load_pipeline

CLIP_SECONDS = 5.0
STATUS = Path("/proc/self/status")  # Linux alone has it


def count_parameters(pipeline: StyleTransferPipeline) -> dict[str, int]:
    """Parameters of each network of a pipeline."""
    return {name: part.num_parameters() for name, part in pipeline.components.items() if isinstance(part, ModelMixin)}


def count_operations(function: Callable[[], Any]) -> int:
    """Floating-point operations of a call; a multiply-add is two. Only products and convolutions count."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@torch.no_grad()
def count_pass_operations(pipeline: StyleTransferPipeline, seconds: float) -> dict[str, int]:
    """Floating-point operations for a clip of that length: encoding, one denoising step, decoding, vocoder."""
    frames = pipeline.mel.frames(round(seconds * pipeline.mel.sample_rate))
    mel = torch.zeros(1, 1, pipeline.mel.n_mels, frames, device=pipeline.device)
    source = pipeline.encode_mel(mel)
    tokens = pipeline.encode_target(pipeline.style_encoder.config.voices[0])
    step = partial(pipeline.unet, torch.cat([source, source], dim=1), 1, tokens)
    return {
        "encoding": count_operations(partial(pipeline.encode_mel, mel)),
        "denoising step": count_operations(step),
        "decoding": count_operations(partial(pipeline.decode_latents, source, frames)),
        "vocoder": count_operations(partial(pipeline.synthesize, mel)),
    }


def peak_memory_bytes() -> int:
    """The largest memory that this process has had in use so far, or 0 where the system does not tell."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def convert_once(model: str, seconds: float) -> dict[str, int]:
    """Bytes that a process has had in use at most: once the model is loaded, and once it has converted a clip."""
    pipeline = load_pipeline(model)
    pipeline.set_progress_bar_config(disable=True)
    loaded = peak_memory_bytes()
    rate = pipeline.mel.sample_rate
    pipeline(0.1 * torch.randn(round(seconds * rate)), rate, target=pipeline.style_encoder.config.voices[0])
    return {"loaded": loaded, "converting": peak_memory_bytes()}


def measure_costs(model: Path) -> dict[str, Any]:
    """Parameters, operations for five seconds of sound, and peak memory in bytes, taken in a process of its own."""
    pipeline = load_pipeline(str(model))
    with get_context("spawn").Pool(1) as pool:
        memory = pool.apply(convert_once, (str(model), CLIP_SECONDS))
    return {
        "seconds": CLIP_SECONDS,
        "parameters": count_parameters(pipeline),
        "operations": count_pass_operations(pipeline, CLIP_SECONDS),
        "peak_memory_bytes": memory,
    }
