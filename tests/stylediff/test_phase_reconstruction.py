"""Physics of phases: transforms are inverse, tones and glides are restored, refinement helps."""

import pytest
import torch

from stylediff.mel import MelConfig, transform, waveform_to_mel
from stylediff.phase_reconstruction import inverse_transform, nearest_peaks, overlap_add, refine_phases, track_phases

MEL = MelConfig()
FRAMES = 60


def tone(start_hz: float, end_hz: float) -> torch.Tensor:
    """A glide between two frequencies, (1, FRAMES hops)."""
    samples = FRAMES * MEL.hop_length
    cycles = torch.linspace(start_hz, end_hz, samples, dtype=torch.float64).cumsum(0) / MEL.sample_rate
    return (0.3 * torch.sin(2 * torch.pi * cycles)).float()[None]


def resynthesize(waveform: torch.Tensor, iterations: int = 0) -> torch.Tensor:
    """Reconstruct a waveform from its magnitudes."""
    magnitude = transform(waveform, MEL).abs()
    phasor = refine_phases(magnitude, track_phases(magnitude, MEL), MEL, iterations)
    return inverse_transform(magnitude * phasor, MEL)


def inconsistency(magnitude: torch.Tensor, phasor: torch.Tensor) -> float:
    """Inconsistency: relative distance of frames from those of their waveform."""
    spectrum = magnitude * phasor
    made = transform(inverse_transform(spectrum, MEL), MEL)
    return float(torch.linalg.norm(made - spectrum) / torch.linalg.norm(spectrum))


def test_the_inverse_transform_gives_back_the_waveform() -> None:
    waveform = tone(440.0, 440.0) + 0.1 * torch.randn(
        1, FRAMES * MEL.hop_length, generator=torch.Generator().manual_seed(0)
    )
    spectrum = transform(waveform, MEL)
    assert spectrum.shape == (1, MEL.n_fft // 2 + 1, FRAMES)
    torch.testing.assert_close(inverse_transform(spectrum, MEL), waveform, atol=1e-5, rtol=1e-5)


def test_frames_are_added_where_they_overlap() -> None:
    pieces = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]]])
    assert overlap_add(pieces, 2).tolist() == [[1.0, 2.0, 13.0, 24.0, 30.0, 40.0]]


def test_each_bin_belongs_to_the_peak_next_to_it() -> None:
    magnitude = torch.tensor([0.0, 1.0, 5.0, 1.0, 0.5, 0.2, 0.9, 3.0, 0.1, 0.0])
    assert nearest_peaks(magnitude).tolist() == [2, 2, 2, 2, 2, 7, 7, 7, 7, 7]


@pytest.mark.parametrize("frequency_hz", [220.0, 441.7, 3520.3])
def test_a_tone_is_restored_as_a_steady_tone(frequency_hz: float) -> None:
    inner = slice(12 * MEL.hop_length, -12 * MEL.hop_length)
    original = tone(frequency_hz, frequency_hz)[:, inner]
    made = resynthesize(tone(frequency_hz, frequency_hz))[:, inner]
    level = made.unfold(1, 1024, 512).square().mean(-1).sqrt()
    assert float(level.std() / level.mean()) < 0.01
    assert float(level.mean()) == pytest.approx(0.3 / 2**0.5, rel=0.02)
    error = (waveform_to_mel(made, MEL) - waveform_to_mel(original, MEL))[..., 8:-8].clamp_min(-5).abs().mean()
    assert float(error) < 0.02


def test_a_glide_is_nearly_restored_and_noise_is_not() -> None:
    glide = tone(600.0, 660.0)
    magnitude = transform(glide, MEL).abs()
    tracked = torch.polar(torch.ones_like(magnitude), track_phases(magnitude, MEL))
    noise = 2 * torch.pi * torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0))
    assert inconsistency(magnitude, tracked) < 0.15
    assert inconsistency(magnitude, torch.polar(torch.ones_like(magnitude), noise)) > 0.6


@pytest.mark.parametrize("frequency_hz", [97.0, 220.0, 441.7])
def test_nothing_sounds_before_a_string_is_plucked(frequency_hz: float) -> None:
    place = 30 * MEL.hop_length + 77
    seconds = (torch.arange(FRAMES * MEL.hop_length) - place) / MEL.sample_rate
    partials = (
        torch.sin(2 * torch.pi * frequency_hz * n * seconds) / n * torch.exp(-4 * seconds) for n in range(1, 12)
    )
    plucked = torch.where(seconds < 0, 0, sum(partials, torch.zeros(())))[None]
    energy = resynthesize(plucked)[0].square()
    assert float(energy[: place - 64].sum() / energy.sum()) < 1e-3  # 3e-2 if all bins near a peak share its phase


def test_every_iteration_of_refinement_makes_frames_agree_better() -> None:
    waveform = tone(440.0, 470.0) + tone(660.0, 600.0)
    waveform[:, : 20 * MEL.hop_length] = 0  # an attack, which tracking partials ignores
    magnitude = transform(waveform, MEL).abs()
    phase = track_phases(magnitude, MEL)
    errors = [inconsistency(magnitude, refine_phases(magnitude, phase, MEL, n)) for n in (0, 2, 6)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.5 * errors[0]


def test_silence_has_finite_phases() -> None:
    magnitude = torch.zeros(1, MEL.n_fft // 2 + 1, 5)
    phasor = refine_phases(magnitude, track_phases(magnitude, MEL), MEL, 2)
    assert torch.isfinite(torch.view_as_real(phasor)).all()
    assert inverse_transform(magnitude * phasor, MEL).abs().max() == 0


def test_known_phases_are_kept_and_continued() -> None:
    magnitude = transform(tone(441.7, 441.7), MEL).abs()
    phasor = refine_phases(magnitude, track_phases(magnitude, MEL), MEL, 4)
    known, later = phasor[..., 20:28].sgn(), magnitude[..., 20:]
    tracked = track_phases(later[..., 8:], MEL, known[..., -1].angle())
    again = refine_phases(later, torch.cat([known.angle(), tracked], dim=-1), MEL, 4, known)
    torch.testing.assert_close(again[..., :8], known)
    strongest = int(magnitude.mean(dim=(0, 2)).argmax())
    cosine = (again * phasor[..., 20:].conj()).real[0, strongest]
    assert float(cosine[:-8].min()) > 0.95
