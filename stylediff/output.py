"""What a transfer gives."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.utils import BaseOutput

from stylediff.public import public


@public
@dataclass
class StyleTransferOutput(BaseOutput):
    """Result of a transfer.

    Attributes:
        audio: (samples,), exactly as long as the input and at its sample rate, and as loud where that does not clip;
            None for "mel" and "latent".
        sample_rate: of ``audio``, Hz.
        mel: (mels, frames) generated log-mel, at the loudness the model works at; None for "latent".
        source_mel: (mels, frames) log-mel of the input at that loudness.
        latents: (1, channels, rows, columns).
    """

    audio: Any
    sample_rate: int
    mel: Any
    source_mel: torch.Tensor
    latents: torch.Tensor
