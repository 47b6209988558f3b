"""Autoencoder of 32 x 32 patches with discrete codes (VQ-VAE, arXiv 1711.00937)."""

from typing import NamedTuple

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import nn
from torch.nn import functional
from vector_quantize_pytorch import FSQ, VectorQuantize

from stylediff.code_model import build_decoder, build_encoder, nearest_codes

QUANTIZERS = ("loss", "average", "fsq", "none")
# Levels of the scalars by number of codes. Those of 256, 1024 and 4096 are from table 1 of arXiv 2309.15505.
FSQ_LEVELS = {
    16: (4, 4),
    64: (8, 8),
    256: (8, 6, 5),
    512: (8, 8, 8),
    1024: (8, 5, 5, 5),
    4096: (7, 5, 5, 5, 5),
}


class Quantized(NamedTuple):
    """Quantised latents.

    Attributes:
        latents: (batch, code_dim, rows, columns); gradients pass straight through.
        codes: (batch, rows, columns) integers.
        loss: loss of codebook and commitment.
    """

    latents: torch.Tensor
    codes: torch.Tensor
    loss: torch.Tensor


class LearnedCodebook(nn.Module):
    """Codebook of vectors, learned by a loss or by exponential averages.

    The averages are those of appendix A.1 of the paper.

    Args:
        by_loss: learn by the codebook loss instead of by averages.
        commitment: weight of the commitment loss.
        decay: decay of the averages.
        kmeans: start from the centroids of the first batch.
        revive: share of the uniform usage below which a code is replaced by a latent of the batch (0: never).
        vectors: latents in a training batch, from which the uniform usage follows.
    """

    def __init__(
        self,
        size: int,
        code_dim: int,
        *,
        by_loss: bool,
        commitment: float,
        decay: float,
        kmeans: bool,
        revive: float,
        vectors: int,
    ) -> None:
        super().__init__()
        self.size, self.by_loss, self.commitment = size, by_loss, commitment
        usage = vectors / size
        self.codebook = VectorQuantize(
            code_dim,
            size,
            accept_image_fmap=True,
            rotation_trick=False,
            learnable_codebook=by_loss,
            ema_update=not by_loss,
            decay=decay,
            kmeans_init=kmeans,
            threshold_ema_dead_code=revive * usage,
            commitment_weight=0.0,  # the package's loss weights codebook and commitment alike; see forward
        )
        # A revived code starts with the uniform usage, so that it has time to find latents of its own.
        self.codebook._codebook.reset_cluster_size = usage

    def forward(self, latents: torch.Tensor) -> Quantized:
        """Quantise latents (batch, code_dim, rows, columns)."""
        if not self.training:  # the package compares one-hot codes here too, which is slow for many codes
            codes = nearest_codes(latents, self.codebook.codebook)
            vectors = self.vectors(codes)
            return Quantized(vectors, codes, self.commitment * functional.mse_loss(latents, vectors))
        passed, codes, _ = self.codebook(latents)
        # The averages have moved the codebook by now, so the vectors that were passed on are compared.
        vectors = self.vectors(codes) if self.by_loss else passed
        loss = self.commitment * functional.mse_loss(latents, vectors.detach())
        if self.by_loss:
            loss = loss + functional.mse_loss(vectors, latents.detach())
        return Quantized(passed, codes, loss)

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """Vectors of codes (batch, rows, columns)."""
        return self.codebook.codebook[codes].movedim(-1, 1)


class ScalarCodebook(nn.Module):
    """Fixed codebook of rounded scalars (FSQ, arXiv 2309.15505).

    Its size is the product of the levels, which is at most a tenth off the wanted size.
    """

    def __init__(self, size: int, code_dim: int) -> None:
        super().__init__()
        if size not in FSQ_LEVELS:
            raise ValueError(f"codebook_size is {size}; fsq has levels for {', '.join(map(str, FSQ_LEVELS))}")
        self.scalars = FSQ(levels=FSQ_LEVELS[size], dim=code_dim)
        self.size = self.scalars.codebook_size

    def forward(self, latents: torch.Tensor) -> Quantized:
        """Quantise latents (batch, code_dim, rows, columns)."""
        passed, codes = self.scalars(latents)
        return Quantized(passed, codes.long(), latents.new_zeros(()))

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """Vectors of codes (batch, rows, columns)."""
        return self.scalars.indices_to_codes(codes)


class NoCodebook(nn.Module):
    """Latents without quantisation: a bound for all codebooks."""

    size = 0

    def forward(self, latents: torch.Tensor) -> Quantized:
        """Return latents unchanged, with codes of 0."""
        return Quantized(latents, torch.zeros_like(latents[:, 0], dtype=torch.long), latents.new_zeros(()))

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """Raise ValueError: there are no vectors."""
        raise ValueError("a model without a codebook cannot decode codes")


Codebook = LearnedCodebook | ScalarCodebook | NoCodebook


class Reconstruction(NamedTuple):
    """Output of the model for a batch of patches.

    Attributes:
        patches: reconstructed patches, (batch, channels, 32, 32).
        codes: (batch, 8, 8) integers.
        error: mean squared error over the variance of the data.
        codebook_loss: loss of codebook and commitment.
    """

    patches: torch.Tensor
    codes: torch.Tensor
    error: torch.Tensor
    codebook_loss: torch.Tensor


class VqVae(ModelMixin, ConfigMixin):
    """Convolutional autoencoder with one code per 4 x 4 pixels.

    Args:
        channels: 3 for pictures in 0 to 1, 1 for log-mels in nepers.
        mean, deviation: of the training patches. The networks see standardised values.
        width, residual_width, blocks: channels of the convolutions, of the residual blocks inside, and their number.
        code_dim: values of a code's vector.
        codebook_size: number of codes.
        quantizer: "loss" and "average" learn a codebook, "fsq" rounds scalars, "none" leaves latents as they are.
        commitment, decay, kmeans, revive, batch_vectors: see LearnedCodebook.

    Examples:
        >>> import torch
        >>> from train.models.vqvae import VqVae
        >>> model = VqVae(width=8, residual_width=4, code_dim=4, codebook_size=16).eval()
        >>> codes = model.encode(torch.zeros(2, 3, 32, 32))
        >>> codes.shape, model.decode(codes).shape
        (torch.Size([2, 8, 8]), torch.Size([2, 3, 32, 32]))
    """

    @register_to_config
    def __init__(
        self,
        channels: int = 3,
        mean: float = 0.0,
        deviation: float = 1.0,
        width: int = 128,
        residual_width: int = 32,
        blocks: int = 2,
        code_dim: int = 64,
        codebook_size: int = 512,
        quantizer: str = "average",
        commitment: float = 0.25,
        decay: float = 0.99,
        kmeans: bool = False,
        revive: float = 0.0,
        batch_vectors: int = 4096,
    ) -> None:
        super().__init__()
        if quantizer not in QUANTIZERS:
            raise ValueError(f"quantizer is {quantizer!r}; allowed: {', '.join(QUANTIZERS)}")
        self.mean, self.deviation = mean, deviation
        self.encoder = build_encoder(channels, width, residual_width, blocks, code_dim)
        self.decoder = build_decoder(channels, width, residual_width, blocks, code_dim)
        self.codebook: Codebook
        if quantizer == "fsq":
            self.codebook = ScalarCodebook(codebook_size, code_dim)
        elif quantizer == "none":
            self.codebook = NoCodebook()
        else:
            self.codebook = LearnedCodebook(
                codebook_size,
                code_dim,
                by_loss=quantizer == "loss",
                commitment=commitment,
                decay=decay,
                kmeans=kmeans,
                revive=revive,
                vectors=batch_vectors,
            )

    @property
    def size(self) -> int:
        """Number of codes; 0 without a codebook."""
        return self.codebook.size

    def quantize(self, patches: torch.Tensor) -> Quantized:
        """Quantised latents of patches, computed in float32."""
        latents = self.encoder((patches - self.mean) / self.deviation)
        # bfloat16 would merge neighbouring codes
        with torch.autocast(latents.device.type, enabled=False):
            return self.codebook(latents.float())

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        """Codes (batch, 8, 8) of patches (batch, channels, 32, 32)."""
        return self.quantize(patches).codes

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Patches (batch, channels, 32, 32) of codes (batch, 8, 8)."""
        return self.decoder(self.codebook.vectors(codes)) * self.deviation + self.mean

    def forward(self, patches: torch.Tensor) -> Reconstruction:
        """Reconstruct patches (batch, channels, 32, 32)."""
        quantized = self.quantize(patches)
        decoded = self.decoder(quantized.latents).float()
        error = functional.mse_loss(decoded, (patches - self.mean) / self.deviation)
        return Reconstruction(decoded * self.deviation + self.mean, quantized.codes, error, quantized.loss)


def perplexity(codes: torch.Tensor, size: int) -> torch.Tensor:
    """Exponential of the entropy of codes, between 1 and ``size``."""
    shares = torch.bincount(codes.flatten(), minlength=size).double() / codes.numel()
    return torch.exp(torch.special.entr(shares).sum())
