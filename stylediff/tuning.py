"""Pitch of a recording: tuning against A = 440 Hz, and transposition."""

import math

import torch

N_FFT, HOP_LENGTH = 8192, 2048  # about 0.4 s at the model's rate
BLOCK_FRAMES = 512  # transformed at a time
MOST_FRAMES = 2000  # of a long recording, evenly spread
LOWEST_HZ, HIGHEST_HZ = 150.0, 1600.0  # above, partials of strings are sharp
WEAKEST = 10 ** (-30 / 20)  # peak that counts, against the strongest
NEGLIGIBLE_CENTS = 8.0  # instruments of the training data are as far off
AGREEMENT = 0.5  # of the peaks, 0 to 1; with less there is no common tuning


def estimate_tuning(waveform: torch.Tensor, sample_rate: int) -> float:
    """Return by how many cents the notes are too high.

    The peaks of the spectrum vote, each by its strength. A recording that is in tune, or in none, gets 0.

    Args:
        waveform: (samples,).

    Returns:
        -50 to 50.
    """
    samples = waveform.detach().cpu().float()
    if len(samples) < N_FFT:
        return 0.0
    width = sample_rate / N_FFT
    low, high = math.ceil(LOWEST_HZ / width), math.floor(HIGHEST_HZ / width)
    spectrum, strongest = magnitudes(samples, slice(low - 1, high + 1))
    below, here, above = spectrum[:-2], spectrum[1:-1], spectrum[2:]
    is_peak = (here > below) & (here >= above) & (here > WEAKEST * strongest) & (below > 0) & (above > 0)
    left, middle, right = (part[is_peak].log() for part in (below, here, above))
    if len(middle) == 0:
        return 0.0
    bins = torch.arange(low, high)[:, None].expand_as(here)[is_peak] + (left - right) / (
        2 * (left - 2 * middle + right)
    ).clamp_max(-1e-6)
    angles = 2 * math.pi * 12 * (bins * width / 440).log2()
    strength = here[is_peak] / here[is_peak].sum()
    real, imaginary = float((strength * angles.cos()).sum()), float((strength * angles.sin()).sum())
    cents = math.atan2(imaginary, real) * 50 / math.pi
    agree = math.hypot(real, imaginary) > AGREEMENT
    return cents if agree and abs(cents) > NEGLIGIBLE_CENTS else 0.0


def magnitudes(samples: torch.Tensor, rows: slice) -> tuple[torch.Tensor, float]:
    """Some rows of a spectrogram (bins, frames), and the maximum of all.

    A long waveform is transformed piece by piece, because its whole spectrogram would take eight times its memory.
    """
    window, kept, strongest = torch.hann_window(N_FFT), [], 0.0
    hop = max(HOP_LENGTH, (len(samples) - N_FFT) // MOST_FRAMES)
    frames = 1 + (len(samples) - N_FFT) // hop
    for first in range(0, frames, BLOCK_FRAMES):
        last = min(frames, first + BLOCK_FRAMES)
        piece = samples[first * hop : (last - 1) * hop + N_FFT]
        found = torch.stft(piece, N_FFT, hop, window=window, center=False, return_complex=True).abs()
        kept.append(found[rows])
        strongest = max(strongest, float(found.max()))
    return torch.cat(kept, dim=1), strongest


def transpose(waveform: torch.Tensor, sample_rate: int, semitones: float) -> torch.Tensor:
    """Move all notes by some semitones, at the same speed.

    Args:
        waveform: (samples,), which keeps its length, device and type.
    """
    if not semitones:
        return waveform
    from librosa.effects import pitch_shift

    shifted = pitch_shift(waveform.cpu().numpy(), sr=sample_rate, n_steps=semitones)
    return torch.from_numpy(shifted).to(waveform)
