"""Crops of clips: position in time, and pitch."""

from pathlib import Path

import pytest
import soundfile
import torch

from stylediff.mel import MelConfig
from tests.helpers.tiny_dataset import cached_clip
from train.data.mel_cache import CachedClip, CacheError
from train.data.waveforms import read_waveform

MEL = MelConfig()
FRAMES, HZ = 64, 880.0


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, CachedClip, torch.Tensor]:
    """A tone of 64 frames as a file, with its cache row and samples."""
    tone = 0.5 * torch.sin(2 * torch.pi * HZ * torch.arange(FRAMES * MEL.hop_length) / MEL.sample_rate)
    soundfile.write(tmp_path / "tone.wav", tone.numpy(), MEL.sample_rate, subtype="FLOAT")
    return tmp_path, cached_clip(0, "piano/own", FRAMES, file="tone.wav", paired=False), tone


def test_frames_are_the_right_samples(clip: tuple[Path, CachedClip, torch.Tensor]) -> None:
    folder, row, tone = clip
    hop = MEL.hop_length
    assert torch.equal(read_waveform(folder, row, MEL, 3, 5), tone[3 * hop : 8 * hop])


@pytest.mark.parametrize("cents", [0.0, 40.0])
def test_crops_are_silent_outside_the_clip(clip: tuple[Path, CachedClip, torch.Tensor], cents: float) -> None:
    folder, row, _ = clip
    hop = MEL.hop_length
    early = read_waveform(folder, row, MEL, -4, 10, cents)
    assert early.shape == (10 * hop,)
    assert early[: 3 * hop].abs().max() < 1e-3
    assert early[5 * hop :].abs().max() > 0.4
    late = read_waveform(folder, row, MEL, FRAMES - 4, 10, cents)
    assert late[: 3 * hop].abs().max() > 0.4
    assert late[5 * hop :].abs().max() < 1e-3
    assert read_waveform(folder, row, MEL, FRAMES + 20, 2, cents).abs().max() == 0
    assert read_waveform(folder, row, MEL, -20, 2, cents).abs().max() == 0


@pytest.mark.parametrize("cents", [-50.0, 0.0, 50.0])
def test_cents_raise_the_pitch(clip: tuple[Path, CachedClip, torch.Tensor], cents: float) -> None:
    folder, row, _ = clip
    crop = read_waveform(folder, row, MEL, 4, 48, cents)
    spectrum = torch.fft.rfft(crop * torch.hann_window(len(crop)), n=16 * len(crop)).abs()
    heard_hz = float(spectrum.argmax()) * MEL.sample_rate / (16 * len(crop))
    assert heard_hz == pytest.approx(HZ * 2 ** (cents / 1200), rel=3e-4)


def test_a_missing_clip_names_the_folder(clip: tuple[Path, CachedClip, torch.Tensor]) -> None:
    folder, row, _ = clip
    with pytest.raises(CacheError, match=r"elsewhere is not the data set of the mel cache: .*tone\.wav"):
        read_waveform(folder / "elsewhere", row, MEL, 0, 5)
