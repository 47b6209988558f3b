"""Stages of the codec, and the clips to measure them on."""

import itertools
import zlib
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
from stylediff.notes import Note
from train.data.manifest import ClipGroup, ClipRecord, ManifestError, read_manifest
from train.data.notes import clip_notes, is_one_voice, notes_in_range
from train.evaluation.metrics.notes import HELD_SECONDS

ORIGINAL = "original"
ALL_PASS = "original, all-pass"
VOCODER = "mel, vocoder"
DECODED = "autoencoder, vocoder"
ITERATIONS = (32, 100)  # iterations of Griffin-Lim
KNOT_HZ = 250.0  # distance of knots, between which the all-pass filter's phase is linear
KNOT_RADIANS = np.pi / 2  # deviation of the change between knots, a delay of one millisecond

# maps a waveform (samples,), at the mel's sample rate and the data set's loudness, to another
Stage = Callable[[torch.Tensor], torch.Tensor]


def griffin_lim_row(stage: str, iterations: int) -> str:
    """Return the name of a stage with Griffin-Lim as the vocoder.

    ``stage`` is "mel" or "autoencoder".
    """
    return f"{stage}, Griffin-Lim {iterations}"


def all_pass(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Change the phases of a waveform, but not its magnitudes.

    Each partial is delayed by about a millisecond.

    Nothing that a vocoder should preserve is lost, so a change in a metric is the effect of phases alone.
    """
    spectrum = torch.fft.rfft(waveform)
    frequencies = np.fft.rfftfreq(len(waveform), 1 / sample_rate)
    knots = np.arange(0, sample_rate / 2 + KNOT_HZ, KNOT_HZ)
    walk = np.cumsum(KNOT_RADIANS * np.random.default_rng(0).standard_normal(len(knots)))
    phase = torch.from_numpy(np.interp(frequencies, knots, walk - walk[0])).to(waveform)
    return torch.fft.irfft(spectrum * torch.polar(torch.ones_like(phase), phase), len(waveform))


@torch.no_grad()
def through_codec(
    waveform: torch.Tensor, pipeline: StyleTransferPipeline, with_autoencoder: bool, iterations: int
) -> torch.Tensor:
    """Convert a waveform to a log-mel and back.

    Args:
        with_autoencoder: True to encode and decode the log-mel in between.
        iterations: iterations of Griffin-Lim; 0 uses the vocoder.
    """
    mel = waveform_to_mel(waveform[None].to(pipeline.device), pipeline.mel)
    if with_autoencoder:
        latents = pipeline.encode_mel(mel)
        mel = pipeline.decode_latents(latents, mel.shape[-1])
    made = griffin_lim(mel, pipeline.mel, iterations) if iterations else pipeline.synthesize(mel)
    return fit_length(made[0].cpu(), len(waveform))


def build_stages(pipeline: StyleTransferPipeline) -> dict[str, Stage]:
    """Build the stages by name, in the order of the tables."""

    def stage(with_autoencoder: bool, iterations: int) -> Stage:
        return partial(through_codec, pipeline=pipeline, with_autoencoder=with_autoencoder, iterations=iterations)

    rows: dict[str, Stage] = {ORIGINAL: lambda waveform: waveform}
    rows[ALL_PASS] = partial(all_pass, sample_rate=pipeline.mel.sample_rate)
    for name, vocoded, with_autoencoder in (("mel", VOCODER, False), ("autoencoder", DECODED, True)):
        rows[vocoded] = stage(with_autoencoder, 0)
        rows |= {griffin_lim_row(name, count): stage(with_autoencoder, count) for count in ITERATIONS}
    return rows


@dataclass(frozen=True)
class UnseenClip:
    """A clip that no codec was trained on.

    Attributes:
        path: path of the audio file.
        voice: voice that plays.
        instrument: instrument of the voice.
        notes: notes of the clip; None for a recording, whose notes are unknown.
    """

    path: Path
    voice: str
    instrument: str
    notes: tuple[Note, ...] | None

    def notes_within(self, seconds: float) -> tuple[Note, ...] | None:
        """Notes within a clip of a length."""
        return None if self.notes is None else clip_notes(self.notes, seconds)


def describe_unseen_clip(folder: Path, group: ClipGroup, clip: ClipRecord) -> UnseenClip:
    notes = notes_in_range(group.notes, get_instrument(clip.instrument)) if group.paired else None
    return UnseenClip(folder / clip.file, clip.voice, clip.instrument, notes)


def is_steady(clip: UnseenClip) -> bool:
    """Return True if a clip's pitch can be tracked.

    Such a clip is monophonic and has a held note.
    """
    notes = clip.notes or ()
    return is_one_voice(notes) and any(note.end - note.start >= HELD_SECONDS for note in notes)


def interleave(clips: list[UnseenClip]) -> list[UnseenClip]:
    """Alternate clips whose pitch can be tracked with others."""
    steady, others = ([s for s in clips if is_steady(s) == wanted] for wanted in (True, False))
    pairs = itertools.zip_longest(steady, others)
    return [clip for pair in pairs for clip in pair if clip is not None]


def choose_unseen_clips(folders: list[Path], count: int) -> list[UnseenClip]:
    """Choose clips of each voice that were not used in training.

    Recordings count as voices. Test pieces come first, and no clip is degraded. The order of each voice's clips is
    reproducible, and a larger count extends it.

    Args:
        folders: data sets; all splits of those of ``import_recordings`` are used, since no codec was trained on them.

    Raises:
        ManifestError: a data set is missing, or there are no such clips.
    """
    found: dict[str, dict[str, list[UnseenClip]]] = {}
    for folder in folders:
        for group in read_manifest(folder):
            if group.split != "train" or not group.paired:
                for clip in group.clips:
                    splits = found.setdefault(clip.voice, {})
                    splits.setdefault(group.split, []).append(describe_unseen_clip(folder, group, clip))
    chosen = []
    for voice, splits in sorted(found.items()):
        rng = np.random.default_rng(zlib.crc32(voice.encode()))
        ordered = []
        for split in ("test", "validation", "train"):
            clips = splits.get(split, [])
            ordered += interleave([clips[number] for number in rng.permutation(len(clips))])
        chosen += ordered[:count]
    if not chosen:
        raise ManifestError(f"{', '.join(map(str, folders))}: no recordings and no clips of unseen pieces")
    return chosen
