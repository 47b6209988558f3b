"""Style tokens of an instrument by name or by a reference clip."""

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import nn

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import LEVEL_SCALE, MelConfig
from stylediff.public import public

FOLD = 4  # bands and frames in a block that becomes channels before the first convolution
HALVINGS = 3
SHORTEST_FRAMES = FOLD * 2**HALVINGS


class ReferenceEncoder(nn.Module):
    """Convolutions over bands and frames, pooled over time.

    Mean and standard deviation over time keep the sound and drop its timing.

    Pooled statistics of a spectrogram also identify speakers, as x-vectors (Snyder et al. 2018, section 2.1).

    Args:
        mels: bands of the log-mels.
        width: channels of the convolutions.
        features: size of the result.
    """

    def __init__(self, mels: int, width: int, features: int) -> None:
        super().__init__()
        groups = max(1, width // 16)
        self.stem = nn.Conv2d(FOLD**2, width, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) for _ in range(HALVINGS))
        self.halvings = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(HALVINGS))
        self.join = nn.Linear(width * mels // SHORTEST_FRAMES, 2 * width)
        self.head = nn.Linear(4 * width, features)

    def forward(self, level: torch.Tensor) -> torch.Tensor:
        """Return features (batch, features) of scaled log-mels.

        Log-mels have the shape (batch, 1, mels, frames); up to a few frames at the end are ignored.

        Raises:
            ValueError: fewer frames than ``SHORTEST_FRAMES``.
        """
        frames = level.shape[-1] // FOLD * FOLD
        if frames < SHORTEST_FRAMES:
            raise ValueError(f"a reference needs {SHORTEST_FRAMES} frames, got {level.shape[-1]}")
        hidden = self.stem(nn.functional.pixel_unshuffle(level[..., :frames], FOLD))
        for norm, halving in zip(self.norms, self.halvings, strict=True):
            hidden = halving(nn.functional.silu(norm(hidden)))
        moments = nn.functional.silu(self.join(hidden.flatten(1, 2).transpose(1, 2)))  # (batch, columns, 2 * width)
        deviation = moments.var(dim=1, unbiased=False).clamp_min(1e-5).sqrt()
        return self.head(torch.cat([moments.mean(dim=1), deviation], dim=1))


@public
class StyleEncoder(ModelMixin, ConfigMixin):
    """Encodes a named target or a reference clip as style tokens.

    The embedding of a name is the sum of an instrument's and a voice's, both learned.

    The denoiser treats both kinds of tokens alike, so they can be mixed: ``torch.lerp(tokens, others, weight)``.

    Args:
        voices: names of the trained voices, ``instrument/soundfont-program``; the first voice of an instrument is its
            default.
        tokens: number of tokens per style.
        width: channels of a token, equal to the denoiser's ``cross_attention_dim``.
        reference_width: channels of the network that encodes reference clips; 0 means none.
        mel: fields of the MelConfig of reference clips.

    Examples:
        >>> import torch
        >>> from stylediff import StyleEncoder
        >>> encoder = StyleEncoder(["piano/FluidR3-0", "violin/OPEN_small-40"], tokens=2, width=16, reference_width=8)
        >>> by_name = encoder(torch.tensor([encoder.voice_index("violin")]))
        >>> by_clip = encoder.encode_reference(torch.full((1, 1, 256, 64), -7.0))
        >>> torch.lerp(by_name, by_clip, 0.5).shape
        torch.Size([1, 2, 16])
    """

    @register_to_config
    def __init__(
        self, voices: list[str], tokens: int = 4, width: int = 128, reference_width: int = 0, mel: dict | None = None
    ) -> None:
        super().__init__()
        self.mel = MelConfig(**(mel or {}))
        self.instrument_embedding = nn.Embedding(len(INSTRUMENT_NAMES), tokens * width)
        self.voice_embedding = nn.Embedding(len(voices), tokens * width)
        self.null_tokens = nn.Parameter(torch.zeros(tokens, width))
        nn.init.normal_(self.instrument_embedding.weight, std=0.5)
        nn.init.normal_(self.voice_embedding.weight, std=0.5)
        self.reference: ReferenceEncoder | None = None
        if reference_width:
            self.reference = ReferenceEncoder(self.mel.n_mels, reference_width, tokens * width)

    def voice_index(self, target: str) -> int:
        """Index of a voice, or of the default voice of an instrument.

        Raises:
            ValueError: unknown target; the message lists the instruments.
        """
        for index, voice in enumerate(self.config.voices):
            if target in (voice, voice.split("/")[0]):
                return index
        known = sorted({voice.split("/")[0] for voice in self.config.voices})
        raise ValueError(f"unknown target {target!r}; choose one of {', '.join(known)}")

    def forward(self, voices: torch.Tensor) -> torch.Tensor:
        """Style tokens of voices.

        Args:
            voices: (batch,) indices into ``config.voices``; -1 gives the null tokens.

        Returns:
            (batch, tokens, width).
        """
        names = [voice.split("/")[0] for voice in self.config.voices]
        instrument_of = torch.tensor([INSTRUMENT_NAMES.index(name) for name in names], device=voices.device)
        known = voices.clamp_min(0)
        tokens = self.instrument_embedding(instrument_of[known]) + self.voice_embedding(known)
        tokens = tokens.reshape(-1, self.config.tokens, self.config.width)
        return torch.where((voices < 0)[:, None, None], self.null_tokens, tokens)

    @apply_forward_hook
    def encode_reference(self, mel: torch.Tensor) -> torch.Tensor:
        """Style tokens of reference clips.

        Args:
            mel: (batch, 1, mels, frames) log-mels of one instrument each, at working loudness.

        Returns:
            (batch, tokens, width).

        Raises:
            ValueError: the model does not accept reference clips, or they are too short.
        """
        if self.reference is None:
            raise ValueError("this model does not accept reference clips; choose an instrument by name")
        features = self.reference(((mel - self.mel.log_floor) / LEVEL_SCALE).to(self.dtype))
        return features.reshape(-1, self.config.tokens, self.config.width)
