"""Features of sound and of its picture, for Fréchet distances: our classifier's, or those of public networks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from stylediff.audio import resample
from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from train.classifier import InstrumentClassifier
from train.waveforms import levelled_mel

# Features (windows, dimensions) of a waveform (samples,) at the mel's sample rate.
Embedding = Callable[[torch.Tensor], np.ndarray]

WINDOW_FRAMES = 86  # about a second


def split_windows(mel: torch.Tensor) -> torch.Tensor:
    """Whole windows of a log-mel (1, 1, mels, frames), or a shorter one as it is: (windows, 1, mels, frames)."""
    whole = max(1, mel.shape[-1] // WINDOW_FRAMES)
    return torch.cat(mel[..., : whole * WINDOW_FRAMES].chunk(whole, dim=-1))


class ClassifierEmbedding:
    """Penultimate activations of the instrument classifier, a second at a time; needs no network connection."""

    def __init__(self, folder: Path) -> None:
        self.classifier = InstrumentClassifier.from_pretrained(folder).eval()

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        return self.classifier.features(split_windows(levelled_mel(waveform, self.classifier.mel))).numpy()


class VggishEmbedding:
    """VGGish (Hershey et al. 2017, arXiv 1609.09430), the features of the original Fréchet audio distance."""

    SAMPLE_RATE = 16000

    def __init__(self) -> None:
        self.network = torch.hub.load("harritaylor/torchvggish", "vggish", trust_repo=True).eval()
        self.network.postprocess = False

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        samples = resample(waveform, MelConfig().sample_rate, self.SAMPLE_RATE)
        return np.atleast_2d(self.network.forward(samples.numpy(), self.SAMPLE_RATE).cpu().numpy())


class ClapEmbedding:
    """CLAP trained on music (Wu et al. 2023, arXiv 2211.06687), one vector a clip; needs the package transformers."""

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


def draw_picture(waveform: torch.Tensor) -> torch.Tensor:
    """The spectrogram picture of a waveform (samples,), as the page shows it: (3, height, width) between 0 and 1."""
    config = MelConfig()
    mel = levelled_mel(waveform, config)[0, 0]
    return torch.from_numpy(mels_to_image([mel], config)).permute(2, 0, 1).float() / 255


class PixelEmbedding:
    """The picture itself, averaged over a grid of cells, half a second wide; needs no network connection."""

    ROWS = 32

    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        grey = draw_picture(waveform).mean(0)
        columns = max(1, round(grey.shape[1] / (WINDOW_FRAMES / 2)))
        return functional.adaptive_avg_pool2d(grey[None, None], (self.ROWS, columns))[0, 0].T.numpy()


class InceptionEmbedding:
    """Inception v3 on the picture, as in the Fréchet inception distance, with torchvision's ImageNet weights."""

    SIZE = 299

    def __init__(self) -> None:
        self.network = torch.hub.load("pytorch/vision", "inception_v3", weights="IMAGENET1K_V1", trust_repo=True).eval()
        self.network.fc = torch.nn.Identity()

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        picture = draw_picture(waveform)[None]
        resized = functional.interpolate(picture, (self.SIZE, self.SIZE), mode="bilinear", antialias=True)
        return self.network(2 * resized - 1).numpy()


def load_embedding(name: str, classifier: Path) -> Embedding:
    """An embedding by name.

    Args:
        name: one of EMBEDDINGS.
        classifier: folder of the instrument classifier, for the embedding of that name.

    Raises:
        ValueError: no such embedding, or its network cannot be had here; the message says why.
    """
    if name not in EMBEDDINGS:
        raise ValueError(f"unknown embedding {name!r}; choose one of {', '.join(EMBEDDINGS)}")
    try:
        return ClassifierEmbedding(classifier) if name == "classifier" else EMBEDDINGS[name]()
    except (ImportError, OSError) as error:
        raise ValueError(f"the embedding {name!r} cannot be loaded here: {error}") from error


EMBEDDINGS: dict[str, type] = {
    "classifier": ClassifierEmbedding,
    "pixels": PixelEmbedding,
    "vggish": VggishEmbedding,
    "clap": ClapEmbedding,
    "inception": InceptionEmbedding,
}
