"""Registry of metrics, one entry each.

Scores, tables, arrows and checks are derived from it.

A new metric is one entry of ``METRICS``, and its function in ``notes`` or ``sound``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from train.data.notes import frame_prf, note_f1
from train.evaluation.metrics.clip import ScoredClip
from train.evaluation.metrics.notes import (
    f0_accuracy,
    onset_f1,
    pitch_class_distance,
    pitch_deviation,
    pitch_jaccard,
    pitch_wobble,
    timely_share,
)
from train.evaluation.metrics.sound import (
    chroma_similarity,
    clipped_samples,
    hop_stripes,
    level_correlation,
    log_mel_error,
    log_spectral_distance,
    loudness_correlation,
    loudness_difference,
    missing_seconds,
    stft_distance,
    timbre_distance,
)

Result = dict[str, Any]
NOTES, SOUND, CODEC = "notes", "sound", "codec"  # the two halves of an evaluation's table, and the codec's table


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: one number that scores an output.

    Attributes:
        name: key in stored results.
        heading: heading of its column, without an arrow.
        higher_is_better: direction; None if neither is better, as for a difference whose best value is 0.
        needs: attributes of ``ScoredClip`` that are passed to ``compute``; if one is unknown, there is no score.
        compute: function that returns the score, or None if it is undefined.
        tables: tables that show it. Without any it is only stored.

    Examples:
        >>> import torch
        >>> from train.evaluation.metrics import SOUND, Metric
        >>> peak = Metric(
        ...     name="peak",
        ...     heading="peak",
        ...     higher_is_better=False,
        ...     needs=("output",),
        ...     compute=lambda output: float(output.abs().max()),
        ...     tables=(SOUND,),
        ... )
        >>> peak.column, peak.compute(torch.tensor([0.25, -0.5]))
        ('peak ↓', 0.5)
    """

    name: str
    heading: str
    higher_is_better: bool | None
    needs: tuple[str, ...]
    compute: Callable[..., float | None]
    tables: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """Heading with an arrow if smaller is better."""
        return f"{self.heading} ↓" if self.higher_is_better is False else self.heading


METRICS = (
    Metric(
        name="frame_precision",
        heading="frame precision",
        higher_is_better=True,
        needs=("transcription", "score_roll"),
        compute=lambda detected, score: frame_prf(detected.roll, score)[0],
    ),
    Metric(
        name="frame_recall",
        heading="frame recall",
        higher_is_better=True,
        needs=("transcription", "score_roll"),
        compute=lambda detected, score: frame_prf(detected.roll, score)[1],
    ),
    Metric(
        name="frame_f",
        heading="frame F",
        higher_is_better=True,
        needs=("transcription", "score_roll"),
        compute=lambda detected, score: frame_prf(detected.roll, score)[2],
        tables=(NOTES, CODEC),
    ),
    Metric(
        name="note_f1_50",
        heading="note F1, 50 ms",
        higher_is_better=True,
        needs=("transcription", "score"),
        compute=lambda detected, score: note_f1(score, detected.intervals, detected.pitches, 0.05),
        tables=(NOTES, CODEC),
    ),
    Metric(
        name="note_f1_100",
        heading="note F1, 100 ms",
        higher_is_better=True,
        needs=("transcription", "score"),
        compute=lambda detected, score: note_f1(score, detected.intervals, detected.pitches, 0.1),
        tables=(NOTES,),
    ),
    Metric(
        name="onset_f1",
        heading="onset F1",
        higher_is_better=True,
        needs=("output", "score", "sample_rate"),
        compute=onset_f1,
        tables=(NOTES,),
    ),
    Metric(
        name="timely",
        heading="onsets within 30 ms",
        higher_is_better=True,
        needs=("transcription", "score"),
        compute=lambda detected, score: timely_share(score, detected.intervals, detected.pitches),
        tables=(NOTES,),
    ),
    Metric(
        name="f0_accuracy",
        heading="f0 accuracy",
        higher_is_better=True,
        needs=("melody", "pitch"),
        compute=lambda melody, pitch: f0_accuracy(melody, *pitch),
        tables=(NOTES,),
    ),
    Metric(
        name="source_frame_f",
        heading="frame F to the source",
        higher_is_better=True,
        needs=("transcription", "source"),
        compute=lambda detected, source: frame_prf(detected.roll, source.roll)[2],
        tables=(NOTES, CODEC),
    ),
    Metric(
        name="pitch_jaccard",
        heading="pitch Jaccard",
        higher_is_better=False,
        needs=("transcription", "source"),
        compute=lambda detected, source: pitch_jaccard(detected.roll, source.roll),
        tables=(NOTES,),
    ),
    Metric(
        name="pitch_class_distance",
        heading="pitch class DTW",
        higher_is_better=False,
        needs=("transcription", "source"),
        compute=lambda detected, source: pitch_class_distance(detected.activations, source.activations),
        tables=(NOTES,),
    ),
    Metric(
        name="chroma_similarity",
        heading="chroma",
        higher_is_better=True,
        needs=("levelled", "levelled_target", "config"),
        compute=chroma_similarity,
        tables=(NOTES,),
    ),
    Metric(
        name="deviation",
        heading="pitch error, cents",
        higher_is_better=False,
        needs=("original_hz", "melody", "pitch"),
        compute=lambda original_hz, melody, pitch: pitch_deviation(melody, pitch[0], pitch[1], original_hz),
        tables=(CODEC,),
    ),
    Metric(
        name="wobble",
        heading="pitch wobble, cents",
        higher_is_better=False,
        needs=("melody", "pitch"),
        compute=lambda melody, pitch: pitch_wobble(melody, *pitch),
        tables=(CODEC,),
    ),
    Metric(
        name="stripes",
        heading="hop autocorrelation",
        higher_is_better=False,
        needs=("output", "config"),
        compute=hop_stripes,
        tables=(CODEC,),
    ),
    Metric(
        name="log_mel_error",
        heading="log-mel error, neper",
        higher_is_better=False,
        needs=("mel", "target_mel"),
        compute=log_mel_error,
        tables=(SOUND, CODEC),
    ),
    Metric(
        name="log_spectral_distance",
        heading="LSD, dB",
        higher_is_better=False,
        needs=("levelled", "levelled_target", "config"),
        compute=log_spectral_distance,
        tables=(SOUND, CODEC),
    ),
    Metric(
        name="stft_distance",
        heading="STFT distance",
        higher_is_better=False,
        needs=("levelled", "levelled_target"),
        compute=stft_distance,
        tables=(SOUND, CODEC),
    ),
    Metric(
        name="timbre_distance",
        heading="timbre distance",
        higher_is_better=False,
        needs=("mel", "target_mel"),
        compute=timbre_distance,
        tables=(SOUND,),
    ),
    Metric(
        name="named_target",
        heading="classified as target",
        higher_is_better=True,
        needs=("named", "instrument"),
        compute=lambda named, instrument: float(named == instrument),
        tables=(SOUND,),
    ),
    Metric(
        name="loudness_difference_db",
        heading="loudness difference, dB",
        higher_is_better=None,
        needs=("gain", "target_gain"),
        compute=loudness_difference,
        tables=(SOUND, CODEC),
    ),
    Metric(
        name="level_correlation",
        heading="levels, 50 ms",
        higher_is_better=True,
        needs=("levelled", "levelled_target", "sample_rate"),
        compute=level_correlation,
        tables=(SOUND,),
    ),
    Metric(
        name="loudness_correlation",
        heading="momentary loudness",
        higher_is_better=True,
        needs=("levelled", "levelled_target", "sample_rate"),
        compute=loudness_correlation,
        tables=(SOUND,),
    ),
    Metric(
        name="missing_seconds",
        heading="missing, s",
        higher_is_better=False,
        needs=("levelled", "levelled_target", "sample_rate"),
        compute=missing_seconds,
        tables=(SOUND,),
    ),
    Metric(
        name="clipped",
        heading="clipped samples",
        higher_is_better=False,
        needs=("output",),
        compute=clipped_samples,
        tables=(SOUND,),
    ),
)
METRIC_NAMED = {metric.name: metric for metric in METRICS}


def columns_of(*tables: str) -> dict[str, str]:
    """Return table headings with arrows by metric name, in order."""
    return {metric.name: metric.column for table in tables for metric in METRICS if table in metric.tables}


def score_clip(clip: ScoredClip) -> Result:
    """Scores of an output by metric.

    A metric is missing if an attribute it needs is unknown, and None if it is undefined for the clip.
    """
    found = ((metric, clip.look_up(metric.needs)) for metric in METRICS)
    return {metric.name: metric.compute(*values) for metric, values in found if values is not None}
