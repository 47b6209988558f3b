"""Gaps filled by a tiny model: what is known stays, and the parts of the method do what they say."""

import numpy as np
import pytest
import torch

from stylediff.gap_filling import (
    PREDICTED_S,
    Sampling,
    choose_unets,
    choose_window,
    fill_gap,
    find_similar,
    fit_edges,
    gap_frames,
    generate_latents,
    guide_gap,
    interpolate_mel,
)
from stylediff.inpainter import extend_unet
from stylediff.mel import MelConfig, transform
from stylediff.phase_reconstruction import make_consistent
from tests.helpers.tiny_pipeline import tiny_pipeline

MEL = MelConfig()
RATE = MEL.sample_rate


def tone(seconds=3.0):
    return 0.2 * torch.sin(2 * torch.pi * 440 * torch.arange(round(seconds * RATE)) / RATE)


def test_frames_of_a_gap_have_their_centres_in_it():
    assert gap_frames((1000, 1300), MEL) == slice(4, 5)
    frames = gap_frames((10 * 256, 20 * 256), MEL)
    assert (frames.start, frames.stop) == (10, 20)


@pytest.mark.parametrize("place", [slice(0, 4), slice(500, 510), slice(995, 1000)])
def test_the_window_holds_the_gap(place):
    window = choose_window(1000, place)
    assert window.stop - window.start == 448
    assert 0 <= window.start <= place.start
    assert place.stop <= window.stop <= 1000


def test_an_interpolated_gap_goes_evenly_from_side_to_side():
    mel = torch.zeros(1, 1, 4, 20)
    mel[..., 12:] = 8.0
    filled = interpolate_mel(mel, slice(5, 12))
    assert torch.allclose(filled[0, 0, 0, 5:12], torch.arange(1.0, 8.0))
    assert torch.equal(filled[..., :5], mel[..., :5])
    assert torch.allclose(interpolate_mel(mel, slice(0, 5))[..., :5], mel[..., 5:6])


def test_the_moment_that_repeats_is_found():
    piece = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    mel = torch.cat([piece, torch.randn(8, 40), piece], dim=1)
    damaged = mel.clone()
    damaged[:, 50:60] = 0
    shift, distance = find_similar(damaged, slice(50, 60))
    assert shift == 140
    assert distance == pytest.approx(0, abs=1e-6)
    assert find_similar(damaged, slice(3, 10)) == (0, float("inf"))


@pytest.mark.parametrize(
    ("frames", "similar_s", "is_copied"),
    [(60, float("inf"), True), (60, 0.8, True), (60, 0.6, False), (60, 0.0, False), (20, float("inf"), False)],
)
def test_a_long_gap_is_guided_by_a_similar_moment_up_to_a_length(frames, similar_s, is_copied):
    piece = torch.randn(8, 200, generator=torch.Generator().manual_seed(0))
    mel, gap = torch.cat([piece, piece], dim=1)[None], slice(60, 60 + frames)
    damaged = mel.clone()
    damaged[..., gap] = 0
    guide = guide_gap(damaged, gap, MEL, similar_s)
    assert torch.allclose(guide, mel if is_copied else interpolate_mel(damaged, gap), atol=1e-4)


def test_a_generated_gap_meets_both_sides():
    known, mel, gap = torch.zeros(1, 1, 4, 40), torch.full((1, 1, 4, 40), 3.0), slice(15, 25)
    assert torch.allclose(fit_edges(mel, known, gap), known, atol=1e-5)


@torch.no_grad()
def test_known_latents_are_imposed():
    pipeline = tiny_pipeline()
    known = pipeline.encode_mel(torch.randn(1, 1, 256, 256) - 3)
    tokens, generator = pipeline.encode_target("violin"), torch.Generator().manual_seed(0)
    made = generate_latents(pipeline, known, slice(100, 110), tokens, Sampling(2, 0.3), generator)
    stride = pipeline.autoencoder.frame_stride
    is_free = torch.zeros(made.shape[-1], dtype=bool)
    is_free[100 // stride : 109 // stride + 1] = True
    assert torch.equal(made[..., ~is_free], known[..., ~is_free])
    assert float((made - known)[..., is_free].abs().mean()) > 0.01


def test_two_networks_fill_gaps_of_the_middle_length():
    masked = Sampling(1, 0.3, similar_s=1.2, unet=extend_unet(tiny_pipeline().unet, 4))
    assert [len(choose_unets(masked, seconds)) for seconds in (0.1, 0.4, 0.5, 1.2, 1.3)] == [1, 1, 2, 2, 1]
    assert choose_unets(masked, 0.1) == choose_unets(masked, 2.0) == [masked.unet]
    assert choose_unets(Sampling(1, 0.3), 0.5) == [None]


def test_phases_continue_a_tone_that_was_cut():
    whole = tone(1.0)
    gap, frames = (9000, 11000), slice(34, 44)
    magnitude = transform(whole[None], MEL)[..., frames].abs()
    guess = whole.clone()
    guess[slice(*gap)] = 0.05 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    made = make_consistent(guess, gap, frames, magnitude, MEL)
    assert float((made - whole[slice(*gap)]).square().mean()) < 0.3 * float(whole.square().mean())


@pytest.mark.parametrize(
    ("rate", "channels", "seconds"), [(22050, 1, 0.2), (44100, 2, 0.1), (8000, 2, 0.3), (48000, 1, 0.02)]
)
def test_everything_outside_a_gap_stays_as_it_is(rate, channels, seconds):
    pipeline = tiny_pipeline()
    waveform = torch.rand(channels, 3 * rate, generator=torch.Generator().manual_seed(0)) - 0.5
    gap = (rate, rate + round(seconds * rate))
    tokens, generator = pipeline.encode_target("violin"), torch.Generator().manual_seed(0)
    filled = fill_gap(pipeline, waveform, rate, gap, tokens, Sampling(1, 0.3), generator)
    changed = np.flatnonzero((filled != waveform).any(0).numpy())
    assert gap[0] <= changed.min()
    assert changed.max() < gap[1]
    assert torch.isfinite(filled).all()


def test_short_gaps_are_left_to_linear_prediction():
    waveform, rate = tone()[None], RATE
    gap = (20000, 20000 + round(PREDICTED_S * rate))
    made = [
        fill_gap(pipeline, waveform, rate, gap, None, Sampling(1, 0.3), None) for pipeline in (None, tiny_pipeline())
    ]
    assert torch.equal(*made)
    assert float((made[0] - waveform).abs().max()) < 0.02
