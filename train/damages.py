"""Known damage to a clip, in growing strengths: what a metric must see if it is to be believed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from stylediff.audio import fit_length, resample
from stylediff.mel import MelConfig, transform
from stylediff.phases import inverse_transform, refine_phases, track_phases

PHASE_ITERATIONS = 6


@dataclass(frozen=True)
class Material:
    """What damage is made of, waveforms (samples,) at the mel's sample rate.

    Attributes:
        target: the clip to damage.
        other_music: the same voice in another piece.
        other_instrument: the same music on another instrument.
    """

    target: torch.Tensor
    other_music: torch.Tensor
    other_instrument: torch.Tensor


Damage = Callable[[Material, float], torch.Tensor]


def add_noise(material: Material, snr_db: float) -> torch.Tensor:
    """White noise that far below the clip's RMS."""
    noise = torch.randn(len(material.target), generator=torch.Generator().manual_seed(0))
    return material.target + noise * material.target.square().mean().sqrt() * 10 ** (-snr_db / 20)


def blur(material: Material, cells: float) -> torch.Tensor:
    """Magnitudes averaged over that many bins and frames, phases found anew: the blur of networks that hedge."""
    config, size = MelConfig(), int(cells)
    magnitude = transform(material.target[None], config).abs()
    smooth = torch.nn.functional.avg_pool2d(magnitude[None], size, 1, size // 2, count_include_pad=False)[0]
    phasor = refine_phases(smooth, track_phases(smooth, config), config, PHASE_ITERATIONS)
    return fit_length(inverse_transform(smooth * phasor, config)[0], len(material.target))


def detune(material: Material, cents: float) -> torch.Tensor:
    """Pitch raised by playing faster; over five seconds and 50 cents, the end comes 0.14 s early."""
    rate = MelConfig().sample_rate
    return fit_length(resample(material.target, round(rate * 2 ** (cents / 1200)), rate), len(material.target))


def shift(material: Material, milliseconds: float) -> torch.Tensor:
    """Everything later."""
    late = torch.zeros(round(milliseconds / 1000 * MelConfig().sample_rate))
    return fit_length(torch.cat([late, material.target]), len(material.target))


def swap_notes(material: Material, share: float) -> torch.Tensor:
    """The last share of the clip replaced by another piece in the same voice."""
    kept = round((1 - share) * len(material.target))
    return fit_length(torch.cat([material.target[:kept], material.other_music[kept:]]), len(material.target))


def change_instrument(material: Material, share: float) -> torch.Tensor:
    """The same music with another instrument mixed in; at 1 it alone is left, as when the input is copied."""
    other = fit_length(material.other_instrument, len(material.target))
    return (1 - share) * material.target + share * other


LADDER: dict[str, tuple[Damage, tuple[float, ...]]] = {
    "noise, dB below": (add_noise, (40, 25, 10)),
    "blur, bins x frames": (blur, (3, 7, 15)),
    "detuned, cents": (detune, (10, 25, 50)),
    "late, ms": (shift, (20, 50, 100)),
    "other notes, share": (swap_notes, (0.25, 0.5, 1.0)),
    "other instrument, share": (change_instrument, (0.25, 0.5, 1.0)),
}
