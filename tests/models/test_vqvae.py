"""VQ-VAE: shapes, quantisers, straight-through gradients, and the life of codes."""

from pathlib import Path

import pytest
import torch

from train.models.vqvae import FSQ_LEVELS, QUANTIZERS, VqVae, perplexity

TINY = {"width": 8, "residual_width": 4, "blocks": 1, "code_dim": 4, "codebook_size": 16, "batch_vectors": 256}


def model(**changes: object) -> VqVae:
    torch.manual_seed(0)
    return VqVae(**(TINY | changes))


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_reconstructions_have_the_shape_of_the_patches(quantizer: str, channels: int) -> None:
    patches = torch.rand(4, channels, 32, 32)
    out = model(quantizer=quantizer, channels=channels)(patches)
    assert out.patches.shape == patches.shape
    assert out.codes.shape == (4, 8, 8)
    out.error.backward()


@pytest.mark.parametrize("quantizer", ["loss", "average", "fsq"])
def test_codes_decode_to_the_reconstruction(quantizer: str) -> None:
    vqvae = model(quantizer=quantizer, mean=0.4, deviation=0.2).eval()
    patches = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        codes = vqvae.encode(patches)
        torch.testing.assert_close(vqvae.decode(codes), vqvae(patches).patches)
    assert 0 <= int(codes.min()) <= int(codes.max()) < vqvae.size


def test_the_nearest_vector_is_chosen_in_training_and_afterwards() -> None:
    codebook = model(quantizer="loss").codebook
    latents = torch.randn(2, 4, 8, 8)
    trained, used = codebook.train()(latents), codebook.eval()(latents)
    assert used.codes.equal(trained.codes)
    torch.testing.assert_close(used.latents, trained.latents)
    nearest = (latents[1, :, 2, 3] - codebook.codebook.codebook).square().sum(1).argmin()
    assert used.codes[1, 2, 3] == nearest


@pytest.mark.parametrize("quantizer", ["loss", "average", "fsq"])
def test_gradients_pass_straight_through(quantizer: str) -> None:
    codebook = model(quantizer=quantizer, commitment=0.0).codebook.train()
    latents = torch.randn(2, 4, 8, 8, requires_grad=True)
    weights = torch.randn(2, 4, 8, 8)
    (codebook(latents).latents * weights).sum().backward()
    assert latents.grad is not None
    if quantizer == "fsq":
        assert float(latents.grad.abs().sum()) > 0
    else:
        torch.testing.assert_close(latents.grad, weights)


def test_the_loss_moves_the_codebook_and_commits_the_encoder() -> None:
    codebook = model(quantizer="loss").codebook.train()
    latents = torch.randn(2, 4, 8, 8, requires_grad=True)
    quantized = codebook(latents)
    quantized.loss.backward()
    assert latents.grad is not None
    distances = latents - codebook.vectors(quantized.codes)
    torch.testing.assert_close(latents.grad, 0.25 * 2 * distances.detach() / distances.numel())
    torch.testing.assert_close(quantized.loss, 1.25 * distances.square().mean())
    assert float(codebook.codebook._codebook.embed.grad.abs().sum()) > 0


def test_averages_move_towards_the_latents_without_a_gradient() -> None:
    codebook = model(decay=0.5).codebook.train()
    latents = 3 + 0.1 * torch.randn(4, 4, 8, 8)
    first = codebook(latents).loss
    for _ in range(20):
        last = codebook(latents).loss
    assert not list(codebook.parameters())
    assert float(last) < 0.01 * float(first)


def used(codebook: torch.nn.Module, latents: torch.Tensor) -> int:
    return len(codebook(latents).codes.unique())


def test_revival_and_kmeans_use_codes_that_would_be_dead() -> None:
    latents = 5 + torch.randn(4, 4, 8, 8)  # far from the initial codebook, of which few vectors are nearest
    counts = {}
    for name, options in {"plain": {}, "revived": {"revive": 0.5}, "kmeans": {"kmeans": True}}.items():
        codebook = model(decay=0.8, **options).codebook.train()
        for _ in range(30):
            codebook(latents)
        counts[name] = used(codebook.eval(), latents)
    assert counts["plain"] < 8
    assert counts["revived"] >= 12
    assert counts["kmeans"] >= 12


def test_scalar_codebooks_are_near_their_nominal_size_and_use_all_codes() -> None:
    for size in FSQ_LEVELS:
        assert abs(model(quantizer="fsq", codebook_size=size).size / size - 1) < 0.1
    scalars = model(quantizer="fsq", codebook_size=16).codebook
    codes = torch.arange(16).reshape(1, 4, 4)
    assert scalars.vectors(codes).movedim(1, -1).reshape(16, -1).unique(dim=0).shape[0] == 16


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_a_saved_model_is_the_same(quantizer: str, tmp_path: Path) -> None:
    vqvae = model(quantizer=quantizer, kmeans=quantizer == "average", mean=0.3).train()
    patches = torch.rand(4, 3, 32, 32)
    vqvae(patches)  # k-means starts with the first batch
    vqvae.eval().save_pretrained(tmp_path)
    loaded = VqVae.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(patches).patches, vqvae(patches).patches)
    assert loaded.encode(patches).equal(vqvae.encode(patches))


def test_unknown_settings_are_named() -> None:
    with pytest.raises(ValueError, match="quantizer is 'gumbel'; allowed: loss, average"):
        model(quantizer="gumbel")
    with pytest.raises(ValueError, match="codebook_size is 100; fsq has levels for 16, 64"):
        model(quantizer="fsq", codebook_size=100)


def test_perplexity_is_the_number_of_equally_likely_codes() -> None:
    assert float(perplexity(torch.tensor([3, 3, 3, 3]), 16)) == pytest.approx(1)
    assert float(perplexity(torch.tensor([0, 1, 2, 3]), 16)) == pytest.approx(4)
