import librosa
import numpy as np
import pytest
import torch

from stylediff.mel import MelConfig, griffin_lim, mel_edges, mel_filters, normalized_mel, transform, waveform_to_mel

MEL = MelConfig()


def tone(hz, samples=22050, amplitude=0.5):
    return amplitude * torch.sin(2 * torch.pi * hz * torch.arange(samples) / MEL.sample_rate)


@pytest.mark.parametrize("hz", [110.0, 440.0, 1760.0, 7040.0])
def test_a_tone_peaks_in_the_band_centred_nearest_to_it(hz):
    mel = waveform_to_mel(tone(hz)[None], MEL)[0, 0]
    centres = librosa.mel_frequencies(MEL.n_mels + 2, fmin=MEL.fmin_hz, fmax=MEL.fmax_hz)[1:-1]
    nearest = int(np.abs(centres - hz).argmin())
    assert abs(int(mel[:, 40].argmax()) - nearest) <= 1


def test_it_agrees_with_librosa():
    noise = torch.randn(8 * 256, generator=torch.Generator().manual_seed(0))
    theirs = librosa.feature.melspectrogram(
        y=np.pad(noise.numpy(), MEL.pad),
        sr=MEL.sample_rate,
        n_fft=MEL.n_fft,
        hop_length=MEL.hop_length,
        center=False,
        power=1.0,
        n_mels=MEL.n_mels,
        fmin=MEL.fmin_hz,
        fmax=MEL.fmax_hz,
    )
    ours = waveform_to_mel(noise[None], MEL)[0, 0].exp().numpy()
    np.testing.assert_allclose(ours, np.maximum(theirs, np.exp(MEL.log_floor)), rtol=1e-3)


def test_the_normalized_mel_is_the_same_at_every_level():
    (loud, gain), (soft, larger) = (normalized_mel(amplitude * tone(440), MEL) for amplitude in (1, 0.01))
    assert loud.shape == (1, 1, 256, 87)
    torch.testing.assert_close(soft, loud, rtol=1e-4, atol=1e-4)
    assert larger == pytest.approx(100 * gain, rel=1e-4)
    torch.testing.assert_close(waveform_to_mel(gain * tone(440)[None], MEL), loud)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (256, 1), (257, 2), (2560, 10), (22050, 87)])
def test_frames_are_exact(samples, frames):
    assert waveform_to_mel(torch.zeros(2, samples), MEL).shape == (2, 1, 256, frames)
    assert MEL.frames(samples) == frames


def test_a_frame_is_centred_on_the_middle_of_its_hop():
    waveform = torch.zeros(1, 20 * 256)
    waveform[0, 10 * 256 + 128] = 1.0
    energy = transform(waveform, MEL)[0].abs().sum(0)
    assert int(energy.argmax()) == 10
    assert float(energy[9]) == pytest.approx(float(energy[11]), rel=1e-4)


def test_silence_is_the_floor_everywhere():
    mel = waveform_to_mel(torch.zeros(1, 2560), MEL)
    assert torch.allclose(mel, torch.tensor(MEL.log_floor), atol=1e-5)


def test_nothing_is_below_the_floor():
    mel = waveform_to_mel(tone(440, amplitude=1e-4)[None], MEL)
    assert float(mel.min()) >= MEL.log_floor - 1e-5


def test_ten_times_the_amplitude_adds_log_ten():
    quiet, loud = (waveform_to_mel(tone(440, amplitude=a)[None], MEL)[0, 0, :, 40].max() for a in (0.05, 0.5))
    assert float(loud - quiet) == pytest.approx(np.log(10), abs=1e-3)


@pytest.mark.parametrize(
    "config", [MEL, MelConfig(16000, 1024, 256, 80, 0.0, 8000.0), MelConfig(n_mels=40, fmax_hz=800.0)]
)
def test_bands_and_filters_are_those_of_librosa_to_the_bit(config):
    limits = {"fmin": config.fmin_hz, "fmax": config.fmax_hz}
    frequencies = librosa.mel_frequencies(config.n_mels + 2, **limits)
    filters = librosa.filters.mel(sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, **limits)
    assert np.array_equal(mel_edges(config), frequencies)
    assert np.array_equal(mel_filters(config).numpy(), filters)


def test_filters_are_computed_once():
    assert mel_filters(MelConfig()) is mel_filters(MEL)


@pytest.mark.parametrize("hz", [220.0, 880.0])
def test_griffin_lim_keeps_the_pitch_and_the_length_of_a_tone(hz):
    mel = waveform_to_mel(tone(hz, 64 * 256)[None], MEL)
    waveform = griffin_lim(mel, MEL, iterations=16)
    assert waveform.shape == (1, 64 * 256)
    spectrum = torch.fft.rfft(waveform[0]).abs()
    peak_hz = int(spectrum.argmax()) * MEL.sample_rate / (64 * 256)
    assert abs(1200 * np.log2(peak_hz / hz)) < 25  # cents
    again = waveform_to_mel(waveform, MEL)
    assert abs(int(again[0, 0, :, 30].argmax()) - int(mel[0, 0, :, 30].argmax())) <= 1


def test_griffin_lim_of_silence_is_silent():
    waveform = griffin_lim(torch.full((1, 1, 256, 16), MEL.log_floor), MEL, iterations=2)
    assert waveform.shape == (1, 16 * 256)
    assert float(waveform.abs().max()) == 0.0


def test_griffin_lim_gives_the_same_sound_every_time():
    mel = waveform_to_mel(tone(440, 16 * 256)[None], MEL)
    assert torch.equal(griffin_lim(mel, MEL, iterations=2), griffin_lim(mel, MEL, iterations=2))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"hop_length": 300}, "n_fft 2048 must be a multiple of hop_length 300"),
        ({"n_fft": 2200, "hop_length": 275}, "their difference even"),
        ({"fmax_hz": 12000.0}, r"fmax <= 11025\.0 Hz"),
        ({"fmin_hz": -1.0}, "0 <= fmin"),
    ],
)
def test_invalid_parameters_are_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        MelConfig(**values)


def test_a_mismatch_names_the_field():
    with pytest.raises(ValueError, match="the vocoder was made with n_mels=80, but 256 is needed"):
        MEL.require_same(MelConfig(n_mels=80), "the vocoder")
    MEL.require_same(MelConfig(**MEL.to_dict()), "the vocoder")


def test_seconds_and_frames_agree():
    assert MEL.seconds(MEL.frames(22050 * 256)) == pytest.approx(256.0)


def test_a_long_waveform_is_transformed_in_blocks_with_the_same_result(monkeypatch) -> None:
    waveform = torch.randn(2, 10 * MEL.hop_length + 77, generator=torch.Generator().manual_seed(0))
    whole = waveform_to_mel(waveform, MEL)
    for frames in (1, 4, 11, 12):
        monkeypatch.setattr("stylediff.mel.BLOCK_FRAMES", frames)
        torch.testing.assert_close(waveform_to_mel(waveform, MEL), whole)
