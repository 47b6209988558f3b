"""Averaged weights replace a model's weights temporarily."""

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from train.trainers.loop import ema_weights


def test_a_model_has_averaged_weights_inside_the_context_only() -> None:
    model = nn.Linear(2, 2)
    average = EMAModel(model.parameters(), decay=0.5)
    begun = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    with ema_weights(model, average):
        assert torch.equal(model.weight, begun)
    assert torch.equal(model.weight, begun + 1)
    with pytest.raises(RuntimeError, match="halfway"), ema_weights(model, average):
        raise RuntimeError("halfway")
    assert torch.equal(model.weight, begun + 1)
