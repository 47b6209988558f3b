"""Shipped autoencoder and vocoder on the shipped clips: silence, stripes, held notes, level."""

import pytest
import torch

from stylediff import MelAutoencoder, StyleTransferPipeline, Vocoder
from stylediff.audio import fit_length, loudness_gain, read_audio, to_mono
from stylediff.checkpoint import load_pipeline
from tests.helpers.files import ROOT
from train.evaluation.metrics.sound import hop_stripes
from train.experiments.codec_stages import through_codec

CLIPS = sorted((ROOT / "examples").glob("*.flac"))
SECONDS = 5


@pytest.fixture(scope="module")
def pipeline() -> StyleTransferPipeline:
    return load_pipeline()


@pytest.fixture(scope="module")
def originals(pipeline: StyleTransferPipeline) -> list[torch.Tensor]:
    """Beginnings of the example clips at the loudness of the data set."""
    rate, waveforms = pipeline.mel.sample_rate, []
    for path in CLIPS:
        samples, sample_rate = read_audio(path)
        waveform = fit_length(to_mono(torch.from_numpy(samples), sample_rate, rate), SECONDS * rate)
        waveforms.append(waveform * loudness_gain(waveform))
    return waveforms


@pytest.mark.parametrize("part", [MelAutoencoder, Vocoder])
def test_each_part_loads_alone_and_knows_its_mels(part: type, pipeline: StyleTransferPipeline) -> None:
    name = "autoencoder" if part is MelAutoencoder else "vocoder"
    assert part.from_pretrained(ROOT / "stylediff" / "pretrained" / name).mel == pipeline.mel


@pytest.mark.parametrize("with_autoencoder", [False, True])
@torch.no_grad()
def test_silence_stays_silent(pipeline: StyleTransferPipeline, with_autoencoder: bool) -> None:
    silence = torch.zeros(2 * pipeline.mel.sample_rate)
    assert float(through_codec(silence, pipeline, with_autoencoder, 0).abs().max()) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("with_autoencoder", [False, True])
def test_frames_leave_no_stripes_and_levels_stay(
    pipeline: StyleTransferPipeline, originals: list[torch.Tensor], with_autoencoder: bool
) -> None:
    stripes, levels = [], []
    for original in originals:
        made = through_codec(original, pipeline, with_autoencoder, 0)
        stripes.append(hop_stripes(made, pipeline.mel) - hop_stripes(original, pipeline.mel))
        levels.append(20 * float((made.square().mean() / original.square().mean()).sqrt().log10()))
    assert sum(stripes) / len(stripes) < 0.02, "patterns repeat with every hop"
    assert max(abs(level) for level in levels) < 1.0
