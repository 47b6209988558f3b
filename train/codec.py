"""What every sound passes through: the codec's stages as rows, and the clips that they are measured on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stylediff import StyleTransferPipeline
from stylediff.audio import fit_length
from stylediff.instruments import get_instrument
from stylediff.mel import griffin_lim, waveform_to_mel
from train.manifest import Clip, ClipGroup, read_manifest
from train.metrics import clip_notes
from train.scores import Note, notes_in_range

ORIGINAL = "original"
VOCODER = "mel, vocoder"
DECODED = "autoencoder, vocoder"
ITERATIONS = (32, 100)  # of Griffin-Lim

# What a stage makes of a waveform (samples,) at the mel's sample rate and the data set's loudness.
Stage = Callable[[torch.Tensor], torch.Tensor]


def griffin_lim_row(stage: str, iterations: int) -> str:
    """Name of the row with Griffin-Lim in the vocoder's place; ``stage`` is "mel" or "autoencoder"."""
    return f"{stage}, Griffin-Lim {iterations}"


@torch.no_grad()
def through_codec(
    waveform: torch.Tensor, pipeline: StyleTransferPipeline, with_autoencoder: bool, iterations: int
) -> torch.Tensor:
    """A waveform's log-mel as sound again.

    Args:
        with_autoencoder: whether the log-mel is encoded and decoded in between.
        iterations: of Griffin-Lim; 0 is the vocoder.
    """
    mel = waveform_to_mel(waveform[None], pipeline.mel)
    if with_autoencoder:
        latents = pipeline.encode_mel(mel)
        mel = pipeline.decode_latents(latents, mel.shape[-1])
    made = griffin_lim(mel, pipeline.mel, iterations) if iterations else pipeline.synthesize(mel)
    return fit_length(made[0], len(waveform))


def build_stages(pipeline: StyleTransferPipeline) -> dict[str, Stage]:
    """Rows by name, in the order of the tables."""

    def stage(with_autoencoder: bool, iterations: int) -> Stage:
        return partial(through_codec, pipeline=pipeline, with_autoencoder=with_autoencoder, iterations=iterations)

    rows: dict[str, Stage] = {ORIGINAL: lambda waveform: waveform}
    for name, vocoded, with_autoencoder in (("mel", VOCODER, False), ("autoencoder", DECODED, True)):
        rows[vocoded] = stage(with_autoencoder, 0)
        rows |= {griffin_lim_row(name, count): stage(with_autoencoder, count) for count in ITERATIONS}
    return rows


@dataclass(frozen=True)
class Specimen:
    """A clip that the codec is measured on.

    Attributes:
        path: of the audio file.
        voice: that plays it.
        instrument: of that voice.
        notes: that it plays; None for a recording, whose notes nobody wrote down.
    """

    path: Path
    voice: str
    instrument: str
    notes: tuple[Note, ...] | None

    def score(self, seconds: float) -> tuple[Note, ...] | None:
        """The notes within a clip of that length."""
        return None if self.notes is None else clip_notes(self.notes, seconds)


def specimen_of(folder: Path, group: ClipGroup, clip: Clip) -> Specimen:
    notes = notes_in_range(group.notes, get_instrument(clip.instrument)) if group.paired else None
    return Specimen(folder / clip.file, clip.voice, clip.instrument, notes)


def choose_specimens(folders: list[Path], count: int) -> list[Specimen]:
    """That many clips of each voice, or all there are, from pieces that were not trained on, and of recordings.

    Test pieces come first; none of these clips was degraded. The order is random, the same every time, and a larger
    count only continues it.

    Args:
        folders: data sets; in those of ``import_recordings`` every split counts, since no codec was trained on them.
    """
    found: dict[str, list[Specimen]] = {}
    for folder in folders:
        groups = read_manifest(folder)
        for split in ("test", "validation", "train"):
            chosen = [g for g in groups if g.split == split and (split != "train" or not g.paired)]
            order = np.random.default_rng(0).permutation(len(chosen))
            for group in (chosen[number] for number in order):
                for clip in group.clips:
                    found.setdefault(clip.voice, []).append(specimen_of(folder, group, clip))
    return [specimen for voice in sorted(found) for specimen in found[voice][:count]]
