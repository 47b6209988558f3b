"""The style of a target mixed with that of a reference clip."""

from typing import Any

import torch

from stylediff.pipeline import StyleTransferPipeline


def mix_styles(
    pipeline: StyleTransferPipeline, target: str | None, waveform: torch.Tensor, sample_rate: int, weight: float
) -> dict[str, Any]:
    """Return style tokens and brightness as arguments of the pipeline.

    Args:
        target: instrument or voice; None leaves the clip alone.
        waveform: the reference clip, (samples,) or (channels, samples) in [-1, 1].
        weight: of the clip against the target, 0 to 1.

    Raises:
        AudioError: the clip cannot be used.
        ValueError: an unknown target, or a model that takes no clip.
    """
    tokens = pipeline.encode_reference(waveform, sample_rate)
    brightness = pipeline.measure_brightness(waveform, sample_rate)
    if target is None:
        return {"target": tokens, "brightness": brightness}
    mixed = torch.lerp(pipeline.encode_target(target), tokens, weight)
    return {"target": mixed, "brightness": None if brightness is None else weight * brightness}
