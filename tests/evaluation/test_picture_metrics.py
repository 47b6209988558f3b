"""Metrics of pictures: known values, and SSIM computed by its definition."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from train.evaluation.picture_metrics import psnr, ssim


def test_an_error_of_a_tenth_is_20_db() -> None:
    black = torch.zeros(2, 3, 32, 32)
    assert psnr(black + 0.1, black).tolist() == pytest.approx([20, 20])


def test_equal_pictures_have_a_similarity_of_one_and_noise_lowers_it() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, 32, 32)
    assert ssim(pictures, pictures).tolist() == pytest.approx([1, 1])
    slightly, strongly = (ssim(pictures + scale * torch.randn(pictures.shape), pictures) for scale in (0.05, 0.3))
    assert (slightly < 1).all()
    assert (strongly < slightly).all()


def test_similarity_agrees_with_scipys_gaussian_filter() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 32, 32))

    def blur(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    means = blur(first), blur(second)
    variances = blur(first**2) - means[0] ** 2, blur(second**2) - means[1] ** 2
    covariance = blur(first * second) - means[0] * means[1]
    expected = (2 * means[0] * means[1] + 1e-4) * (2 * covariance + 9e-4)
    expected /= (means[0] ** 2 + means[1] ** 2 + 1e-4) * (variances[0] + variances[1] + 9e-4)
    made = ssim(*(torch.from_numpy(values).float()[None, None] for values in (first, second)))
    assert float(made) == pytest.approx(expected.mean(), abs=1e-4)
