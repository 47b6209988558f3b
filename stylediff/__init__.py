"""StyleDiff: instrument transfer by latent diffusion on mel spectrograms."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers import ModelMixin, SchedulerMixin

    from stylediff.autoencoder import MelAutoencoder
    from stylediff.bandwidth import BandExtender
    from stylediff.enhancer import MelEnhancer
    from stylediff.inpainter import Inpainter
    from stylediff.mix_detector import MixDetector
    from stylediff.pipeline import StyleTransferOutput, StyleTransferPipeline
    from stylediff.style_encoder import StyleEncoder
    from stylediff.vocoder import Vocoder

__version__ = "0.1.0"

__all__ = [
    "BandExtender",
    "Inpainter",
    "MelAutoencoder",
    "MelEnhancer",
    "MixDetector",
    "ModelMixin",
    "SchedulerMixin",
    "StyleEncoder",
    "StyleTransferOutput",
    "StyleTransferPipeline",
    "Vocoder",
]

# Classes are imported when they are first used: torch and diffusers take seconds.
# diffusers looks the base classes of saved components up in the module that their index names.
MODULES = {
    "BandExtender": "stylediff.bandwidth",
    "Inpainter": "stylediff.inpainter",
    "MelAutoencoder": "stylediff.autoencoder",
    "MelEnhancer": "stylediff.enhancer",
    "MixDetector": "stylediff.mix_detector",
    "ModelMixin": "diffusers",
    "SchedulerMixin": "diffusers",
    "StyleEncoder": "stylediff.style_encoder",
    "StyleTransferOutput": "stylediff.pipeline",
    "StyleTransferPipeline": "stylediff.pipeline",
    "Vocoder": "stylediff.vocoder",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
