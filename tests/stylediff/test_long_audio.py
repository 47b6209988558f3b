"""A minute of music with the shipped weights: exact length, inaudible seams."""

import itertools

import numpy as np
import pytest
import torch

from stylediff import StyleTransferPipeline
from stylediff.audio import read_audio, to_mono
from stylediff.checkpoint import load_pipeline
from stylediff.mel import waveform_to_mel
from stylediff.pipeline import OVERLAP_FRAMES, WINDOW_FRAMES
from stylediff.vocoder import LOOSE_FRAMES, SHARED_FRAMES
from stylediff.vocoder import WINDOW_FRAMES as VOCODER_FRAMES
from tests.helpers.files import ROOT

RATE = 22050
VOCODER_STEP = VOCODER_FRAMES - LOOSE_FRAMES - SHARED_FRAMES
SAMPLES = 60 * RATE + 123


@pytest.fixture(scope="module")
def pipeline() -> StyleTransferPipeline:
    pipeline = load_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def minute() -> torch.Tensor:
    """The example clips in a row, repeated."""
    clips = [read_audio(path) for path in sorted((ROOT / "examples").glob("*.flac"))]
    once = torch.cat([to_mono(torch.from_numpy(samples), rate, RATE) for samples, rate in clips])
    return once.repeat(-(-SAMPLES // len(once)))[:SAMPLES]


@pytest.fixture(scope="module")
def converted(pipeline: StyleTransferPipeline, minute: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return pipeline(minute, RATE, target="cello", num_inference_steps=2, generator=generator).audio


def flux_where(flux: torch.Tensor, places: range, offset: int) -> float:
    """Mean spectral flux around positions, all shifted by an offset."""
    frames = [place + offset + near for place, near in itertools.product(places, range(-8, 9))]
    return float(flux[[frame for frame in frames if 0 <= frame < len(flux)]].mean())


@pytest.mark.slow
def test_a_minute_keeps_its_length_to_the_sample(converted: torch.Tensor) -> None:
    assert converted.shape == (SAMPLES,)
    assert torch.isfinite(converted).all()
    assert float(converted.abs().max()) > 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "first", "step"),
    [
        ("windows of the denoiser", WINDOW_FRAMES - OVERLAP_FRAMES // 2, WINDOW_FRAMES - OVERLAP_FRAMES),
        (
            "windows of the vocoder",
            VOCODER_FRAMES - LOOSE_FRAMES - SHARED_FRAMES // 2,
            VOCODER_FRAMES - LOOSE_FRAMES - SHARED_FRAMES,
        ),
    ],
)
def test_spectral_flux_at_seams_is_the_same_as_elsewhere(
    pipeline: StyleTransferPipeline, converted: torch.Tensor, window: str, first: int, step: int
) -> None:
    mel = waveform_to_mel(converted[None], pipeline.mel)[0, 0]
    flux = mel.diff(dim=-1).abs().mean(dim=0)
    seams = range(first, mel.shape[-1] - step, step)
    assert len(seams) >= 3
    elsewhere = np.array(
        [flux_where(flux, seams, offset) for offset in range(-step // 2, step // 2, 17) if abs(offset) > 34]
    )
    at_seams = flux_where(flux, seams, 0)
    assert abs(at_seams - elsewhere.mean()) < 2.5 * elsewhere.std(), f"seams {window}: {at_seams}, {elsewhere}"
