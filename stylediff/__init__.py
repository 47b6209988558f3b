"""StyleDiff: instrument transfer by latent diffusion on mel spectrograms."""

from diffusers import ModelMixin, SchedulerMixin

from stylediff.autoencoder import MelAutoencoder
from stylediff.enhancer import MelEnhancer
from stylediff.pipeline import StyleTransferOutput, StyleTransferPipeline
from stylediff.style_encoder import StyleEncoder
from stylediff.vocoder import Vocoder

__version__ = "0.1.0"

# diffusers looks the base classes of saved components up in the module that their index names.
__all__ = [
    "MelAutoencoder",
    "MelEnhancer",
    "ModelMixin",
    "SchedulerMixin",
    "StyleEncoder",
    "StyleTransferOutput",
    "StyleTransferPipeline",
    "Vocoder",
]
