"""Errors, use of codes, and bits of a VQ-VAE, and baselines."""

import math
from typing import Any

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torch.nn import functional

from stylediff.code_model import GRID, PATCH, STRIDE
from train.data.patches import PatchSet
from train.evaluation.picture_metrics import psnr, ssim
from train.models.code_prior import CodePrior, prior_loss
from train.models.vqvae import VqVae, perplexity

PRIOR_BATCH = 64
PRIOR_LEARNING_RATE = 2e-3
KMEANS_BLOCKS = 100_000  # most blocks to fit the baseline on
WHITE = 255.0


class Errors:
    """Sums of errors over batches of patches.

    Examples:
        >>> import torch
        >>> from train.evaluation.code_metrics import Errors
        >>> errors = Errors("image", 0.25)
        >>> errors.add(torch.full((2, 3, 32, 32), 0.6), torch.full((2, 3, 32, 32), 0.5))
        >>> {name: round(value, 3) for name, value in errors.means().items() if name != "ssim"}
        {'squared_error': 0.01, 'relative_error': 0.16, 'absolute_error': 0.1, 'psnr_db': 20.0}
    """

    def __init__(self, kind: str, deviation: float) -> None:
        self.kind, self.variance = kind, deviation**2
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, made: torch.Tensor, originals: torch.Tensor) -> None:
        """Add reconstructed patches and their originals, (batch, channels, 32, 32)."""
        difference = made - originals
        squared = float(difference.square().mean(dim=(1, 2, 3)).sum())
        values = {
            "squared_error": squared,
            "relative_error": squared / self.variance,
            "absolute_error": float(difference.abs().mean(dim=(1, 2, 3)).sum()),
        }
        if self.kind == "image":
            values |= {"psnr_db": float(psnr(made, originals).sum()), "ssim": float(ssim(made, originals).sum())}
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += len(made)

    def means(self) -> dict[str, float]:
        """Mean errors.

        The relative error is over the variance of the training data.
        """
        return {name: value / self.count for name, value in self.sums.items()}


@torch.no_grad()
def reconstruct(model: VqVae, patches: PatchSet, rows: np.ndarray) -> tuple[dict[str, float], torch.Tensor]:
    """Mean errors of reconstructed patches, and their codes (patches, 8, 8)."""
    errors, codes = Errors(patches.kind, model.deviation), []
    for batch in patches.batches(rows):
        out = model(batch)
        errors.add(out.patches, batch)
        codes.append(out.codes)
    return errors.means(), torch.cat(codes)


@torch.no_grad()
def encode(model: VqVae, patches: PatchSet, rows: np.ndarray) -> torch.Tensor:
    """Codes (patches, 8, 8)."""
    return torch.cat([model.encode(batch) for batch in patches.batches(rows)])


def code_usage(codes: torch.Tensor, size: int) -> dict[str, float]:
    """Perplexity, share of codes used, and bits of a code."""
    codes_perplexity = float(perplexity(codes, size))
    return {
        "perplexity": codes_perplexity,
        "used": len(codes.unique()) / size,
        "size_bits": math.log2(size),
        "entropy_bits": math.log2(codes_perplexity),
    }


def fit_prior(codes: torch.Tensor, size: int, steps: int, seed: int) -> CodePrior:
    """Train an autoregressive prior on codes (patches, 8, 8)."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    prior = CodePrior(size)
    optimizer = torch.optim.Adam(prior.parameters(), PRIOR_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        batch = codes[torch.randint(len(codes), (PRIOR_BATCH,), generator=generator)]
        prior_loss(prior, batch).backward()
        optimizer.step()
        schedule.step()
    return prior.eval()


@torch.no_grad()
def prior_bits(prior: CodePrior, codes: torch.Tensor) -> float:
    """Mean bits of a code under the prior."""
    bits = [float(prior_loss(prior, part)) * len(part) for part in codes.split(PRIOR_BATCH)]
    return sum(bits) / len(codes)


def bits_per_value(code_bits: float, values: int) -> float:
    """Bits per value of a patch for bits per code."""
    return code_bits * GRID**2 / values


def description_bits(squared_error: float, code_bits: float, values: int) -> float:
    """Bits per value of a picture's codes and of its residual.

    The residual is Gaussian with the given mean squared error and is rounded to 256 levels. This bounds the negative
    log-likelihood, in the unit of the paper's table.
    """
    residual = 0.5 * math.log2(2 * math.pi * math.e * squared_error * WHITE**2)
    return residual + bits_per_value(code_bits, values)


def to_blocks(patches: torch.Tensor) -> torch.Tensor:
    """Cut patches into 4 x 4 blocks.

    The result has the shape (patches * 64, channels * 16).
    """
    blocks = functional.unfold(patches, STRIDE, stride=STRIDE)  # (patches, channels * 16, 64)
    return blocks.transpose(1, 2).reshape(-1, blocks.shape[1])


def from_blocks(blocks: torch.Tensor) -> torch.Tensor:
    """Put 4 x 4 blocks together again, (patches, channels, 32, 32)."""
    columns = blocks.reshape(-1, GRID**2, blocks.shape[1]).transpose(1, 2)
    return functional.fold(columns, PATCH, STRIDE, stride=STRIDE)


def measure_block_codebook(patches: PatchSet, size: int, rows: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Measure a k-means codebook of raw blocks.

    It has the same rate and needs no network.
    """
    sample = patches.rows("train", KMEANS_BLOCKS // GRID**2)
    kmeans = MiniBatchKMeans(size, batch_size=4096, n_init=1, max_iter=20, random_state=seed)
    kmeans.fit(to_blocks(patches.tensor(sample)).numpy())
    centres = torch.from_numpy(kmeans.cluster_centers_).float()
    errors, codes = Errors(patches.kind, patches.moments()[1]), []
    for batch in patches.batches(rows):
        nearest = torch.cdist(to_blocks(batch), centres).argmin(1)
        errors.add(from_blocks(centres[nearest]), batch)
        codes.append(nearest.reshape(-1, GRID, GRID))
    return errors.means() | code_usage(torch.cat(codes), size)


def measure_simple(patches: PatchSet, rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Errors of the overall mean, and of block means without coding."""
    mean, deviation = patches.moments()
    constant, averaged = Errors(patches.kind, deviation), Errors(patches.kind, deviation)
    for batch in patches.batches(rows):
        constant.add(torch.full_like(batch, mean), batch)
        averaged.add(functional.interpolate(functional.avg_pool2d(batch, STRIDE), scale_factor=STRIDE), batch)
    return {"mean of all values": constant.means(), "means of 4 x 4 blocks, not coded": averaged.means()}
