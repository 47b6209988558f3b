"""Result of a transfer."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.utils import BaseOutput

from stylediff.public import public
from stylediff.settings import TransferSettings


@public
@dataclass
class StyleTransferOutput(BaseOutput):
    """Result of a transfer.

    Attributes:
        audio: (samples,), or (2, samples) of a stereo clip, as long as the input (longer by the tail of a room if it
            is kept), and as loud unless that would clip; None for "mel" and "latent".
        sample_rate: of ``audio``, Hz; the input's unless the settings name another.
        mel: (mels, frames) generated log-mel at working loudness; None for "latent".
        source_mel: (mels, frames) log-mel of the input at working loudness.
        latents: (1, channels, rows, columns).
        settings: the settings used.
        voice: the target's voice, ``instrument/soundfont-program``; None for style tokens.

    Examples:
        >>> import torch
        >>> from stylediff import StyleTransferOutput
        >>> from stylediff.settings import TransferSettings
        >>> output = StyleTransferOutput(
        ...     audio=torch.zeros(22050),
        ...     sample_rate=22050,
        ...     mel=None,
        ...     source_mel=torch.zeros(256, 87),
        ...     latents=torch.zeros(1, 32, 16, 6),
        ...     settings=TransferSettings(steps=8),
        ... )
        >>> len(output.audio) / output.sample_rate, output.settings.steps
        (1.0, 8)
    """

    audio: Any
    sample_rate: int
    mel: Any
    source_mel: torch.Tensor
    latents: torch.Tensor
    settings: TransferSettings
    voice: str | None = None
