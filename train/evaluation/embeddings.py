"""Embeddings of sound and of spectrogram pictures, for Fréchet distances."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from stylediff.audio import resample
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from train.common.parallel import parallel_map
from train.data.waveforms import load_waveform, normalized_mel
from train.models.instrument_classifier import InstrumentClassifier

SUBSETS = 12  # subset sizes for the extrapolation
SMALLEST_SHARE = 0.3


def frechet_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Fréchet distance of Gaussians fitted to features.

    Source: Heusel et al. 2017, arXiv 1706.08500, eq. 6.

    For features of sound it is the Fréchet audio distance (Kilgour et al. 2019, arXiv 1812.08466).

    Args:
        ours, theirs: (samples, dimensions) each, at least two samples.

    Raises:
        ValueError: too few samples, or features that differ in size.
    """
    if min(len(ours), len(theirs)) < 2 or ours.shape[1:] != theirs.shape[1:]:
        raise ValueError(f"cannot compare features of shapes {ours.shape} and {theirs.shape}")
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (ours, theirs)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # The trace of a product's square root, computed from a symmetric matrix with real eigenvalues.
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    gap = np.square(ours.mean(0) - theirs.mean(0)).sum()
    return float(gap + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross)


def compare_sets(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Fréchet distance of two feature sets, for a report.

    Returns the distance, its extrapolation, and the number of our samples.
    """
    return {
        "distance": frechet_distance(ours, theirs),
        "infinity": frechet_infinity(ours, theirs),
        "windows": len(ours),
    }


def frechet_infinity(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Extrapolate the distance to infinitely many samples.

    The bias is proportional to 1 / samples.

    A line is fitted to the distances of random subsets over 1 / size and read at 0 (Chong and Forsyth 2020, arXiv
    1911.07023; for audio, Gui et al. 2023, arXiv 2311.01616).

    Args:
        ours, theirs: (samples, dimensions) each.
    """
    random = np.random.default_rng(0)
    sizes = np.linspace(max(2, SMALLEST_SHARE * len(ours)), len(ours), SUBSETS).astype(int)
    distances = [frechet_distance(random.permutation(ours)[:size], theirs) for size in sizes]
    return float(np.polyfit(1 / sizes, distances, 1)[1])


# features (windows, dimensions) of a waveform (samples,) at the mel's sample rate
Embedding = Callable[[torch.Tensor], np.ndarray]

WINDOW_FRAMES = 86  # about a second


def split_windows(mel: torch.Tensor) -> torch.Tensor:
    """Split a log-mel into windows (windows, 1, mels, frames).

    A log-mel (1, 1, mels, frames) shorter than a window is one window.
    """
    whole = max(1, mel.shape[-1] // WINDOW_FRAMES)
    return torch.cat(mel[..., : whole * WINDOW_FRAMES].chunk(whole, dim=-1))


class ClassifierEmbedding:
    """Penultimate activations of the instrument classifier, per second.

    It needs no network connection.
    """

    def __init__(self, folder: Path) -> None:
        self.classifier = InstrumentClassifier.from_pretrained(folder).eval()

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        return self.classifier.features(split_windows(normalized_mel(waveform, self.classifier.mel))).numpy()


class VggishEmbedding:
    """VGGish, the features of the original Fréchet audio distance.

    Source: Hershey et al. 2017, arXiv 1609.09430.
    """

    SAMPLE_RATE = 16000

    def __init__(self) -> None:
        self.network = torch.hub.load("harritaylor/torchvggish", "vggish", trust_repo=True).eval()
        self.network.postprocess = False

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        samples = resample(waveform, MelConfig().sample_rate, self.SAMPLE_RATE)
        return np.atleast_2d(self.network.forward(samples.numpy(), self.SAMPLE_RATE).cpu().numpy())


class ClapEmbedding:
    """CLAP trained on music, one vector per clip.

    Source: Wu et al. 2023, arXiv 2211.06687. It needs the package transformers.
    """

    SAMPLE_RATE, MODEL = 48000, "laion/larger_clap_music"

    def __init__(self) -> None:
        from transformers import ClapModel, ClapProcessor

        self.network = ClapModel.from_pretrained(self.MODEL).eval()
        self.processor = ClapProcessor.from_pretrained(self.MODEL)

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        samples = resample(waveform, MelConfig().sample_rate, self.SAMPLE_RATE).numpy()
        inputs = self.processor(audios=samples, sampling_rate=self.SAMPLE_RATE, return_tensors="pt")
        return self.network.get_audio_features(**inputs).numpy()


def plot_picture(waveform: torch.Tensor) -> torch.Tensor:
    """Plot the spectrogram picture of a waveform, as the page shows it.

    Returns (3, height, width) between 0 and 1.
    """
    config = MelConfig()
    mel = normalized_mel(waveform, config)[0, 0]
    return torch.from_numpy(mels_to_image([mel], config)).permute(2, 0, 1).float() / 255


class PixelEmbedding:
    """Spectrogram picture, averaged over a grid of cells.

    A cell is half a second wide. It needs no network connection.
    """

    ROWS = 32

    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        grey = plot_picture(waveform).mean(0)
        columns = max(1, round(grey.shape[1] / (WINDOW_FRAMES / 2)))
        return functional.adaptive_avg_pool2d(grey[None, None], (self.ROWS, columns))[0, 0].T.numpy()


class InceptionEmbedding:
    """Inception v3 on the spectrogram picture, with torchvision's ImageNet weights.

    These are the features of the Fréchet inception distance.
    """

    SIZE = 299

    def __init__(self) -> None:
        self.network = torch.hub.load("pytorch/vision", "inception_v3", weights="IMAGENET1K_V1", trust_repo=True).eval()
        self.network.fc = torch.nn.Identity()

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        picture = plot_picture(waveform)[None]
        resized = functional.interpolate(picture, (self.SIZE, self.SIZE), mode="bilinear", antialias=True)
        return self.network(2 * resized - 1).numpy()


def load_embedding(name: str, classifier: Path) -> Embedding:
    """Load an embedding by name.

    Args:
        name: one of EMBEDDINGS.
        classifier: folder of the instrument classifier, for the embedding "classifier".

    Raises:
        ValueError: unknown embedding, or its network cannot be loaded; the message says why.
    """
    if name not in EMBEDDINGS:
        raise ValueError(f"unknown embedding {name!r}; choose one of {', '.join(EMBEDDINGS)}")
    try:
        return ClassifierEmbedding(classifier) if name == "classifier" else EMBEDDINGS[name]()
    except (ImportError, OSError) as error:
        raise ValueError(f"the embedding {name!r} cannot be loaded: {error}") from error


EMBEDDINGS: dict[str, type] = {
    "classifier": ClassifierEmbedding,
    "pixels": PixelEmbedding,
    "vggish": VggishEmbedding,
    "clap": ClapEmbedding,
    "inception": InceptionEmbedding,
}

FEW = 64  # for fewer files, starting processes does not pay off

Features = dict[str, np.ndarray]  # by audio file, (windows, dimensions) each


@lru_cache(maxsize=1)
def cached_embedding(name: str, classifier: Path) -> Embedding:
    return load_embedding(name, classifier)


def embed(path: Path, name: str, classifier: Path) -> tuple[str, np.ndarray]:
    """Name of an audio file and its features."""
    return path.name, cached_embedding(name, classifier)(load_waveform(path))


def embed_folder(folder: Path, kept: Path, name: str, classifier: Path, workers: int) -> Features:
    """Embed the audio files of a folder.

    Features already in ``kept`` (.npz) are reused.

    Args:
        name: name of the embedding.
        classifier: folder of the instrument classifier.
    """
    features: Features = dict(np.load(kept)) if kept.is_file() else {}
    missing = [path for path in sorted(folder.glob("*.flac")) if path.name not in features]
    if missing:
        workers = workers if len(missing) > FEW else 1
        made = parallel_map(partial(embed, name=name, classifier=classifier), missing, workers, chunk_size=8)
        features |= dict(tqdm(made, total=len(missing), unit="clip", desc=f"{name}, {folder.name}"))
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_suffix(".part.npz")
        np.savez(scratch, **features)  # type: ignore[arg-type]
        scratch.replace(kept)
    return features


def compare_features(ours: Features, theirs: Features, names: list[str]) -> dict[str, float]:
    """Fréchet distance between the features of some files.

    Returns the distance, its extrapolation to infinitely many samples, and the number of windows.
    """
    mine, reference = (np.concatenate([features[name] for name in names]) for features in (ours, theirs))
    return compare_sets(mine, reference)
