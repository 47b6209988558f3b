"""How steady a vocoder's sound is: pitch on held notes, and stripes at the pace of its frames."""

import numpy as np
import torch

from stylediff.mel import MelConfig
from train.scores import Note

HELD_SECONDS = 0.4
EDGE_SECONDS = 0.08  # of a note, where its attack and its end are left alone
LARGEST_CENTS = 100.0  # a tracker that is further off follows something else
STRIPE_WINDOW, STRIPE_STEPS = 128, 8  # samples; steps of a window within a hop


def held_frames(notes: tuple[Note, ...], times: np.ndarray) -> np.ndarray:
    """Which note each frame lies well inside of, (frames,) int; -1 for none, and for notes shorter than 0.4 s.

    Args:
        notes: of one voice.
        times: seconds of the frames, (frames,).
    """
    owner = np.full(len(times), -1)
    for number, note in enumerate(notes):
        if note.end - note.start >= HELD_SECONDS:
            owner[(times >= note.start + EDGE_SECONDS) & (times < note.end - EDGE_SECONDS)] = number
    return owner


def pitch_wobble(notes: tuple[Note, ...], times: np.ndarray, f0_hz: np.ndarray) -> float | None:
    """Root mean square change of pitch from frame to frame of held notes, in cents; None without such notes.

    Args:
        times, f0_hz: of a pitch tracker, (frames,) each.
    """
    owner = held_frames(notes, times)
    changes = 1200 * np.diff(np.log2(np.maximum(f0_hz, 1.0)))
    within = (owner[1:] >= 0) & (owner[1:] == owner[:-1]) & (np.abs(changes) < LARGEST_CENTS)
    return float(np.sqrt(np.mean(np.square(changes[within])))) if within.any() else None


def pitch_deviation(
    notes: tuple[Note, ...], times: np.ndarray, f0_hz: np.ndarray, original_hz: np.ndarray
) -> float | None:
    """Mean distance of pitch from the original's on held notes, in cents; None without such notes."""
    cents = np.abs(1200 * np.log2(np.maximum(f0_hz, 1.0) / np.maximum(original_hz, 1.0)))
    within = (held_frames(notes, times) >= 0) & (cents < LARGEST_CENTS)
    return float(cents[within].mean()) if within.any() else None


def hop_stripes(waveform: torch.Tensor, config: MelConfig) -> float:
    """How far a spectrum's fast changes repeat after one hop: their autocorrelation at that lag, -1 to 1.

    Frames that do not join well leave a pattern that repeats with every hop. Log-magnitudes of short windows, less
    their mean over two hops, are compared with themselves a hop later; what the sound itself repeats counts as well,
    so that the original has to stand beside it.

    Args:
        waveform: (samples,).
    """
    step = config.hop_length // STRIPE_STEPS
    window = torch.hann_window(STRIPE_WINDOW)
    spectrum = torch.stft(waveform, STRIPE_WINDOW, step, window=window, return_complex=True).abs()
    log = spectrum.clamp_min(float(spectrum.max()) * 1e-3 + 1e-9).log()  # 60 dB
    span = 2 * STRIPE_STEPS + 1
    mean = torch.nn.functional.avg_pool1d(log[None], span, stride=1)[0]
    fast = log[:, span // 2 : span // 2 + mean.shape[1]] - mean
    power = fast.square().sum()
    return float((fast[:, STRIPE_STEPS:] * fast[:, :-STRIPE_STEPS]).sum() / power.clamp_min(1e-12))
