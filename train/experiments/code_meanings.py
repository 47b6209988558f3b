"""Which codes stand for an instrument, a pitch, a colour?

    python -m train code-meanings --model RUN/vqvae --patches DIR --out DIR [--cache MELS]

The page shows what the codes say about labels, and which codes do, against permuted labels. With a mel cache, clips
are also played with the codes of one instrument replaced by the nearest of another.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import soundfile
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch.nn import functional

from stylediff.code_model import GRID, STRIDE, tile, untile
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.manifest import SPLITS
from train.data.mel_cache import CachedClip, CacheError, read_cache
from train.data.patches import NO_LABEL, PatchError, PatchSet, read_patches
from train.evaluation.code_information import (
    Information,
    Label,
    histograms,
    label_positions,
    measure_information,
    probe_accuracy,
    swap_table,
)
from train.evaluation.code_metrics import encode
from train.evaluation.runner import load_model
from train.experiments.codebook_report import to_picture
from train.models.instrument_classifier import InstrumentClassifier
from train.models.vqvae import VqVae

SHOWN = 7  # codes per label in the picture
EXAMPLES = 10  # patches of each
CONTEXT = 4  # pixels around a code's 4 x 4 pixels
NAMED_SHARE, NAMED_LIFT = 0.5, 2.0  # of a value among a code's positions: the code "stands for" it
FEWEST = 50  # positions of a code that may stand for something

NOTES = """\
{count} patches of the test split, {size} codes, of which {used} occur. *Information*: mutual information of code and
label over positions, in bits. *Permuted*: the same with labels permuted among patches, which is its bias. *Explained*:
information without the bias, as a share of the label's entropy. *Significant codes*: codes whose presence tells more
about the label than that of any code under {permutations} permutations. *Codes that stand for a value*: significant,
and one value has at least {share:.0%} of the code's positions and {lift:g} times its share among all positions.
"""


def describe_codes(found: dict[str, Information], labels: dict[str, Label]) -> list[dict[str, Any]]:
    """Describe each code by the significant label about which it tells most.

    ``means`` is empty for a code that stands for no single value.
    """
    size = len(next(iter(found.values())).codes)
    described = []
    for code in range(size):
        entry: dict[str, Any] = {"code": code, "positions": 0, "label": "", "value": "", "means": ""}
        significant = {name: one.codes[code] for name, one in found.items() if one.codes[code] > one.limit}
        entry["positions"] = max(int(one.counts[code].sum()) for one in found.values())
        if significant:
            name = max(significant, key=significant.__getitem__)
            counts = found[name].counts
            shares = counts[code] / max(1, counts[code].sum())
            lifts = shares / np.maximum(counts.sum(0) / counts.sum(), 1e-9)
            value = int(lifts.argmax()) if shares.max() < NAMED_SHARE else int(shares.argmax())
            entry |= {"label": name, "value": labels[name].names[value], "bits": float(significant[name])}
            entry |= {"share": float(shares[value]), "lift": float(lifts[value])}
            stands = shares[value] >= NAMED_SHARE and lifts[value] >= NAMED_LIFT and entry["positions"] >= FEWEST
            entry["means"] = f"{name}: {entry['value']}" if stands else ""
        described.append(entry)
    return described


def stands_for(information: Information) -> int:
    """Number of significant codes with one dominant value of a label."""
    counts = information.counts
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    lifts = shares / np.maximum(counts.sum(0) / counts.sum(), 1e-9)
    stands = (shares >= NAMED_SHARE) & (lifts >= NAMED_LIFT)
    return int((stands.any(1) & (information.codes > information.limit) & (counts.sum(1) >= FEWEST)).sum())


def probe(model: VqVae, patches: PatchSet, rows: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy of linear probes on codes and on raw values.

    They predict the class of a picture or the instrument of a log-mel.
    """
    name = "class" if patches.kind == "image" else "instrument"
    kept = {split: numbers[patches.labels[name][numbers] != NO_LABEL] for split, numbers in rows.items()}
    labels = {split: patches.labels[name][numbers] for split, numbers in kept.items()}

    def accuracy(features: Callable[[np.ndarray], np.ndarray]) -> float:
        return probe_accuracy(*((features(kept[split]), labels[split]) for split in SPLITS))

    def block_features(numbers: np.ndarray) -> np.ndarray:
        return functional.avg_pool2d(patches.tensor(numbers), STRIDE).flatten(1).numpy()

    most_common = np.bincount(labels["train"]).argmax()
    return {
        "always the most frequent": float((labels["test"] == most_common).mean()),
        "histogram of codes": accuracy(lambda rows: histograms(encode(model, patches, rows).numpy(), model.size)),
        "means of 4 x 4 blocks": accuracy(block_features),
        "raw patch": accuracy(lambda rows: patches.tensor(rows).flatten(1).numpy()),
    }


@torch.no_grad()
def decoded_picture(model: VqVae, code: int) -> torch.Tensor:
    """Centre of a patch of one code only, (channels, 12, 12)."""
    decoded = model.decode(torch.full((1, GRID, GRID), code))[0]
    width, half = STRIDE + 2 * CONTEXT, decoded.shape[-1] // 2
    return decoded[:, half - width // 2 : half + width // 2, half - width // 2 : half + width // 2]


def crop_examples(
    patches: PatchSet, rows: np.ndarray, codes: np.ndarray, code: int, rng: np.random.Generator
) -> Iterator[torch.Tensor]:
    """Yield surroundings of random positions of a code, (channels, 12, 12).

    Edges of patches are repeated.
    """
    positions = np.argwhere(codes == code)
    for number, row, column in positions[rng.permutation(len(positions))[:EXAMPLES]]:
        patch = patches.tensor(rows[number : number + 1])
        padded = functional.pad(patch, (CONTEXT,) * 4, mode="replicate")[0]
        width = STRIDE + 2 * CONTEXT
        yield padded[:, STRIDE * row : STRIDE * row + width, STRIDE * column : STRIDE * column + width]


def plot_codes(
    model: VqVae,
    patches: PatchSet,
    rows: np.ndarray,
    codes: np.ndarray,
    found: dict[str, Information],
    labels: dict[str, Label],
) -> Figure:
    """Plot the codes that tell most about each label.

    Each line has a code's decoded picture and places where it occurs.
    """
    shown = [(name, int(code)) for name, one in found.items() for code in np.argsort(-one.codes)[:SHOWN]]
    figure = Figure(figsize=(EXAMPLES + 4.0, 0.85 * len(shown)))
    grid = figure.subplots(len(shown), EXAMPLES + 1, squeeze=False)
    rng = np.random.default_rng(0)
    for line, (name, code) in zip(grid, shown, strict=True):
        pictures = [decoded_picture(model, code), *crop_examples(patches, rows, codes, code, rng)]
        for axes in line:
            axes.set_axis_off()
        for axes, picture in zip(line, pictures, strict=False):
            axes.imshow(to_picture(picture, patches.kind), interpolation="nearest")
        title = f"{code}: {describe_value(found[name], labels[name], code)}"
        line[0].text(-0.2, 0.5, title, transform=line[0].transAxes, ha="right", va="center", fontsize=8)
    figure.subplots_adjust(left=0.25, right=0.99, top=0.99, bottom=0.01, wspace=0.08, hspace=0.08)
    return figure


def describe_value(information: Information, label: Label, code: int) -> str:
    """The value most typical of a code.

    It comes with its share of the code's positions and of all positions.
    """
    counts = information.counts
    if information.codes[code] <= information.limit:
        return "not significant"
    shares, usual = counts[code] / counts[code].sum(), counts.sum(0) / counts.sum()
    value = int((shares / np.maximum(usual, 1e-9)).argmax())
    return f"{label.names[value]}, {shares[value]:.0%} (of all {usual[value]:.0%})"


def plot_map(vectors: np.ndarray, counts: np.ndarray, names: list[str]) -> Figure:
    """Plot codes by similarity of their vectors.

    The colour is that of the value with the greatest lift.

    Args:
        vectors: (size, code_dim).
        counts: positions by code and value, (size, values).
    """
    used = np.flatnonzero(counts.sum(1))
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots()
    perplexity = min(30.0, (len(used) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors[used])
    lifts = counts[used] / np.maximum(1, counts.sum(0)) / counts[used].sum(1, keepdims=True)
    sizes = 20 + 300 * counts[used].sum(1) / counts.sum(1).max()
    for value, name in enumerate(names):
        chosen = lifts.argmax(1) == value
        across, up = points[chosen].T
        axes.scatter(across, up, s=sizes[chosen], color=colormaps["tab20"](value), label=name, alpha=0.8)
    axes.set_axis_off()
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def is_clean(clip: CachedClip, instrument: str) -> bool:
    return clip.role == "target" and clip.instrument == instrument


@torch.no_grad()
def swap_codes(model: VqVae, counts: np.ndarray, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Replace an instrument's codes in whole clips.

    The classifier names the results, and some are written as audio.

    Args:
        counts: positions by code and instrument.
    """
    cache = read_cache(args.cache, MelConfig())
    classifier = InstrumentClassifier.from_pretrained(args.classifier).eval()
    pipeline = load_model(args.transfer_model)
    vectors = code_vectors(model)
    found = []
    for pair in args.swaps:
        source, target = (INSTRUMENT_NAMES.index(name) for name in pair.split(":"))
        table = torch.from_numpy(swap_table(vectors, counts, source, target))
        clips = [row for row in cache.split("test") if is_clean(cache.clips[row], INSTRUMENT_NAMES[source])]
        shares: dict[str, list[np.ndarray]] = {"clip": [], "codes": [], "swapped": []}
        swapped_share = []
        for number, row in enumerate(np.random.default_rng(0).permutation(clips)[: args.clips]):
            mel = cache.tensor(int(row))[0]
            codes = model.encode(tile(mel))
            swapped_share.append(float((table[codes] != codes).float().mean()))
            made = {"clip": tile(mel), "codes": model.decode(codes), "swapped": model.decode(table[codes])}
            for name, patches in made.items():
                whole = untile(patches.clamp_min(cache.mel.log_floor), cache.mel.n_mels)[None, None]
                shares[name].append(classifier(whole).softmax(1)[0].numpy())
                if number < args.played:
                    path = args.out / "swaps" / f"{pair.replace(':', '_to_')}_{number}_{name}.flac"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(path, pipeline.synthesize(whole)[0].numpy(), cache.mel.sample_rate)
        entry: dict[str, Any] = {"pair": pair, "clips": len(swapped_share), "replaced": float(np.mean(swapped_share))}
        for name, rows in shares.items():
            entry[name] = [float(np.mean([row[index] for row in rows])) for index in (source, target)]
        found.append(entry)
    return found


@torch.no_grad()
def code_vectors(model: VqVae) -> np.ndarray:
    """Vectors of all codes, (size, code_dim)."""
    return model.codebook.vectors(torch.arange(model.size).reshape(1, 1, -1))[0, :, 0].T.numpy()


def information_lines(found: dict[str, Information]) -> Iterator[str]:
    """Table of the labels."""
    heads = ("label", "entropy", "information", "permuted", "explained", "significant codes")
    yield from table_head((*heads, "codes that stand for a value"))
    for name, one in found.items():
        explained = (one.total - one.permuted) / max(one.entropy, 1e-9)
        bits = (f"{value:.3f}" for value in (one.entropy, one.total, one.permuted))
        yield table_row([name, *bits, f"{explained:.1%}", int((one.codes > one.limit).sum()), stands_for(one)])


def swap_lines(swaps: list[dict[str, Any]]) -> Iterator[str]:
    """Table of the swaps, with the classifier's mean probabilities."""
    yield from ("", "## Swapped codes", "")
    yield "Mean probabilities of source and target by the instrument classifier: of the clip, of its reconstruction,"
    yield from ("and with codes of the source replaced by the nearest of the target.", "")
    yield from table_head(["source:target", "clips", "codes replaced", "clip", "codes", "swapped"])
    for entry in swaps:
        shares = (f"{entry[name][0]:.2f}, {entry[name][1]:.2f}" for name in ("clip", "codes", "swapped"))
        yield table_row([entry["pair"], entry["clips"], f"{entry['replaced']:.0%}", *shares])


def explain_codes(args: argparse.Namespace) -> None:
    """Measure the meanings of codes; write page, pictures and audio."""
    model, patches = VqVae.from_pretrained(args.model).eval(), read_patches(args.patches)
    if not model.size:
        raise PatchError(f"{args.model} has no codebook: choose a model with codes")
    rows = {split: patches.rows(split, args.patch_limit) for split in SPLITS}
    test = rows["test"]
    codes, labels = encode(model, patches, test).numpy(), label_positions(patches, test)
    found = {name: measure_information(codes, label, model.size, args.permutations) for name, label in labels.items()}
    described = describe_codes(found, labels)
    main_label = "class" if patches.kind == "image" else "instrument"
    args.out.mkdir(parents=True, exist_ok=True)
    plot_codes(model, patches, test, codes, found, labels).savefig(args.out / "codes.png", dpi=100)
    map_figure = plot_map(code_vectors(model), found[main_label].counts, labels[main_label].names)
    map_figure.savefig(args.out / "map.png", dpi=100)
    probes = probe(model, patches, rows)
    swaps = swap_codes(model, found[main_label].counts, args) if args.cache and patches.kind == "mel" else []
    notes = NOTES.format(
        count=len(test),
        size=model.size,
        used=len(np.unique(codes)),
        permutations=args.permutations,
        share=NAMED_SHARE,
        lift=NAMED_LIFT,
    )
    lines = ["# Meanings of codes", "", notes, *information_lines(found), ""]
    lines += [f"## Probes of the {main_label}", "", *table_head(["features", "accuracy"])]
    lines += [table_row([name, f"{accuracy:.3f}"]) for name, accuracy in probes.items()]
    lines += [
        *(swap_lines(swaps) if swaps else ()),
        "",
        "![codes that tell most](codes.png)",
        "",
        "![map](map.png)",
        "",
    ]
    write_page(args.out, "meanings", {"codes": described, "probes": probes, "swaps": swaps}, "\n".join(lines))


def main(args: argparse.Namespace) -> int:
    return run_command(partial(explain_codes, args), PatchError, CacheError, OSError)
