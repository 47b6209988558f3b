"""What an instrument sounds like, from a clip of it: a log-mel of any length to one vector."""

import torch
from torch import nn

FOLD = 4  # bands and frames that become channels before the first convolution
HALVINGS = 3
SHORTEST_FRAMES = FOLD * 2**HALVINGS


class ReferenceEncoder(nn.Module):
    """Convolutions over bands and frames, then mean and deviation over time, so that it matters what sounds, not when.

    Pooled statistics of a spectrogram as the style of its instrument are those of x-vectors (Snyder et al. 2018,
    section 2.1), which tell speakers apart.

    Args:
        mels: bands of the log-mels.
        width: channels of the convolutions.
        features: length of the result.
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
        """Features (batch, features) of scaled log-mels (batch, 1, mels, frames); the last few frames may be cut off.

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
