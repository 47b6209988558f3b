"""Recognition of clips in which several instruments play."""

import numpy as np
import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn

from stylediff.audio import to_mono
from stylediff.mel import MelConfig, normalized_mel
from stylediff.public import public
from stylediff.style_encoder import SHORTEST_FRAMES, StyleEncoder

WINDOW_FRAMES = 430  # five seconds
MOST_WINDOWS = 8


@public
class MixDetector(ModelMixin, ConfigMixin):
    """Tells mixes of instruments from single instruments.

    A perceptron with one hidden layer on the style tokens of ``StyleEncoder.encode_reference``, which describe a sound
    and not its timing.

    Args:
        features: size of the style tokens of one clip.
        width: hidden units.

    Examples:
        >>> import torch
        >>> from stylediff import MixDetector
        >>> MixDetector(features=32)(torch.zeros(3, 4, 8)).shape
        torch.Size([3])
    """

    @register_to_config
    def __init__(self, features: int = 512, width: int = 64) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width), nn.GELU())
        self.score = nn.Linear(width, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Score the tokens of each clip; above 0 means a mix.

        (batch, tokens, width) becomes (batch,).
        """
        return self.score(self.hidden(tokens.flatten(1)))[:, 0]

    @torch.no_grad()
    def hears_mix(self, encoder: StyleEncoder, waveform: torch.Tensor | np.ndarray, sample_rate: int) -> bool:
        """Return True if several instruments seem to play in a clip.

        Silence gives False.

        Args:
            encoder: style encoder that the detector was trained with.
            waveform: (samples,) or (channels, samples) in [-1, 1].

        Raises:
            AudioError: a waveform that cannot be used.
        """
        mel_config = encoder.mel
        mono = to_mono(waveform, sample_rate, mel_config.sample_rate).to(self.device)
        windows = cut_windows(normalized_mel(mono, mel_config)[0], mel_config)
        return len(windows) > 0 and float(self(encoder.encode_reference(windows)).median()) > 0


def cut_windows(mel: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Cut evenly spaced windows with sound from a log-mel.

    (1, 1, mels, frames) become (windows, 1, mels, frames) with at most five seconds each. There may be none.
    """
    frames = mel.shape[-1]
    size = min(frames, WINDOW_FRAMES)
    if size < SHORTEST_FRAMES:
        return mel[:0]
    count = min(MOST_WINDOWS, -(-frames // size))
    starts = torch.linspace(0, frames - size, count).round().int().tolist()
    windows = torch.cat([mel[..., start : start + size] for start in starts])
    return windows[windows.amax(dim=(1, 2, 3)) > config.log_floor]
