"""Scores of one output by every applicable metric."""

from typing import Any

from train.evaluation.metrics import METRICS
from train.evaluation.metrics.clip import ScoredClip

Result = dict[str, Any]


def score_clip(clip: ScoredClip) -> Result:
    """Scores of an output by metric.

    A metric is missing if an attribute it needs is unknown, and None if it is undefined for the clip.
    """
    found = ((metric, clip.look_up(metric.needs)) for metric in METRICS)
    return {metric.name: metric.compute(*values) for metric, values in found if values is not None}
