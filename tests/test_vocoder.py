"""Physics of the vocoder: lengths, silence, reconstruction, and what saving keeps."""

from pathlib import Path

import pytest
import torch

from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.vocoder import Vocoder, bin_weights, inverse_stft

MEL = MelConfig()


def tiny_vocoder(synthesis_n_fft: int | None = 1024) -> Vocoder:
    torch.manual_seed(0)
    return Vocoder(mel=MEL.to_dict(), blocks=2, width=16, synthesis_n_fft=synthesis_n_fft).eval()


def sine(frequency_hz: float, frames: int) -> torch.Tensor:
    samples = torch.arange(frames * MEL.hop_length)
    return 0.3 * torch.sin(2 * torch.pi * frequency_hz / MEL.sample_rate * samples)[None]


def centred_stft(waveform: torch.Tensor, n_fft: int) -> torch.Tensor:
    pad = (n_fft - MEL.hop_length) // 2
    padded = torch.nn.functional.pad(waveform, (pad, pad))
    window = torch.hann_window(n_fft)
    return torch.stft(padded, n_fft, MEL.hop_length, window=window, center=False, return_complex=True)


@pytest.mark.parametrize("frames", [1, 2, 37, 64])
@pytest.mark.parametrize("synthesis_n_fft", [512, 1024, None])
@torch.no_grad()
def test_length_is_frames_times_hop(frames: int, synthesis_n_fft: int | None) -> None:
    waveform = tiny_vocoder(synthesis_n_fft)(torch.zeros(2, 1, MEL.n_mels, frames))
    assert waveform.shape == (2, frames * MEL.hop_length)
    assert torch.isfinite(waveform).all()


@pytest.mark.parametrize("n_fft", [512, 1024, 2048])
def test_inverse_stft_gives_back_the_waveform(n_fft: int) -> None:
    noise = torch.randn(1, 40 * MEL.hop_length, generator=torch.Generator().manual_seed(0))
    waveform = sine(440.0, 40) + 0.1 * noise
    spectrum = centred_stft(waveform, n_fft)
    assert spectrum.shape[-1] == 40
    restored = inverse_stft(torch.polar(spectrum.abs(), spectrum.angle()), n_fft, MEL.hop_length)
    torch.testing.assert_close(restored, waveform, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_silence_stays_silent() -> None:
    vocoder = tiny_vocoder()
    for parameter in vocoder.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    silence = torch.full((1, 1, MEL.n_mels, 20), MEL.log_floor)
    assert vocoder(silence).abs().max() < 1e-4


@torch.no_grad()
def test_a_pause_is_silent_between_notes() -> None:
    mel = waveform_to_mel(sine(440.0, 60), MEL)
    mel[..., 20:40] = MEL.log_floor
    waveform = tiny_vocoder()(mel)[0]
    hop = MEL.hop_length
    assert waveform[22 * hop : 38 * hop].abs().max() < 1e-4
    assert waveform[5 * hop : 15 * hop].abs().max() > 1e-2


@torch.no_grad()
def test_an_untrained_vocoder_already_sounds_at_the_right_frequency() -> None:
    waveform = tiny_vocoder()(waveform_to_mel(sine(2000.0, 40), MEL))
    loudest_bin = int(centred_stft(waveform, 1024).abs().mean(dim=(0, 2)).argmax())
    assert abs(loudest_bin * MEL.sample_rate / 1024 - 2000.0) < 2 * MEL.sample_rate / 1024


def test_bin_weights_keep_a_constant() -> None:
    assert torch.allclose(bin_weights(MEL, 1024).sum(1), torch.ones(513), atol=1e-5)


@torch.no_grad()
def test_saving_changes_nothing(tmp_path: Path) -> None:
    vocoder = tiny_vocoder()
    vocoder.save_pretrained(tmp_path / "first")
    loaded = Vocoder.from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "second")
    name = "diffusion_pytorch_model.safetensors"
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    mel = waveform_to_mel(sine(440.0, 10), MEL)
    assert torch.equal(vocoder(mel), loaded(mel))
    assert loaded.mel == MEL


@torch.no_grad()
def test_half_precision_weights_sound_the_same() -> None:
    mel = waveform_to_mel(sine(440.0, 20), MEL)
    exact = tiny_vocoder()(mel)
    half = tiny_vocoder().half()(mel)
    assert half.dtype == torch.float32
    assert (half - exact).abs().max() < 0.02 * exact.abs().max()


@torch.no_grad()
def test_autocast_leaves_the_inverse_transform_exact() -> None:
    mel = waveform_to_mel(sine(440.0, 20), MEL)
    with torch.autocast("cpu", torch.bfloat16):
        waveform = tiny_vocoder()(mel)
    assert waveform.dtype == torch.float32
    assert (waveform - tiny_vocoder()(mel)).abs().max() < 0.1


@pytest.mark.parametrize("synthesis_n_fft", [256, 1000])
def test_impossible_windows_are_refused(synthesis_n_fft: int) -> None:
    with pytest.raises(ValueError, match=f"synthesis_n_fft {synthesis_n_fft}"):
        tiny_vocoder(synthesis_n_fft)
