import sys

import pytest
import torch
from torch import nn

from stylediff.mel import MelConfig
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.evaluation.costs import (
    count_operations,
    count_parameters,
    count_pass_operations,
    measure_costs,
    peak_memory_bytes,
)


def test_a_convolution_costs_two_operations_per_weight_and_output() -> None:
    layer = nn.Conv1d(3, 5, 7, padding=3)
    assert count_operations(lambda: layer(torch.zeros(2, 3, 11))) == 2 * (3 * 5 * 7) * 2 * 11


def test_parameters_are_counted_for_each_network() -> None:
    pipeline = tiny_pipeline()
    counts = count_parameters(pipeline)
    networks = {name for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    assert set(counts) == networks >= {"autoencoder", "unet", "style_encoder"}
    assert counts["unet"] == pipeline.unet.num_parameters()


@pytest.mark.slow
def test_twice_the_sound_is_twice_the_work() -> None:
    pipeline = tiny_pipeline()
    second = 4 * 8 * 8 * MelConfig().hop_length / MelConfig().sample_rate
    short, long = (count_pass_operations(pipeline, seconds) for seconds in (second, 2 * second))
    assert all(count > 0 for count in short.values())
    assert long["vocoder"] == 2 * short["vocoder"]
    assert long["denoising step"] > short["denoising step"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of a process")
def test_memory_is_that_of_a_separate_process(tmp_path) -> None:
    tiny_pipeline().save_pretrained(tmp_path)
    ballast = torch.ones(512 * 2**20 // 4)
    costs = measure_costs(tmp_path)
    memory = costs["peak_memory_bytes"]
    assert peak_memory_bytes() > ballast.numel() * 4
    assert 50 * 2**20 < memory["loaded"] <= memory["converting"] < memory["loaded"] + 2**30
    assert costs["parameters"]["unet"] > 0
    assert 0.01 < costs["file_seconds"] < 60
