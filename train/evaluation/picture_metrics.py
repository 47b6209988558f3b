"""Metrics of reconstructed pictures."""

import torch
from torch.nn import functional

WINDOW, WINDOW_DEVIATION = 11, 1.5  # pixels
STABILITY = (0.01**2, 0.03**2)  # constants of SSIM for values in 0 to 1


def psnr(pictures: torch.Tensor, originals: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio of each picture, in decibels.

    Args:
        pictures, originals: (batch, channels, height, width) in 0 to 1.

    Returns:
        (batch,).
    """
    return -10 * (pictures.clamp(0, 1) - originals).square().mean(dim=(1, 2, 3)).log10()


def gaussian_window() -> torch.Tensor:
    """Weights of SSIM's window, (11, 11)."""
    offsets = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * WINDOW_DEVIATION**2))
    return torch.outer(weights, weights) / weights.sum() ** 2


def ssim(pictures: torch.Tensor, originals: torch.Tensor) -> torch.Tensor:
    """Structural similarity of each picture, mean over channels.

    Source: Wang et al. 2004. Windows lie within the picture.

    Args:
        pictures, originals: (batch, channels, height, width) in 0 to 1.

    Returns:
        (batch,).
    """
    window = gaussian_window().to(pictures)[None, None]

    def local_mean(values: torch.Tensor) -> torch.Tensor:
        flat = values.reshape(-1, 1, *values.shape[-2:])
        return functional.conv2d(flat, window).reshape(len(values), -1)

    first, second = pictures.clamp(0, 1), originals
    mean_1, mean_2 = local_mean(first), local_mean(second)
    variance_1 = local_mean(first**2) - mean_1**2
    variance_2 = local_mean(second**2) - mean_2**2
    covariance = local_mean(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + STABILITY[0]) / (mean_1**2 + mean_2**2 + STABILITY[0])
    structure = (2 * covariance + STABILITY[1]) / (variance_1 + variance_2 + STABILITY[1])
    return (luminance * structure).mean(1)
