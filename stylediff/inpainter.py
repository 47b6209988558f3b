"""The U-Net that fills gaps, as a change of the pipeline's."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import no_init_weights
from torch import nn

from stylediff.public import public

UP, DOWN = "up", "down"


@public
class Inpainter(ModelMixin, ConfigMixin):
    """Low-rank change that makes a U-Net fill gaps.

    The U-Net that it makes has more input channels: a mask of the missing frames. Changes of large weights are products
    of two thin matrices (LoRA, Hu et al. 2021, arXiv 2106.09685), here from a singular value decomposition. Changes of
    small weights are stored as they are.

    Args:
        unet: configuration of the U-Net that fills gaps.
        rank: greatest rank of a change of a large weight.

    Examples:
        >>> from stylediff import Inpainter
        >>> from stylediff.denoiser import build_unet
        >>> from stylediff.inpainter import extend_unet
        >>> unet = build_unet(channels=4, widths=(16, 16, 16), layers=1, head_width=8, token_width=16)
        >>> Inpainter.between(unet, extend_unet(unet, 8), rank=2).build(unet).config.in_channels
        16
    """

    @register_to_config
    def __init__(self, unet: Mapping[str, Any], rank: int = 32) -> None:
        super().__init__()
        self.changes = nn.ParameterDict()
        self._built: tuple[UNet2DConditionModel, UNet2DConditionModel] | None = None
        for name, parameter in empty_unet(unet).named_parameters():
            for part, shape in part_shapes(parameter.shape, rank).items():
                self.changes[key_of(name, part)] = nn.Parameter(torch.zeros(shape))

    @classmethod
    @torch.no_grad()
    def between(cls, base: UNet2DConditionModel, changed: UNet2DConditionModel, rank: int = 32) -> "Inpainter":
        """Return the change from one U-Net to another.

        The other may have more input channels.
        """
        inpainter = cls({name: value for name, value in changed.config.items() if name[0] != "_"}, rank)
        before = padded_weights(base, changed.config.in_channels)
        for name, parameter in changed.named_parameters():
            difference = parameter.detach().float().cpu() - before[name].float().cpu()
            for part, value in split_change(difference, rank).items():
                inpainter.changes[key_of(name, part)].copy_(value)
        return inpainter

    @torch.no_grad()
    def build(self, base: UNet2DConditionModel) -> UNet2DConditionModel:
        """Return the U-Net that fills gaps.

        It is built once, on the device of the pipeline's U-Net.

        Args:
            base: the U-Net whose change this is.

        Raises:
            ValueError: the change is of another U-Net.
        """
        if self._built is not None and self._built[0] is base and self._built[1].device == base.device:
            return self._built[1]
        built = empty_unet(self.config.unet)
        weights = padded_weights(base, built.config.in_channels)
        for name, parameter in built.named_parameters():
            if name not in weights or weights[name].shape != parameter.shape:
                raise ValueError(f"the inpainter does not fit the denoiser: they differ in {name}")
            weights[name] = weights[name] + self.change(name, parameter.shape).to(weights[name])
        built.load_state_dict(weights, assign=True)
        self._built = (base, built.eval().to(memory_format=torch.channels_last))
        return built

    def change(self, name: str, shape: torch.Size) -> torch.Tensor:
        """Change of the weight with a name and a shape."""
        parts = [self.changes[key_of(name, part)] for part in part_shapes(shape, self.config.rank)]
        return (parts[0] if len(parts) == 1 else parts[0] @ parts[1]).reshape(shape)


def key_of(name: str, part: str) -> str:
    """Key of a part of a weight's change.

    Names of parameters must not contain dots.
    """
    return f"{name.replace('.', '/')}/{part}"


def part_shapes(shape: torch.Size, rank: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the parts of a weight's change.

    There is one part, or two thin matrices if they are smaller.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    if len(shape) < 2 or rank * (rows + columns) >= rows * columns:
        return {UP: tuple(shape)}
    return {UP: (rows, rank), DOWN: (rank, columns)}


def split_change(difference: torch.Tensor, rank: int) -> dict[str, torch.Tensor]:
    """Split a weight's change in parts.

    The product of two is the nearest matrix of their rank.
    """
    shapes = part_shapes(difference.shape, rank)
    if len(shapes) == 1:
        return {UP: difference}
    left, values, right = torch.linalg.svd(difference.flatten(1), full_matrices=False)
    roots = values[:rank].sqrt()
    return {UP: left[:, :rank] * roots, DOWN: roots[:, None] * right[:rank]}


def empty_unet(config: Mapping[str, Any]) -> UNet2DConditionModel:
    """Return a U-Net whose weights are not set.

    Memory for them is not touched. The device "meta" would do as well, but imports sympy, which takes half a second.
    """
    with no_init_weights():
        return UNet2DConditionModel.from_config(dict(config))


def padded_weights(unet: UNet2DConditionModel, channels: int) -> dict[str, torch.Tensor]:
    """Weights of a U-Net for more input channels, which have no influence."""
    weights = dict(unet.state_dict())
    first = weights["conv_in.weight"]
    more = first.new_zeros(first.shape[0], channels - first.shape[1], *first.shape[2:])
    return weights | {"conv_in.weight": torch.cat([first, more], dim=1)}


def extend_unet(unet: UNet2DConditionModel, channels: int) -> UNet2DConditionModel:
    """Return a U-Net with more input channels, whose weights are 0."""
    extended = UNet2DConditionModel.from_config({**unet.config, "in_channels": unet.config.in_channels + channels})
    extended.load_state_dict(padded_weights(unet, extended.config.in_channels))
    return extended
