"""Metrics of a transferred clip, as pure functions."""

import math

import librosa
import mir_eval
import numpy as np
import pyloudnorm
import scipy.fft
import torch

from stylediff.dynamics import frame_levels
from stylediff.mel import MelConfig, transform
from train.data.notes import Note
from train.data.transcription import LOWEST_PITCH, PITCHES

DYNAMIC_RANGE = 8.06  # nepers, 70 dB
DRAWS = 2000


def pitch_jaccard(heard: np.ndarray, reference: np.ndarray) -> float:
    """Jaccard distance of the pitches in each frame, the mean over frames (Cífka et al. 2021, arXiv 2102.05749).

    0 is the same pitches everywhere, 1 none in common; a frame that is silent in both counts as 0.

    Args:
        heard, reference: (frames, pitches) bool.
    """
    common, either = (heard & reference).sum(1), (heard | reference).sum(1)
    return float(np.where(either > 0, 1 - common / np.maximum(either, 1), 0.0).mean())


def pitch_class_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Distance in semitones of the strongest pitch classes after dynamic time warping, a step of the path.

    The DPD of Mancusi et al. (2024, arXiv 2409.06096), but on the circle of classes: B and C lie 1 apart, not 11.

    Args:
        ours, theirs: activations of the piano's keys, (frames, 88).
    """
    classes = (LOWEST_PITCH + np.arange(PITCHES)) % 12
    strongest = []
    for activations in (ours, theirs):
        folded = np.stack([activations[:, classes == number].max(1) for number in range(12)], axis=1)
        strongest.append(folded.argmax(1))
    gaps = np.abs(strongest[0][:, None] - strongest[1][None])
    total, path = librosa.sequence.dtw(C=np.minimum(gaps, 12 - gaps).astype(float))
    return float(total[-1, -1] / len(path))


def chroma_similarity(output: torch.Tensor, target: torch.Tensor, config: MelConfig) -> float:
    """Cosine of the chroma vectors of two waveforms (samples,), the mean over the frames where the target sounds."""
    filters = librosa.filters.chroma(sr=config.sample_rate, n_fft=config.n_fft)
    chroma = torch.from_numpy(filters) @ transform(torch.stack([output, target]), config).abs().square()
    sounding = chroma[1].sum(0) > 1e-4 * chroma[1].sum(0).max()
    cosines = torch.cosine_similarity(chroma[0], chroma[1], dim=0)
    return float(cosines[sounding].mean()) if sounding.any() else 0.0


def onset_f1(waveform: torch.Tensor, notes: tuple[Note, ...], sample_rate: int) -> float:
    """F-measure of onsets within 50 ms (mir_eval.onset), by librosa's spectral flux, against those of the score.

    Args:
        waveform: (samples,).
    """
    heard = librosa.onset.onset_detect(y=waveform.numpy(), sr=sample_rate, hop_length=256, units="time")
    score = np.unique([note.start for note in notes])
    return float(mir_eval.onset.f_measure(score, np.sort(heard), window=0.05)[0]) if len(score) else 0.0


def f0_accuracy(notes: tuple[Note, ...], times: np.ndarray, f0_hz: np.ndarray) -> float:
    """Share of the score's sounding frames whose pitch is within 50 cents (raw pitch accuracy, Poliner et al. 2007).

    Args:
        notes: the score, of one voice.
        times, f0_hz: seconds and frequencies of a pitch tracker, (frames,) each.
    """
    score_hz = np.zeros(len(times))
    for note in sorted(notes, key=lambda note: note.start):
        score_hz[(times >= note.start) & (times < note.end)] = mir_eval.util.midi_to_hz(note.pitch)
    cents = mir_eval.melody.hz2cents(score_hz)
    voiced = np.ones(len(times), bool)
    return float(mir_eval.melody.raw_pitch_accuracy(score_hz > 0, cents, voiced, mir_eval.melody.hz2cents(f0_hz)))


def log_mel_error(output: torch.Tensor, target: torch.Tensor) -> float:
    """Mean absolute difference of two log-mels in nepers, both floored 70 dB below the target's peak.

    The log-spectral distance of Gray and Markel (1976) with the L1 norm, on mel bands. The floor keeps what nobody
    hears out of the mean.

    Args:
        output, target: (..., mels, frames).
    """
    if output.shape != target.shape:
        raise ValueError(f"log-mels must be equally large, got {tuple(output.shape)} and {tuple(target.shape)}")
    floor = float(target.max()) - DYNAMIC_RANGE
    return float((output.clamp_min(floor) - target.clamp_min(floor)).abs().mean())


def log_spectral_distance(output: torch.Tensor, target: torch.Tensor, config: MelConfig) -> float:
    """Log-spectral distance in dB (Gray and Markel 1976, eq. 2): root mean square over bins, mean over frames.

    Both spectra are floored 70 dB below the target's peak.

    Args:
        output, target: waveforms, (samples,).
    """
    ours, theirs = transform(torch.stack([output, target]), config).abs()
    floor = theirs.max().clamp_min(1e-5) * math.exp(-DYNAMIC_RANGE)
    difference = 20 * (ours.clamp_min(floor) / theirs.clamp_min(floor)).log10()
    return float(difference.square().mean(0).sqrt().mean())


def timbre_distance(output: torch.Tensor, target: torch.Tensor) -> float:
    """Distance of two log-mels in their cepstral coefficients 1-12, averaged over the frames where each sounds.

    Coefficients as in Cífka et al. (2021, arXiv 2102.05749), who leave out the level as well; theirs feed a network.

    Args:
        output, target: (mels, frames) in nepers.

    Returns:
        Euclidean distance, in nepers.
    """
    means = []
    for mel in (output, target):
        level = mel.logsumexp(0)
        cepstrum = scipy.fft.dct(mel.numpy(), axis=0, norm="ortho")[1:13] / math.sqrt(len(mel))
        means.append(cepstrum[:, (level > level.max() - 5).numpy()].mean(1))
    return float(np.linalg.norm(means[0] - means[1]))


def missing_seconds(output: torch.Tensor, target: torch.Tensor, sample_rate: int) -> float:
    """Seconds in which a waveform is 30 dB quieter than its target, where that is within 40 dB of its loudest 50 ms.

    Args:
        output, target: (samples,), of equal loudness.
    """
    block = round(0.05 * sample_rate)
    ours, theirs = (w[: len(w) // block * block].reshape(-1, block).square().mean(1) for w in (output, target))
    return float(((theirs > 1e-4 * theirs.max()) & (ours < 1e-3 * theirs)).sum() * 0.05)


def bootstrap_interval(values: np.ndarray | list[float], seed: int) -> tuple[float, float]:
    """95 % interval of the mean by the percentile bootstrap (Efron and Tibshirani 1993, chapter 13)."""
    values = np.asarray(values, dtype=float)
    chosen = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(values[chosen].mean(1), [2.5, 97.5])
    return float(low), float(high)


BLOCK_SECONDS = 0.05
MOMENT_SECONDS = 0.4
RANGE_DB = 40.0
SILENCE_LUFS = -70.0
MATCHED_SECONDS, TIMELY_SECONDS = 0.1, 0.03


def timely_share(notes: tuple[Note, ...], intervals: np.ndarray, pitches: np.ndarray) -> float | None:
    """Share of onsets that lie within 30 ms of the score's, of the notes heard within 0.1 s; None without any.

    Args:
        notes: the score.
        intervals, pitches: the notes heard, (notes, 2) seconds and (notes,) MIDI numbers.
    """
    if not notes or len(pitches) == 0:
        return None
    score = np.array([[note.start, note.end] for note in notes])
    score_hz = mir_eval.util.midi_to_hz(np.array([note.pitch for note in notes], dtype=float))
    heard_hz = mir_eval.util.midi_to_hz(pitches)
    pairs = mir_eval.transcription.match_notes(
        score, score_hz, intervals, heard_hz, onset_tolerance=MATCHED_SECONDS, offset_ratio=None
    )
    late = [abs(score[ours, 0] - intervals[theirs, 0]) for ours, theirs in pairs]
    return float(np.mean(np.array(late) <= TIMELY_SECONDS)) if late else None


def level_contour(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Level of each 50 ms of a waveform (samples,) in dB, none more than 40 dB below the loudest: (blocks,)."""
    block = round(BLOCK_SECONDS * sample_rate)
    power = waveform[: len(waveform) // block * block].reshape(-1, block).square().mean(1)
    level = 10 * power.clamp_min(1e-12).log10()
    return level.clamp_min(float(level.max()) - RANGE_DB)


def mel_contour(mel: torch.Tensor, seconds: float, config: MelConfig) -> torch.Tensor:
    """Level of a log-mel (mels, frames) in dB, in windows of so many seconds, a quarter of one apart: (windows,).

    None is more than 40 dB below the loudest.
    """
    frames = round(seconds * config.sample_rate / config.hop_length)
    power = (2 * frame_levels(mel)).exp()
    level = 10 * torch.nn.functional.avg_pool1d(power[None], frames, max(1, frames // 4))[0].log10()
    return level.clamp_min(float(level.max()) - RANGE_DB)


def momentary_loudness(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Momentary loudness (EBU Tech 3341, ITU-R BS.1770) of a waveform (samples,), every 100 ms.

    Returns:
        (blocks,) LUFS over windows of 400 ms, none below -70 or more than 40 dB below the loudest.
    """
    missing = round(MOMENT_SECONDS * sample_rate) - len(waveform)
    padded = torch.nn.functional.pad(waveform.double(), (0, max(0, missing)))
    meter = pyloudnorm.Meter(sample_rate, block_size=MOMENT_SECONDS)
    meter.integrated_loudness(padded.numpy())
    loudness = torch.tensor(meter.blockwise_loudness)
    return loudness.clamp_min(max(SILENCE_LUFS, float(loudness.max()) - RANGE_DB))


def correlation(contour: torch.Tensor, target: torch.Tensor) -> float | None:
    """Pearson correlation of two contours (blocks,) in dB; None if one of them never changes."""
    contours = torch.stack([contour, target])
    if float(contours.std(dim=1).min()) < 0.1:
        return None
    return float(torch.corrcoef(contours)[0, 1])


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
