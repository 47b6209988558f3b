"""Measures of codes: bits that are known, and baselines on patches of few blocks."""

import math

import numpy as np
import pytest
import torch

from train.data.patches import PatchSet
from train.evaluation.code_metrics import (
    bits_per_value,
    code_usage,
    description_bits,
    encode,
    fit_prior,
    from_blocks,
    measure_block_codebook,
    measure_simple,
    prior_bits,
    reconstruct,
    to_blocks,
)
from train.models.vqvae import VqVae


def two_tone_patches() -> PatchSet:
    """Patches of log-mels whose 4 x 4 blocks are all -6 or all -2."""
    rng = np.random.default_rng(0)
    grid = np.where(rng.random((60, 1, 8, 8)) < 0.5, -6, -2)
    patches = grid.repeat(4, axis=2).repeat(4, axis=3).astype(np.float16)
    return PatchSet("mel", patches, np.repeat([0, 1, 2], 20).astype(np.uint8))


def test_usage_of_four_equal_codes() -> None:
    usage = code_usage(torch.arange(4).repeat(16), 16)
    assert usage == pytest.approx({"perplexity": 4, "used": 0.25, "size_bits": 4, "entropy_bits": 2})


def test_bits_are_spread_over_the_values_of_a_patch() -> None:
    assert bits_per_value(9, 3 * 1024) == pytest.approx(0.1875)
    mse = (8 / 255) ** 2
    assert description_bits(mse, 9, 3072) == pytest.approx(math.log2(8 * math.sqrt(2 * math.pi * math.e)) + 0.1875)


def test_blocks_are_put_together_again() -> None:
    patches = torch.rand(3, 2, 32, 32)
    blocks = to_blocks(patches)
    assert blocks.shape == (192, 32)
    assert blocks[1].reshape(2, 4, 4).equal(patches[0, :, :4, 4:8])
    assert from_blocks(blocks).equal(patches)


def test_two_blocks_need_two_codes() -> None:
    patches = two_tone_patches()
    measured = measure_block_codebook(patches, 2, patches.rows("test"))
    assert measured["squared_error"] == pytest.approx(0, abs=1e-6)
    assert measured["used"] == 1
    assert "psnr_db" not in measured


def test_simple_baselines() -> None:
    patches = two_tone_patches()
    measured = measure_simple(patches, patches.rows("train"))
    assert measured["mean of all values"]["relative_error"] == pytest.approx(1, abs=1e-3)
    assert measured["means of 4 x 4 blocks, not coded"]["squared_error"] == pytest.approx(0, abs=1e-6)


def test_a_reconstruction_gives_errors_and_the_codes_of_the_encoder() -> None:
    torch.manual_seed(0)
    patches = two_tone_patches()
    mean, deviation = patches.moments()
    model = VqVae(1, mean, deviation, width=8, residual_width=4, blocks=1, code_dim=4, codebook_size=16).eval()
    errors, codes = reconstruct(model, patches, patches.rows("test"))
    assert codes.equal(encode(model, patches, patches.rows("test")))
    assert errors["relative_error"] == pytest.approx(errors["squared_error"] / deviation**2)


@pytest.mark.slow
def test_a_prior_saves_the_bits_of_a_pattern() -> None:
    generator = torch.Generator().manual_seed(0)
    firsts = torch.randint(4, (200, 1, 1), generator=generator)
    codes = ((firsts + torch.arange(8)[:, None] + torch.arange(8)) % 4).long()
    prior = fit_prior(codes[:150], 4, steps=30, seed=0)
    assert code_usage(codes, 4)["entropy_bits"] > 1.9
    assert prior_bits(prior, codes[150:]) < 0.5
