"""Codes: hear and see what a codebook keeps of a clip.

python -m stylediff.codes clip.wav --size 256 -o coded.wav
"""

import argparse
import math
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from diffusers.utils import logging

from stylediff.audio import read_audio, to_mono, write_audio
from stylediff.checkpoint import SHIPPED, CheckpointError, load_pipeline
from stylediff.code_model import GRID, PATCH, CodeModel
from stylediff.containers import KINDS, writing_problem
from stylediff.mel import MelConfig, normalized_mel
from stylediff.pipeline import StyleTransferPipeline
from stylediff.plotting import DECIBELS, code_figure
from stylediff.settings import CheckedSettings, SettingError, add_flags, declare, read_flags

FOLDER = SHIPPED / "codes"
SIZES = (16, 64, 256, 1024)  # of the codebooks that ship
TABLE = "meanings.npz"
LABELS = ("instrument", "pitch", "onset", "band")  # that a code may stand for
PICTURE = 12  # height and width of a code's pictures: its own 4 x 4 values and 4 on each side
PICTURES = 3  # places where a code occurs, of each code


@dataclass(frozen=True, kw_only=True)
class CodeSettings(CheckedSettings):
    """Settings of coding a clip."""

    size: str = declare("256", "codes of the codebook", choices=tuple(map(str, SIZES)))


@dataclass(frozen=True)
class CodeMeanings:
    """Meanings of a codebook's codes, measured on unseen clips.

    Attributes:
        positions: places in these clips at which each code occurs, (size,).
        level_db: mean level of these places above the floor of the spectrogram, (size,).
        values: by label, the value that is most typical of each code, (size,). It is -1 where the code tells no more
            about the label than a code tells by chance.
        shares: by label, share of the code's places that have this value, (size,).
        usual: by label, share of all places that have it, (size,).
        names: by label, the names of its values.
        pictures: places where each code occurs, (size, ``PICTURES``, 12, 12) uint8: 0 is the floor, low bands first.
    """

    positions: np.ndarray
    level_db: np.ndarray
    values: dict[str, np.ndarray]
    shares: dict[str, np.ndarray]
    usual: dict[str, np.ndarray]
    names: dict[str, list[str]]
    pictures: np.ndarray

    def write(self, path: Path) -> None:
        """Write one compressed file."""
        arrays = {"positions": self.positions.astype(np.int32), "level_db": self.level_db.astype(np.float16)}
        for label in LABELS:
            arrays |= {
                f"{label}_values": self.values[label].astype(np.int8),
                f"{label}_shares": self.shares[label].astype(np.float16),
                f"{label}_usual": self.usual[label].astype(np.float16),
                f"{label}_names": np.array(self.names[label]),
            }
        np.savez_compressed(path, **arrays, pictures=self.pictures)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> "CodeMeanings":
        """Read the file.

        Raises:
            OSError: it is missing.
        """
        with np.load(path) as stored:
            return cls(
                positions=stored["positions"],
                level_db=stored["level_db"],
                values={label: stored[f"{label}_values"] for label in LABELS},
                shares={label: stored[f"{label}_shares"] for label in LABELS},
                usual={label: stored[f"{label}_usual"] for label in LABELS},
                names={label: stored[f"{label}_names"].tolist() for label in LABELS},
                pictures=stored["pictures"],
            )


@dataclass(frozen=True)
class CodeDictionary:
    """A codebook, and what its codes stand for."""

    model: CodeModel
    meanings: CodeMeanings

    @classmethod
    def load(cls, folder: Path) -> "CodeDictionary":
        """Load the folder that ``python -m train code-dictionary`` wrote.

        Raises:
            CheckpointError: it is incomplete.
        """
        try:
            model = CodeModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
            return cls(model, CodeMeanings.read(folder / TABLE))
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"cannot load codes from {folder}: {error}") from error

    def colours(self) -> np.ndarray:
        """Colours of the codes, (size, 3) uint8; similar codes have similar ones.

        They are the three main components of the vectors, by rank.
        """
        vectors = self.model.vectors.detach().double()
        centred = vectors - vectors.mean(0)
        _, _, components = torch.linalg.svd(centred, full_matrices=False)
        scores = centred @ components[:3].T
        ranks = scores.argsort(0).argsort(0).double() / max(1, len(scores) - 1)
        return (60 + 195 * ranks).round().numpy().astype(np.uint8)

    @torch.no_grad()
    def pictures(self, code: int) -> np.ndarray:
        """The code decoded alone, then places where it occurs.

        Returns (1 + ``PICTURES``, 12, 12) uint8.
        """
        first = (PATCH - PICTURE) // 2
        whole = self.model.decode(torch.full((GRID, GRID), code), PATCH)
        decoded = whole[first : first + PICTURE, first : first + PICTURE]
        return np.concatenate([to_grey(decoded.numpy(), self.model.mel)[None], self.meanings.pictures[code]])


def to_grey(mel: np.ndarray, config: MelConfig) -> np.ndarray:
    """Log-mel values as uint8: 0 is the floor, 255 8 nepers above."""
    return np.clip((mel - config.log_floor) / 8 * 255, 0, 255).round().astype(np.uint8)


@lru_cache(maxsize=len(SIZES))
def load_dictionary(size: int) -> CodeDictionary:
    """A codebook that ships.

    Raises:
        ValueError: there is none of this size.
        CheckpointError: it cannot be loaded.
    """
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(map(str, SIZES))}, got {size}")
    return CodeDictionary.load(FOLDER / str(size))


@dataclass(frozen=True)
class CodedClip:
    """A clip in codes.

    Attributes:
        audio: (samples,), made from the codes, as loud as the clip.
        sample_rate: Hz.
        codes: (mels / 4, frames / 4) integers, low bands first.
        source_mel, mel: log-mels of the clip and of its codes, (mels, frames).
        size: number of codes of the codebook.
    """

    audio: torch.Tensor
    sample_rate: int
    codes: torch.Tensor
    source_mel: torch.Tensor
    mel: torch.Tensor
    size: int

    @property
    def used(self) -> int:
        """Number of different codes in the clip."""
        return len(self.codes.unique())

    @property
    def error_db(self) -> float:
        """Mean absolute error of the log-mel, in dB."""
        return float((self.mel - self.source_mel).abs().mean()) * float(DECIBELS)

    @property
    def bits_per_second(self) -> float:
        """Bits that name the codes of a second."""
        seconds = len(self.audio) / self.sample_rate
        return self.codes.numel() * math.log2(self.size) / seconds

    def describe(self) -> str:
        """Describe the clip in one line."""
        return (
            f"{self.used} of {self.size} codes, {self.bits_per_second / 1000:.1f} kbit/s, "
            f"mean error {self.error_db:.1f} dB"
        )


@torch.no_grad()
def code_clip(
    pipeline: StyleTransferPipeline, waveform: torch.Tensor | np.ndarray, sample_rate: int, dictionary: CodeDictionary
) -> CodedClip:
    """Turn a clip into codes and back into sound.

    Args:
        pipeline: its vocoder makes the sound.
        waveform: (samples,) or (channels, samples) in [-1, 1].
        sample_rate: Hz.

    Raises:
        AudioError: a waveform that cannot be used.
        ValueError: codes that were made for other spectrograms.
    """
    pipeline.mel.require_same(dictionary.model.mel, "the codes")
    mono = to_mono(waveform, sample_rate, pipeline.mel.sample_rate)
    source_mel, gain = normalized_mel(mono, pipeline.mel)
    codes = dictionary.model.encode(source_mel[0, 0])
    mel = dictionary.model.decode(codes, source_mel.shape[-1])
    made = pipeline.synthesize(mel[None, None].to(pipeline.device))[0].cpu()
    return CodedClip(
        made[: len(mono)] / gain, pipeline.mel.sample_rate, codes, source_mel[0, 0], mel, dictionary.model.size
    )


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stylediff.codes", description="Codes a clip with a codebook of sounds.")
    parser.add_argument("source", type=Path, help=KINDS)
    parser.add_argument("-o", "--out", type=Path, required=True, help="output file (.wav or .flac)")
    parser.add_argument("--picture", type=Path, help="picture of both spectrograms and of the codes (.png)")
    parser.add_argument("--table", type=Path, help="the codes as a NumPy array (.npy), low bands first")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--model", help="folder or Hub id of other weights")
    add_flags(parser, CodeSettings)
    args = parser.parse_args(arguments)
    try:
        args.settings = read_flags(args, CodeSettings)
    except SettingError as error:
        parser.error(str(error))
    for path, endings in ((args.out, (".wav", ".flac")), (args.picture, (".png",)), (args.table, (".npy",))):
        if path is not None and (problem := writing_problem(path, endings, args.force)):
            parser.error(problem)
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        samples, sample_rate = read_audio(args.source)
        dictionary = load_dictionary(int(args.settings.size))
        coded = code_clip(load_pipeline(args.model), torch.from_numpy(samples), sample_rate, dictionary)
        write_audio(args.out, coded.audio, coded.sample_rate)
        if args.picture:
            shown = dictionary.colours()[coded.codes.numpy()]
            code_figure(coded.source_mel, coded.mel, shown, dictionary.model.mel).save(args.picture)
        if args.table:
            np.save(args.table, coded.codes.numpy())
    except (CheckpointError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(args.out)
    print(coded.describe(), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
