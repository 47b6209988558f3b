"""The U-Net that fills gaps, stored as a change of the pipeline's."""

import pytest
import torch

from stylediff import Inpainter, StyleTransferPipeline
from stylediff.damage import Damage
from stylediff.inpainter import extend_unet, part_shapes, split_change
from stylediff.repair import repair
from tests.helpers.tiny_pipeline import tiny_pipeline

RATE = 22050
TONE = 0.3 * torch.sin(0.1 * torch.arange(2 * RATE))


@pytest.fixture(scope="module")
def changed():
    """A pipeline, and a U-Net that was made from its own."""
    pipeline = tiny_pipeline()
    unet = extend_unet(pipeline.unet, pipeline.autoencoder.frame_stride)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return pipeline, unet.eval()


def test_more_inputs_change_nothing_at_first():
    unet = tiny_pipeline().unet
    extended = extend_unet(unet, 16)
    pair, timestep = torch.randn(1, unet.config.in_channels, 16, 8), torch.tensor(500)
    tokens = torch.randn(1, 4, unet.config.cross_attention_dim)
    with torch.no_grad():
        before = unet(pair, timestep, tokens).sample
        after = extended(torch.cat([pair, torch.randn(1, 16, 16, 8)], 1), timestep, tokens).sample
    assert torch.allclose(before, after, atol=1e-5)


def test_a_change_of_full_rank_gives_the_other_unet(changed):
    pipeline, unet = changed
    built = Inpainter.between(pipeline.unet, unet, rank=1000).build(pipeline.unet)
    for (name, one), other in zip(built.named_parameters(), unet.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6), name


def test_parts_are_the_nearest_of_their_rank():
    thin = torch.randn(40, 2) @ torch.randn(2, 27)
    parts = split_change(thin.reshape(40, 3, 3, 3), 2)
    assert parts["up"].shape == (40, 2)
    assert parts["down"].shape == (2, 27)
    assert torch.allclose(parts["up"] @ parts["down"], thin, atol=1e-4)
    assert part_shapes(torch.Size([40]), 2) == {"up": (40,)}
    assert part_shapes(torch.Size([4, 3]), 2) == {"up": (4, 3)}, "two thin matrices would be larger"


def test_a_pipeline_with_it_is_saved_loaded_and_repairs_with_it(changed, tmp_path):
    pipeline, unet = changed
    parts = dict(pipeline.components)
    full = StyleTransferPipeline(**parts | {"inpainter": Inpainter.between(pipeline.unet, unet, rank=4)})
    full.save_pretrained(tmp_path)
    loaded = StyleTransferPipeline.from_pretrained(tmp_path, dtype=torch.float32)
    weights = full.inpainter.build(full.unet).state_dict()
    for name, value in loaded.inpainter.build(loaded.unet).state_dict().items():
        assert torch.equal(value, weights[name]), name
    gaps = [Damage(0.8, 1.1, "gap")]
    made = repair(full, TONE, RATE, gaps).audio
    assert not torch.equal(repair(pipeline, TONE, RATE, gaps).audio, made)
    assert torch.equal(made[: int(0.8 * RATE)], TONE[: int(0.8 * RATE)])


def test_it_is_built_once_and_anew_for_another_unet(changed):
    pipeline, unet = changed
    inpainter = Inpainter.between(pipeline.unet, unet, rank=4)
    built = inpainter.build(pipeline.unet)
    assert inpainter.build(pipeline.unet) is built
    assert inpainter.build(tiny_pipeline().unet) is not built


def test_another_denoiser_is_refused(changed):
    pipeline, unet = changed
    inpainter = Inpainter.between(pipeline.unet, unet, rank=4)
    wider = extend_unet(pipeline.unet, 0).from_config({**pipeline.unet.config, "cross_attention_dim": 32})
    with pytest.raises(ValueError, match="does not fit the denoiser"):
        inpainter.build(wider)
