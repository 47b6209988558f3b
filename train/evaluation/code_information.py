"""Meanings of codes: labels of positions, mutual information, and probes."""

import colorsys
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from stylediff.code_model import GRID, STRIDE
from stylediff.mel import MelConfig
from train.data.patches import NO_LABEL, PatchSet

PITCH_CLASSES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
HUES = ["red", "orange", "yellow-green", "green", "cyan", "blue", "violet", "pink"]
COLOURS = [*HUES, "black", "grey", "white"]
GREY_SATURATION = 0.2
EDGES = ["flat", "horizontal", "rising", "vertical", "falling"]
FLAT = 0.02  # root mean square gradient below which a block has no edge, for values in 0 to 1
PROBE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # inverse regularisation
PROBE_ITERATIONS = 100


@dataclass(frozen=True)
class Label:
    """A label of every code position.

    Attributes:
        values: (patches, 8, 8) integers; -1 means no label.
        names: names of the values.
    """

    values: np.ndarray
    names: list[str]


def over_positions(values: np.ndarray) -> np.ndarray:
    """Repeat labels (patches,) for all positions, (patches, 8, 8)."""
    return np.broadcast_to(values[:, None, None], (len(values), GRID, GRID))


def block_means(patches: torch.Tensor) -> torch.Tensor:
    """Means of 4 x 4 blocks, (patches, channels, 8, 8)."""
    return functional.avg_pool2d(patches, STRIDE)


def name_colours(patches: torch.Tensor) -> np.ndarray:
    """Indices in ``COLOURS`` of mean colours of blocks, (patches, 8, 8).

    Args:
        patches: (patches, 3, 32, 32) in 0 to 1.
    """
    means = block_means(patches).movedim(1, -1).numpy()
    flat = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in means.reshape(-1, 3)])
    hues = np.round(flat[:, 0] * len(HUES)).astype(int) % len(HUES)
    greys = len(HUES) + np.minimum((3 * flat[:, 2]).astype(int), 2)
    return np.where(flat[:, 1] < GREY_SATURATION, greys, hues).reshape(means.shape[:-1])


def name_edges(patches: torch.Tensor) -> np.ndarray:
    """Indices in ``EDGES`` of directions in blocks, (patches, 8, 8).

    The direction is that of the structure tensor: the edge is perpendicular to the strongest gradient.

    Args:
        patches: (patches, channels, 32, 32) in 0 to 1.
    """
    grey = patches.mean(1, keepdim=True)
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    xx, yy, xy = (block_means(product)[:, 0].numpy() for product in (across**2, down**2, across * down))
    gradient = 0.5 * np.arctan2(2 * xy, xx - yy)  # angle of the gradient, rows counted downwards
    edge = np.mod(np.pi / 2 - gradient, np.pi)  # angle of the edge, counted upwards
    directions = 1 + np.round(edge / (np.pi / 4)).astype(int) % 4
    return np.where(np.sqrt(xx + yy) < FLAT, 0, directions)


def name_loudness(patches: torch.Tensor, floor: float) -> np.ndarray:
    """Level of each block above the floor, in steps of one neper."""
    return (block_means(patches)[:, 0].numpy() - floor).clip(0).astype(int)


def label_positions(patches: PatchSet, rows: np.ndarray) -> dict[str, Label]:
    """Labels of all code positions of some patches."""
    labels = {name: values[rows] for name, values in patches.labels.items()}
    tensor = patches.tensor(rows)
    if patches.kind == "image":
        return {
            "class": Label(over_positions(labels["class"]), patches.names["class"]),
            "colour": Label(name_colours(tensor), COLOURS),
            "edge": Label(name_edges(tensor), EDGES),
        }
    pitches = np.where(labels["pitch"] == NO_LABEL, NO_LABEL, labels["pitch"] % len(PITCH_CLASSES))
    onsets = labels["onset"].reshape(-1, 1, GRID, STRIDE).max(-1)
    loudness = name_loudness(tensor, MelConfig().log_floor)
    return {
        "instrument": Label(over_positions(labels["instrument"]), patches.names["instrument"]),
        "pitch class": Label(over_positions(pitches), PITCH_CLASSES),
        "onset": Label(np.broadcast_to(onsets, (len(rows), GRID, GRID)), ["none", "onset"]),
        "loudness": Label(loudness, [f"{level} to {level + 1} nepers" for level in range(int(loudness.max()) + 1)]),
        "band": Label(over_positions(labels["band"]), [f"bands {32 * n} to {32 * n + 31}" for n in range(8)]),
    }


def count_pairs(codes: np.ndarray, label: Label, size: int) -> np.ndarray:
    """Numbers of positions by code and value, (size, values)."""
    known = label.values != NO_LABEL
    width = len(label.names)
    pairs = codes[known].astype(np.int64) * width + label.values[known]
    return np.bincount(pairs, minlength=size * width).reshape(size, width)


def plogp(shares: np.ndarray) -> np.ndarray:
    """Shares times their binary logarithms; 0 for a share of 0."""
    return shares * np.log2(np.where(shares > 0, shares, 1.0))


def mutual_information(counts: np.ndarray) -> float:
    """Information between code and label, in bits.

    Args:
        counts: (size, values).
    """
    joint = counts / max(1, counts.sum())
    return float(plogp(joint).sum() - plogp(joint.sum(0)).sum() - plogp(joint.sum(1)).sum())


def information_of_codes(counts: np.ndarray) -> np.ndarray:
    """Information of each code's presence about the label, in bits, (size,).

    Args:
        counts: (size, values).
    """
    joint = counts / max(1, counts.sum())
    values = joint.sum(0)
    present = joint.sum(1)
    absent = values - joint
    entropies = plogp(present) + plogp(1 - present) + plogp(values).sum()
    return plogp(joint).sum(1) + plogp(absent.clip(0)).sum(1) - entropies


@dataclass(frozen=True)
class Information:
    """Information of codes about a label, against permuted labels.

    Attributes:
        total: bits between code and label.
        permuted: mean of the same with permuted labels: the bias of the estimate.
        entropy: entropy of the label in bits, the most that codes can tell.
        codes: bits between the label and the presence of each code, (size,).
        limit: largest value of a code with permuted labels. Larger values are significant, over all codes at once.
        counts: positions by code and value, (size, values).
    """

    total: float
    permuted: float
    entropy: float
    codes: np.ndarray
    limit: float
    counts: np.ndarray


def measure_information(codes: np.ndarray, label: Label, size: int, permutations: int, seed: int = 0) -> Information:
    """Measure the information of codes about a label.

    Labels are permuted among patches, not among positions, because positions of a patch are not independent.

    Args:
        codes: (patches, 8, 8).
    """
    rng = np.random.default_rng(seed)
    counts = count_pairs(codes, label, size)
    totals, limits = [], []
    for _ in range(permutations):
        permuted = Label(label.values[rng.permutation(len(codes))], label.names)
        by_chance = count_pairs(codes, permuted, size)
        totals.append(mutual_information(by_chance))
        limits.append(information_of_codes(by_chance).max())
    return Information(
        total=mutual_information(counts),
        permuted=float(np.mean(totals)),
        entropy=float(-plogp(counts.sum(0) / max(1, counts.sum())).sum()),
        codes=information_of_codes(counts),
        limit=float(np.max(limits)),
        counts=counts,
    )


def histograms(codes: np.ndarray, size: int) -> np.ndarray:
    """Square roots of the shares of codes in each patch, (patches, size).

    The root makes distances of histograms Hellinger distances.
    """
    counts = np.stack([np.bincount(patch.ravel(), minlength=size) for patch in codes])
    return np.sqrt(counts / GRID**2)


Samples = tuple[np.ndarray, np.ndarray]  # features (patches, features) and labels (patches,)


def probe_accuracy(train: Samples, validation: Samples, test: Samples) -> float:
    """Accuracy of a linear classifier on test samples.

    Its regularisation is the best of ``PROBE_STRENGTHS`` on validation samples.
    """
    probes = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=PROBE_ITERATIONS))
        for strength in PROBE_STRENGTHS
    ]
    with warnings.catch_warnings():
        # Weak regularisation may not converge within the iterations, which is early stopping.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for one in probes:
            one.fit(*train)
    best = max(probes, key=lambda one: one.score(*validation))
    return float(best.score(*test))


def swap_table(vectors: np.ndarray, counts: np.ndarray, source: int, target: int) -> np.ndarray:
    """Replacements of all codes for a change of instrument, (size,).

    A code that is more typical of the source than of the target becomes the nearest code that is not. Other codes stay.

    Args:
        vectors: (size, code_dim).
        counts: positions by code and instrument, (size, instruments).
        source, target: instruments.
    """
    shares = counts / np.maximum(1, counts.sum(0))
    leaning = shares[:, source] > shares[:, target]
    allowed = np.flatnonzero(~leaning & (counts[:, target] > 0))
    table = np.arange(len(vectors))
    if len(allowed):
        moved = np.flatnonzero(leaning)
        distances = np.linalg.norm(vectors[moved][:, None] - vectors[allowed], axis=-1)
        table[moved] = allowed[distances.argmin(1)]
    return table
