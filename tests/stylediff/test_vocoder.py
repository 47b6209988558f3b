"""Physics of the vocoder: lengths, silence, agreement with the mel, saving."""

import math
from pathlib import Path

import pytest
import torch

from stylediff.mel import MelConfig, mel_filters, transform, waveform_to_mel
from stylediff.vocoder import Vocoder, bin_shares, bin_weights, fit_magnitudes

MEL = MelConfig()


def tiny_vocoder(hidden_share: float = 0.0) -> Vocoder:
    torch.manual_seed(0)
    return Vocoder(mel=MEL.to_dict(), blocks=2, width=16, refinements=2, hidden_share=hidden_share).eval()


def sine(frequency_hz: float, frames: int) -> torch.Tensor:
    samples = torch.arange(frames * MEL.hop_length)
    return 0.3 * torch.sin(2 * torch.pi * frequency_hz / MEL.sample_rate * samples)[None]


@pytest.mark.parametrize("frames", [1, 2, 37, 64])
@torch.no_grad()
def test_length_is_frames_times_hop(frames: int) -> None:
    waveform = tiny_vocoder()(torch.zeros(2, 1, MEL.n_mels, frames))
    assert waveform.shape == (2, frames * MEL.hop_length)
    assert torch.isfinite(waveform).all()


@pytest.mark.parametrize("frames", [63, 64, 65, 97, 300])
@torch.no_grad()
def test_windows_of_a_long_mel_are_inaudible(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    time = torch.arange(frames * MEL.hop_length) / MEL.sample_rate
    tone = sum(torch.sin(2 * torch.pi * hz * time + 3 * torch.sin(time)) for hz in (440.0, 1320.0, 2750.0))
    mel, vocoder = waveform_to_mel(0.1 * tone[None], MEL), tiny_vocoder()
    whole = vocoder(mel)
    monkeypatch.setattr("stylediff.vocoder.WINDOW_FRAMES", 64)
    windowed = vocoder(mel)
    assert windowed.shape == whole.shape == (1, frames * MEL.hop_length)
    assert torch.equal(windowed, whole) == (frames <= 64)
    errors = [(waveform_to_mel(made, MEL) - mel).abs().mean(dim=(0, 1, 2)) for made in (windowed, whole)]
    assert float(errors[0].mean()) < 1.05 * float(errors[1].mean())
    assert float((errors[0] - errors[1])[8:-8].max()) < 0.5 * float(errors[1].mean())


@torch.no_grad()
def test_silence_stays_silent() -> None:
    vocoder = tiny_vocoder(hidden_share=0.2)
    for parameter in vocoder.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    silence = torch.full((1, 1, MEL.n_mels, 20), MEL.log_floor)
    assert vocoder(silence).abs().max() == 0


@torch.no_grad()
def test_a_pause_is_silent_between_notes() -> None:
    mel = waveform_to_mel(sine(440.0, 60), MEL)
    mel[..., 20:40] = MEL.log_floor
    waveform = tiny_vocoder(hidden_share=0.2)(mel)[0]
    hop = MEL.hop_length
    assert waveform[25 * hop : 35 * hop].abs().max() < 1e-4
    assert waveform[5 * hop : 15 * hop].abs().max() > 1e-2


@torch.no_grad()
def test_bands_at_the_floor_get_noise_below_it_while_others_sound() -> None:
    mel = torch.full((1, 1, MEL.n_mels, 30), MEL.log_floor)
    mel[:, :, :100, :20] = -2.0
    bands = mel_filters(MEL) @ tiny_vocoder(hidden_share=0.2).predict_magnitudes(mel)
    share = bands[0, 110:250] / math.exp(MEL.log_floor)
    assert share[:, :20].mean() == pytest.approx(0.2, rel=0.2)
    assert share[:, :20].max() < 1
    assert share[:, 20:].max() == 0


@torch.no_grad()
def test_an_untrained_vocoder_already_sounds_at_the_right_frequency() -> None:
    waveform = tiny_vocoder()(waveform_to_mel(sine(2000.0, 40), MEL))
    loudest_bin = int(transform(waveform, MEL).abs().mean(dim=(0, 2)).argmax())
    assert abs(loudest_bin * MEL.sample_rate / MEL.n_fft - 2000.0) < 2 * MEL.sample_rate / MEL.n_fft


def test_rows_of_the_interpolation_keep_a_constant() -> None:
    assert torch.allclose(bin_weights(MEL).sum(1), torch.ones(1025), atol=1e-5)
    reached = mel_filters(MEL).sum(0) > 0
    assert torch.allclose(bin_shares(MEL).sum(1), reached.float(), atol=1e-5)


def test_fitted_magnitudes_show_the_mel_and_keep_its_silence() -> None:
    filters = mel_filters(MEL)
    truth = torch.rand(1, 1025, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    truth[:, 600:] = 0
    guess = torch.ones(1, 1025, 4)
    target = filters @ truth
    fitted = fit_magnitudes(guess, target, MEL)
    sounds = target > 0
    before, after = ((filters @ magnitude / target.clamp_min(1e-9)).log().abs() for magnitude in (guess, fitted))
    assert float(after[sounds].mean()) < 0.25 * float(before[sounds].mean())
    assert float((filters @ fitted)[~sounds].max()) < 1e-3
    exact = fit_magnitudes(truth, target, MEL)
    torch.testing.assert_close(exact[:, 5:590], truth[:, 5:590], atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_magnitudes_through_the_sound() -> None:
    vocoder = tiny_vocoder()
    vocoder(waveform_to_mel(sine(440.0, 10), MEL)).square().sum().backward()
    assert float(vocoder.head.weight.grad.abs().max()) > 0


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
