"""Transfers in parts: the same result, and sound before the end."""

import pytest
import torch

from stylediff.pipeline import OVERLAP_FRAMES, WINDOW_FRAMES
from stylediff.streaming import FIRST_FRAMES, Part, PartSampler
from stylediff.windows import window_starts
from tests.helpers.tiny_pipeline import TONE_RATE, tiny_pipeline

SECONDS = 25


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    """A tone that changes its pitch every second."""
    time = torch.arange(SECONDS * TONE_RATE) / TONE_RATE
    hz = 220 * 2 ** ((time.floor() % 12) / 12)
    return 0.2 * torch.sin(6.283185 * hz * time)


def transfer(pipeline, clip, **options):
    return pipeline(clip, TONE_RATE, target="violin", generator=torch.Generator().manual_seed(3), **options)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_inference_steps": 4},
        {"num_inference_steps": 3, "strength": 0.6},
        {"num_inference_steps": 1},
        {"num_inference_steps": 2, "guidance_scale": 2.0},
        {"strength": 0.0},
    ],
    ids=str,
)
def test_the_result_is_the_same_to_the_bit(pipeline, clip, settings):
    seen: list[Part] = []
    whole = transfer(pipeline, clip, output_type="latent", **settings)
    parts = transfer(pipeline, clip, output_type="latent", sampler=PartSampler(seen.append), **settings)
    assert parts.latents.equal(whole.latents)
    assert seen[-1].done == seen[-1].total == max(part.done for part in seen)


@pytest.mark.parametrize("seconds", [0.5, 3, 5.3, 25])
def test_the_parts_together_are_as_long_as_the_clip(pipeline, clip, seconds):
    seen: list[Part] = []
    transfer(pipeline, clip[: int(seconds * TONE_RATE)], num_inference_steps=2, sampler=PartSampler(seen.append))
    sound = torch.cat([part.audio for part in seen if part.audio is not None])
    frames = pipeline.mel.frames(int(seconds * TONE_RATE))
    assert len(sound) == frames * pipeline.mel.hop_length
    assert torch.isfinite(sound).all()


def test_the_first_sound_comes_after_few_windows(pipeline, clip):
    seen: list[Part] = []
    double, most = clip.repeat(2), 4
    transfer(pipeline, double, num_inference_steps=most, output_type="latent", sampler=PartSampler(seen.append))
    first = next(part for part in seen if part.audio is not None)
    windows = len(window_starts(pipeline.mel.frames(len(double)), WINDOW_FRAMES, OVERLAP_FRAMES))
    assert first.total == (1 + most) * windows
    assert first.done <= 20 < first.total
    assert len(first.audio) >= FIRST_FRAMES * pipeline.mel.hop_length
    counts = [part.done for part in seen]
    assert counts == sorted(counts)


def test_the_sound_resembles_the_result_without_dynamics(pipeline, clip):
    seen: list[Part] = []
    plain = {"num_inference_steps": 2, "dynamics": 0.0, "room": "dry", "full_band": False, "enhance": False}
    whole = transfer(pipeline, clip, sampler=PartSampler(seen.append), **plain).audio
    sound = torch.cat([part.audio for part in seen if part.audio is not None])[: len(whole)]
    power, heard = (wave.unfold(0, 2205, 2205).square().mean(1).sqrt() for wave in (whole, sound))
    assert whole.equal(transfer(pipeline, clip, **plain).audio)
    ratio = (heard / power).log()  # the result is quieter as a whole where it would clip
    assert len(ratio) > 200
    assert float((ratio - ratio.median()).abs().median()) < 0.1


def test_no_more_sound_is_made_than_is_wanted(pipeline, clip):
    heard = []

    def listen(part: Part) -> bool:
        heard.extend([part] if part.audio is not None else [])
        return len(heard) < 2

    transfer(pipeline, clip, num_inference_steps=2, output_type="latent", sampler=PartSampler(listen))
    assert len(heard) == 2


def test_an_error_of_the_callback_ends_the_transfer(pipeline, clip):
    class Stop(Exception):
        pass

    def stop(part: Part) -> None:
        if part.done == 7:
            raise Stop

    with pytest.raises(Stop):
        transfer(pipeline, clip, num_inference_steps=2, output_type="latent", sampler=PartSampler(stop))
