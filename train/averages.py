"""Averaged weights in a model's place, for as long as something is measured or saved."""

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.training_utils import EMAModel
from torch import nn


@contextmanager
def averaged(model: nn.Module, average: EMAModel) -> Iterator[None]:
    """The model has the average's weights within, and its own again afterwards."""
    parameters = list(model.parameters())
    average.store(parameters)
    average.copy_to(parameters)
    try:
        yield
    finally:
        average.restore(parameters)
