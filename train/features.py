"""Features of every output of an evaluation, kept by row, and the Fréchet distances between rows."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from train.embeddings import Embedding, load_embedding
from train.frechet import compare_sets
from train.waveforms import load_waveform
from train.workers import results_of

FEW = 64  # files for which other processes are not worth their start

Features = dict[str, np.ndarray]  # by the name of the audio file, (windows, dimensions) each


@lru_cache(maxsize=1)
def cached_embedding(name: str, classifier: Path) -> Embedding:
    return load_embedding(name, classifier)


def embed(path: Path, name: str, classifier: Path) -> tuple[str, np.ndarray]:
    """An audio file's name and its features."""
    return path.name, cached_embedding(name, classifier)(load_waveform(path))


def embed_folder(folder: Path, kept: Path, name: str, classifier: Path, workers: int) -> Features:
    """Features of the audio files in a folder; those that ``kept`` (.npz) already holds are not made again.

    Args:
        name: of the embedding.
        classifier: folder of the instrument classifier.
    """
    features: Features = dict(np.load(kept)) if kept.is_file() else {}
    missing = [path for path in sorted(folder.glob("*.flac")) if path.name not in features]
    if missing:
        workers = workers if len(missing) > FEW else 1
        made = results_of(partial(embed, name=name, classifier=classifier), missing, workers, chunk_size=8)
        features |= dict(tqdm(made, total=len(missing), unit="clip", desc=f"{name}, {folder.name}"))
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_suffix(".part.npz")
        np.savez(scratch, **features)  # type: ignore[arg-type]
        scratch.replace(kept)
    return features


def compare_features(ours: Features, theirs: Features, names: list[str]) -> dict[str, float]:
    """Fréchet distance of the files of these names, its extrapolation to infinitely many, and the number of windows."""
    mine, reference = (np.concatenate([features[name] for name in names]) for features in (ours, theirs))
    return compare_sets(mine, reference)
