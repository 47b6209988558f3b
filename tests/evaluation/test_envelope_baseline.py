"""Properties of the equaliser."""

import torch

from stylediff.mel import MelConfig, waveform_to_mel
from train.evaluation.metrics.sound import log_mel_error
from train.evaluation.systems import average_spectrum, match_envelope, smooth_octaves

MEL = MelConfig()


def noise(samples: int, seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def test_matching_a_clip_to_its_own_spectrum_changes_nothing() -> None:
    waveform = noise(30000, 0)
    matched = match_envelope(waveform, average_spectrum([waveform], MEL), MEL)
    torch.testing.assert_close(matched, waveform, atol=1e-5, rtol=0)


def test_matching_moves_a_clip_to_the_targets_spectrum() -> None:
    source, other = noise(60000, 1), noise(60000, 2)
    target = other[1:] - 0.9 * other[:-1]  # a high-pass: bright against white noise
    matched = match_envelope(source, average_spectrum([target], MEL), MEL)

    def envelope(waveform: torch.Tensor) -> torch.Tensor:
        return smooth_octaves(average_spectrum([waveform], MEL), 1 / 3)[20:1000].log()

    before = (envelope(source) - envelope(target)).abs().mean()
    after = (envelope(matched) - envelope(target)).abs().mean()
    assert after < 0.1 * before


def test_matching_keeps_silence_silent() -> None:
    assert match_envelope(torch.zeros(20000), average_spectrum([noise(20000, 3)], MEL), MEL).abs().max() == 0


def test_smoothing_keeps_a_flat_spectrum_flat() -> None:
    torch.testing.assert_close(smooth_octaves(torch.full((1025,), 3.0), 1 / 3), torch.full((1025,), 3.0))


def test_an_equalised_clip_is_closer_in_log_mels() -> None:
    source, other = noise(60000, 4), noise(60000, 5)
    target = torch.cumsum(other, 0) * 0.05
    target -= target.mean()
    matched = match_envelope(source, average_spectrum([target], MEL), MEL)
    mels = waveform_to_mel(torch.stack([source, matched, target]), MEL)
    assert log_mel_error(mels[1], mels[2]) < 0.5 * log_mel_error(mels[0], mels[2])
