"""Make the codebooks that ship from trained VQ-VAEs.

    python -m train code-dictionary --models RUN/16/vqvae RUN/512/vqvae --patches DIR --out DIR

Each gets a folder named by its number of codes: encoder, codebook and decoder in half precision, and what the codes
stand for in the test split.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stylediff.code_model import CodeModel
from stylediff.codes import LABELS, PICTURE, PICTURES, TABLE, CodeMeanings, to_grey
from stylediff.mel import MelConfig
from stylediff.plotting import DECIBELS
from train.common.cli import run_command
from train.data.manifest import SPLITS
from train.data.patches import PatchError, PatchSet, read_patches
from train.evaluation.code_information import Information, block_means, label_positions, measure_information
from train.evaluation.code_metrics import encode
from train.experiments.code_meanings import code_vectors, crop_examples
from train.models.vqvae import VqVae

LABEL_NAMES = {"instrument": "instrument", "pitch": "pitch class", "onset": "onset", "band": "band"}


def export_model(trained: VqVae, mel: MelConfig) -> CodeModel:
    """Encoder, codebook and decoder of a trained VQ-VAE of log-mels."""
    config = trained.config
    shared = {name: config[name] for name in ("width", "residual_width", "blocks", "code_dim", "mean", "deviation")}
    model = CodeModel(mel.to_dict(), size=trained.size, **shared)
    model.encoder.load_state_dict(trained.encoder.state_dict())
    model.decoder.load_state_dict(trained.decoder.state_dict())
    model.vectors.data.copy_(torch.from_numpy(code_vectors(trained)))
    return model


def typical_values(found: Information) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The value of a label that is most typical of each code.

    Returns value, its share of the code's positions, and its share of all positions, each (size,). The value is -1
    where the code tells no more than any code does by chance.
    """
    counts = found.counts
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    usual = counts.sum(0) / max(1, counts.sum())
    values = (shares / np.maximum(usual, 1e-9)).argmax(1)
    typical = np.take_along_axis(shares, values[:, None], 1)[:, 0]
    return np.where(found.codes > found.limit, values, -1), typical, usual[values]


def find_meanings(model: VqVae, patches: PatchSet, rows: np.ndarray, permutations: int) -> CodeMeanings:
    """Measure what the codes stand for in some patches."""
    codes, labels = encode(model, patches, rows).numpy(), label_positions(patches, rows)
    found = {
        name: measure_information(codes, labels[label], model.size, permutations) for name, label in LABEL_NAMES.items()
    }
    typical = {name: typical_values(one) for name, one in found.items()}
    positions = np.bincount(codes.ravel(), minlength=model.size)
    levels = np.concatenate([block_means(batch)[:, 0].numpy() for batch in patches.batches(rows)])
    floor, rng = MelConfig().log_floor, np.random.default_rng(0)
    sums = np.bincount(codes.ravel(), (levels - floor).ravel(), model.size)
    pictures = np.zeros((model.size, PICTURES, PICTURE, PICTURE), np.uint8)
    for code in np.flatnonzero(positions):
        crops = crop_examples(patches, rows, codes, int(code), rng)
        for number, crop in zip(range(PICTURES), crops, strict=False):
            pictures[code, number] = to_grey(crop[0].numpy(), MelConfig())
    return CodeMeanings(
        positions=positions,
        level_db=float(DECIBELS) * sums / np.maximum(1, positions),
        values={name: typical[name][0] for name in LABELS},
        shares={name: typical[name][1] for name in LABELS},
        usual={name: typical[name][2] for name in LABELS},
        names={name: labels[label].names for name, label in LABEL_NAMES.items()},
        pictures=pictures,
    )


def make_dictionary(args: argparse.Namespace) -> None:
    """Write a folder for each model."""
    patches = read_patches(args.patches)
    if patches.kind != "mel":
        raise PatchError(f"{args.patches} has pictures; patches of log-mels are needed")
    rows = patches.rows(SPLITS[2], args.patch_limit)
    for folder in args.models:
        trained = VqVae.from_pretrained(folder).eval()
        if not trained.size:
            raise PatchError(f"{folder} has no codebook: choose a model with codes")
        out: Path = args.out / str(trained.size)
        export_model(trained, MelConfig()).half().save_pretrained(out)
        find_meanings(trained, patches, rows, args.permutations).write(out / TABLE)
        print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.2f} MB")


def main(args: argparse.Namespace) -> int:
    return run_command(partial(make_dictionary, args), PatchError, OSError)
