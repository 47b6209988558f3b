"""Transfers of latents in batches, at any setting of the sampler."""

import torch

from stylediff import StyleTransferPipeline
from stylediff.sampling import START

BATCH = 16


@torch.no_grad()
def transfer_latents(
    pipeline: StyleTransferPipeline,
    source: torch.Tensor,
    voices: torch.Tensor,
    steps: int,
    temperature: float,
    generator: torch.Generator,
    start: float = START,
) -> torch.Tensor:
    """Latents of source latents (batch, channels, rows, columns), played by voices (batch,) of the style encoder."""
    source = source.to(pipeline.device)
    tokens = pipeline.style_encoder(voices.to(pipeline.device))
    latents, timesteps = pipeline.prepare_latents(source, steps, 1.0, temperature, generator, start)
    return pipeline.denoise(latents, source, tokens, timesteps, 1.0, temperature)


@torch.no_grad()
def transfer(
    pipeline: StyleTransferPipeline,
    sources: torch.Tensor,
    voices: torch.Tensor,
    steps: int,
    temperature: float,
    start: float = START,
) -> torch.Tensor:
    """Latents of log-mels (pairs, 1, mels, frames) played by voices (pairs,); noise is the same for every setting."""
    made = []
    generator = torch.Generator().manual_seed(0)
    for first in range(0, len(sources), BATCH):
        batch = slice(first, first + BATCH)
        source = pipeline.encode_mel(sources[batch].to(pipeline.device))
        made.append(transfer_latents(pipeline, source, voices[batch], steps, temperature, generator, start))
    return torch.cat(made)
