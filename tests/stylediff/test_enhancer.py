import pytest
import torch

from stylediff import MelEnhancer, StyleTransferPipeline
from stylediff.mel import MelConfig
from tests.helpers.tiny_pipeline import tiny_pipeline

FLOOR = MelConfig().log_floor


@pytest.fixture
def enhancer():
    torch.manual_seed(0)
    return MelEnhancer(widths=(16, 16)).eval()


def give_it_an_opinion(enhancer: MelEnhancer) -> MelEnhancer:
    torch.nn.init.normal_(enhancer.unet.conv_out.weight, std=0.1)
    return enhancer


def mels(frames: int, seed: int) -> torch.Tensor:
    return FLOOR + 6 * torch.rand(1, 1, 256, frames, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("frames", [64, 37, 1])
def test_it_starts_as_the_identity_for_any_number_of_frames(enhancer, frames):
    generated = mels(frames, 0)
    with torch.no_grad():
        assert torch.equal(enhancer(generated, mels(frames, 1)), generated)


def test_its_correction_depends_on_the_source_and_stays_above_the_floor(enhancer):
    give_it_an_opinion(enhancer)
    generated = mels(48, 0)
    with torch.no_grad():
        one, other = enhancer(generated, mels(48, 1)), enhancer(generated, mels(48, 2))
    assert one.shape == generated.shape
    assert not torch.allclose(one, other, atol=1e-3)
    assert float(one.min()) >= FLOOR


@torch.no_grad()
@pytest.mark.slow
def test_the_pipeline_enhances_if_asked_and_keeps_its_enhancer(enhancer, tmp_path):
    plain = tiny_pipeline()
    pipeline = StyleTransferPipeline(**(plain.components | {"enhancer": give_it_an_opinion(enhancer)}))
    pipeline.set_progress_bar_config(disable=True)
    waveform = 0.3 * torch.sin(torch.arange(8 * 22050) / 10)

    def run(pipe: StyleTransferPipeline, enhance: bool) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        # Dynamics would raise a cell that rounding puts just above the floor, but not one at the floor.
        settings = {"num_inference_steps": 1, "enhance": enhance, "dynamics": 0.0, "output_type": "mel"}
        return pipe(waveform, 22050, generator=generator, **settings).mel

    assert torch.equal(run(pipeline, enhance=False), run(plain, enhance=True))
    enhanced = run(pipeline, enhance=True)
    assert not torch.allclose(enhanced, run(pipeline, enhance=False), atol=1e-3)

    pipeline.save_pretrained(tmp_path / "with")
    loaded = StyleTransferPipeline.from_pretrained(tmp_path / "with")
    assert all(
        torch.equal(loaded.enhancer.state_dict()[name], weight) for name, weight in enhancer.state_dict().items()
    )
    # Loaded weights are contiguous, those of the tiny U-Net are not, and other layouts use other kernels.
    loaded.unet.to(memory_format=torch.channels_last)
    torch.testing.assert_close(run(loaded, enhance=True), enhanced, rtol=1e-3, atol=1e-3)
    plain.save_pretrained(tmp_path / "without")
    assert StyleTransferPipeline.from_pretrained(tmp_path / "without").enhancer is None


def test_an_enhancer_of_other_mels_is_refused():
    other = MelEnhancer(mel=MelConfig(hop_length=128).to_dict(), widths=(16,))
    with pytest.raises(ValueError, match="the enhancer"):
        StyleTransferPipeline(**(tiny_pipeline().components | {"enhancer": other}))
