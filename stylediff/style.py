"""Style: the name of an instrument, or of one of its voices, as tokens that condition the denoiser."""

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.public import public


@public
class StyleEncoder(ModelMixin, ConfigMixin):
    """Turns targets into style tokens: a learned embedding of the instrument plus one of the voice.

    Args:
        voices: names of the voices it was trained on, ``instrument/soundfont-program``; the first voice of an
            instrument is its default.
        tokens: tokens a style.
        width: channels of a token, the denoiser's ``cross_attention_dim``.
    """

    @register_to_config
    def __init__(self, voices: list[str], tokens: int = 4, width: int = 128) -> None:
        super().__init__()
        self.instrument_embedding = nn.Embedding(len(INSTRUMENT_NAMES), tokens * width)
        self.voice_embedding = nn.Embedding(len(voices), tokens * width)
        self.null_tokens = nn.Parameter(torch.zeros(tokens, width))
        nn.init.normal_(self.instrument_embedding.weight, std=0.5)
        nn.init.normal_(self.voice_embedding.weight, std=0.5)

    def voice_index(self, target: str) -> int:
        """Index of a voice, or of the default voice of an instrument.

        Raises:
            ValueError: neither; the message lists the instruments.
        """
        for index, voice in enumerate(self.config.voices):
            if target in (voice, voice.split("/")[0]):
                return index
        known = sorted({voice.split("/")[0] for voice in self.config.voices})
        raise ValueError(f"unknown target {target!r}; choose one of {', '.join(known)}")

    def forward(self, voices: torch.Tensor) -> torch.Tensor:
        """Tokens of voice indices.

        Args:
            voices: (batch,) indices into ``config.voices``; -1 gives the null tokens of no style.

        Returns:
            (batch, tokens, width).
        """
        names = [voice.split("/")[0] for voice in self.config.voices]
        instrument_of = torch.tensor([INSTRUMENT_NAMES.index(name) for name in names], device=voices.device)
        known = voices.clamp_min(0)
        tokens = self.instrument_embedding(instrument_of[known]) + self.voice_embedding(known)
        tokens = tokens.reshape(-1, self.config.tokens, self.config.width)
        return torch.where((voices < 0)[:, None, None], self.null_tokens, tokens)
