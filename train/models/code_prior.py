"""Autoregressive model of a patch's codes: a small PixelCNN."""

import torch
from torch import nn
from torch.nn import functional


class MaskedConv(nn.Conv2d):
    """Convolution that sees codes before its own in reading order.

    Args:
        sees_centre: True to see the position itself, which only the first layer must not.
    """

    mask: torch.Tensor

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, sees_centre: bool) -> None:
        super().__init__(channels_in, channels_out, kernel, padding=kernel // 2)
        mask = torch.zeros(kernel, kernel)
        mask[: kernel // 2] = 1
        mask[kernel // 2, : kernel // 2 + sees_centre] = 1
        self.register_buffer("mask", mask)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(hidden, self.weight * self.mask, self.bias, padding=self.padding)


class CodePrior(nn.Module):
    """Probabilities of each code given those before it in reading order.

    Stacked masked convolutions (van den Oord et al. 2016, arXiv 1601.06759) with residual connections.

    Examples:
        >>> import torch
        >>> from train.models.code_prior import CodePrior
        >>> CodePrior(size=16, width=8, layers=1)(torch.zeros(2, 8, 8, dtype=torch.long)).shape
        torch.Size([2, 16, 8, 8])
    """

    def __init__(self, size: int, width: int = 64, layers: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, width)
        self.first = MaskedConv(width, width, 7, sees_centre=False)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), MaskedConv(width, width, 3, sees_centre=True), nn.ReLU(), nn.Conv2d(width, width, 1)
            )
            for _ in range(layers)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, size, 1))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Logits (batch, size, rows, columns) of codes (batch, rows, columns)."""
        hidden = self.first(self.embedding(codes).movedim(-1, 1))
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return self.head(hidden)


def prior_loss(prior: nn.Module, codes: torch.Tensor) -> torch.Tensor:
    """Mean bits of a code given those before it."""
    nats = functional.cross_entropy(prior(codes).float(), codes)
    return nats / torch.log(torch.tensor(2.0))
