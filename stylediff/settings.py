"""Arguments of a transfer, checked before anything is computed."""

import torch

from stylediff.sampling import MAX_STEPS
from stylediff.style_encoder import StyleEncoder

OUTPUT_TYPES = ("pt", "np", "mel", "latent")


def check_inputs(
    style_encoder: StyleEncoder,
    target: str | torch.Tensor,
    num_inference_steps: int = 1,
    guidance_scale: float = 1.0,
    strength: float = 1.0,
    temperature: float = 1.0,
    dynamics: float = 0.0,
    output_type: str = "pt",
) -> None:
    """Raises ValueError with a sentence for an argument of ``StyleTransferPipeline`` that is out of range."""
    config = style_encoder.config
    if isinstance(target, str):
        style_encoder.voice_index(target)
    elif target.shape != (wanted := (1, config.tokens, config.width)):
        raise ValueError(f"style tokens must be of shape {wanted}, got {tuple(target.shape)}")
    if not 1 <= num_inference_steps <= MAX_STEPS:
        raise ValueError(f"num_inference_steps must be 1 to {MAX_STEPS}, got {num_inference_steps}")
    if not guidance_scale >= 1.0:
        raise ValueError(f"guidance_scale must be at least 1, got {guidance_scale}")
    for name, share in (("strength", strength), ("temperature", temperature), ("dynamics", dynamics)):
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{name} must be 0 to 1, got {share}")
    if output_type not in OUTPUT_TYPES:
        raise ValueError(f"output_type must be one of {', '.join(OUTPUT_TYPES)}, got {output_type!r}")
