"""musicnn, a published music tagger trained on real music.

Its tags measure how much an output sounds like its target instrument.

Source: Pons and Serra 2019, arXiv 1909.06654. It was not trained on our data, and no model here is trained against it.
"""

from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import torch

from stylediff.audio import SILENCE_RMS, AudioError, resample

WEIGHTS = Path(__file__).parent.parent / "pretrained" / "musicnn" / "musicnn_mtt.onnx"
SAMPLE_RATE, N_FFT, HOP, BANDS = 16000, 512, 256, 96
PATCH_FRAMES = 187  # three seconds
PATCH_HOP = 62  # frames, a second
PEAK = 0.7
SHORTEST_S = 1.0
TAGS, FEATURES = 50, 200
TAG_OF = {"guitar": 0, "strings": 4, "piano": 9, "violin": 12, "flute": 25, "harp": 42, "cello": 43}


@dataclass(frozen=True)
class Tagging:
    """Output of musicnn for one clip.

    A patch of three seconds starts every second.

    Attributes:
        probabilities: (patches, 50), one for each tag.
        features: (patches, 200) activations of the last hidden layer.
    """

    probabilities: np.ndarray
    features: np.ndarray

    def tag(self, instrument: str) -> float | None:
        """Probability of an instrument's tag, averaged over patches.

        It is None for an instrument without a tag.
        """
        index = TAG_OF.get(instrument)
        return None if index is None else float(self.probabilities[:, index].mean())

    @property
    def mean_features(self) -> np.ndarray:
        """Mean features of the clip, (200,)."""
        return self.features.mean(0)


class Musicnn:
    """The network in ``train/pretrained/musicnn``, on the CPU.

    Raises:
        FileNotFoundError: the weights are missing.
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        if not weights.is_file():
            raise FileNotFoundError(f"musicnn's weights are missing: {weights}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # evaluations use several processes
        self.session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def patches(self, waveform: torch.Tensor, sample_rate: int) -> np.ndarray:
        """Log-mel patches of a waveform, (patches, 187, 96) float32.

        The waveform is scaled to a peak of 0.7.

        A clip shorter than three seconds is repeated, because padding with silence would change the tags.

        Raises:
            AudioError: the clip is shorter than a second, or not one channel of finite samples.
        """
        if waveform.ndim != 1 or not torch.isfinite(waveform).all():
            raise AudioError(f"musicnn takes one channel of finite samples, got {tuple(waveform.shape)}")
        if len(waveform) < SHORTEST_S * sample_rate:
            raise AudioError(f"clip is {len(waveform) / sample_rate:.2f} s; musicnn needs at least {SHORTEST_S} s")
        samples = resample(waveform.detach().float(), sample_rate, SAMPLE_RATE).numpy()
        peak = np.abs(samples).max()
        samples = samples * (PEAK / peak) if peak > SILENCE_RMS else samples
        samples = np.resize(samples, max(len(samples), PATCH_FRAMES * HOP))
        mel = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=BANDS).T
        log_mel = np.log10(10000 * mel + 1).astype(np.float32)
        starts = range(0, len(log_mel) - PATCH_FRAMES + 1, PATCH_HOP)
        return np.stack([log_mel[start : start + PATCH_FRAMES] for start in starts])

    def __call__(self, waveform: torch.Tensor, sample_rate: int) -> Tagging:
        """Tag probabilities and features of a waveform (samples,).

        Raises:
            AudioError: see ``patches``.
        """
        inputs = {"model/mel:0": self.patches(waveform, sample_rate)}
        probabilities, features = self.session.run(["model/tags:0", "model/penultimate:0"], inputs)
        return Tagging(probabilities, features)
