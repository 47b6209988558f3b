import numpy as np
import pytest
import torch

from stylediff.page.settings import Choices
from stylediff.page.uploads import Clip
from stylediff.page.zero_gpu import PASS_SECONDS, START_SECONDS, on_gpu, seconds_needed, spaces
from tests.helpers.tiny_pipeline import tiny_pipeline


def clip(seconds: float) -> Clip:
    return Clip(np.zeros((1, round(22050 * seconds)), np.float32), 22050, 0.0, seconds, "clip")


def test_the_requested_time_grows_with_the_work_and_stays_short():
    usual = seconds_needed(clip(5), Choices(steps=4), previews=4)
    assert 8 < usual <= 15
    assert seconds_needed(clip(60), Choices(steps=4)) > seconds_needed(clip(5), Choices(steps=4))
    assert seconds_needed(clip(5), Choices(steps=50)) > usual
    assert seconds_needed(clip(5), Choices(steps=4, guidance=2.0)) > seconds_needed(clip(5), Choices(steps=4))
    assert seconds_needed(clip(60), Choices(steps=50, guidance=4.0)) <= 60 * 3


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 5.2, 5.25, 10, 20])
def test_there_is_time_for_every_window_of_every_step_and_preview(seconds):
    pipeline, taken, calls = tiny_pipeline(), clip(seconds), []
    for part in (pipeline.unet, pipeline.autoencoder.vae.encoder, pipeline.autoencoder.vae.decoder):
        part.register_forward_hook(lambda *_: calls.append(1))

    def preview(own, step, timestep, tensors):
        own.decode_latents(tensors["latents"], 1)
        return tensors

    pipeline(
        torch.from_numpy(taken.samples),
        taken.sample_rate,
        num_inference_steps=3,
        callback_on_step_end=preview,
    )
    assert seconds_needed(taken, Choices(steps=3), previews=3) >= START_SECONDS + len(calls) * PASS_SECONDS


def test_without_borrowed_gpus_a_function_is_unchanged():
    def function() -> None: ...

    assert spaces is not None or on_gpu(function) is function
