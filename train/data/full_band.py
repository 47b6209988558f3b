"""Clips of the full band, for training the upper band.

    python -m train full-band-clips --midi DIR... --soundfont FILE... --test-soundfont FILE [--recordings DIR] --out DIR

Excerpts are rendered as in ``render-dataset``, at twice the rate. Saved are the log-mels of what the model hears and
the levels of what it does not.
"""

import argparse
import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff.audio import AudioError, loudness_gain, resample
from stylediff.bandwidth import FACTOR, upper_levels
from stylediff.mel import MelConfig, waveform_to_mel
from train.common.cli import run_command
from train.common.files import FolderError, lock_settings
from train.common.parallel import parallel_map
from train.data.augmentation import Degradation
from train.data.excerpts import ScoreError, find_pieces
from train.data.manifest import SPLITS
from train.data.performance import sample_gestures
from train.data.recordings import HELD_OUT, RecordingError, list_recordings, load_recording
from train.data.render_dataset import Plan, render_clip, sample_excerpt, sample_roles
from train.data.soundfonts import SynthesisError, soundfont_voices

FRAMES = 448
CLIPS = 3  # of each excerpt
FIRST_RECORDING = 1_000_000  # groups of renders have smaller numbers
WHOLE = MelConfig()
FULL = replace(WHOLE, sample_rate=FACTOR * WHOLE.sample_rate, hop_length=FACTOR * WHOLE.hop_length,
               n_fft=FACTOR * WHOLE.n_fft)  # fmt: skip


@dataclass(frozen=True)
class FullBandClips:
    """Clips of one split.

    Those of the same group play the same notes.

    Attributes:
        mels: (clips, mels, frames) log-mels.
        levels: (clips, bands, frames) levels of the upper band.
        groups: (clips,).
        voices: voice, or name of the recording, of each clip.
    """

    mels: np.ndarray
    levels: np.ndarray
    groups: np.ndarray
    voices: list[str]


def measure_clip(waveform: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return log-mel and upper levels of a sound, in half precision."""
    lower = resample(waveform, FULL.sample_rate, WHOLE.sample_rate)
    gain = loudness_gain(lower)
    mel = waveform_to_mel(gain * lower[None], WHOLE)[0, 0]
    return mel.half().numpy(), upper_levels(gain * waveform)[:, : mel.shape[-1]].half().numpy()


def make_group(plan: Plan, index: int) -> None:
    """Render and save the clips of one excerpt."""
    path = plan.out / f"{index:06d}.npz"
    if path.is_file():
        return
    rng = np.random.default_rng([plan.seed, index])
    split = plan.split_of(index)
    excerpt = sample_excerpt(plan, split, rng)
    gestures = sample_gestures(excerpt.notes, rng)
    roles = sample_roles(plan, excerpt, split, rng)
    voices = [roles[int(i)][0] for i in rng.permutation(len(roles))[:CLIPS]]
    waveforms = (render_clip(plan, excerpt, gestures, voice, Degradation(), rng)[0] for voice in voices)
    save_clips(path, split, [measure_clip(torch.from_numpy(waveform).float()) for waveform in waveforms], voices)


def save_clips(path: Path, split: str, clips: list[tuple[np.ndarray, np.ndarray]], voices: list[str]) -> None:
    scratch = path.with_suffix(".part")
    with scratch.open("wb") as file:
        mels, levels = (np.stack(parts) for parts in zip(*clips, strict=True))
        np.savez(file, split=split, mels=mels, levels=levels, voices=voices)
    os.replace(scratch, path)


def measure_recordings(folder: Path, out: Path) -> None:
    """Save clips of recordings.

    Those that are held out belong to the test split.
    """
    samples = FRAMES * FULL.hop_length
    for number, recording in enumerate(tqdm(list_recordings(folder), unit="recording")):
        path = out / f"recording_{number:04d}.npz"
        if path.is_file():
            continue
        try:
            waveform = load_recording(recording.path, FULL.sample_rate)
        except AudioError:
            continue
        starts = range(0, len(waveform) - samples, 3 * samples)
        if starts:
            split = "test" if recording.split == HELD_OUT else "train"
            clips = [measure_clip(waveform[start : start + samples]) for start in starts]
            save_clips(path, split, clips, [recording.name] * len(clips))


def read_full_band(folder: Path, split: str) -> FullBandClips:
    """Read the clips of a split.

    Raises:
        FolderError: the folder has none.
    """
    mels, levels, groups, voices = [], [], [], []
    for number, path in enumerate(sorted(folder.glob("*.npz"))):
        with np.load(path) as saved:
            if str(saved["split"]) == split:
                own = list(range(len(saved["mels"])))
                is_recording = path.name.startswith("recording")
                mels.append(saved["mels"])
                levels.append(saved["levels"])
                groups += [FIRST_RECORDING + 1000 * number + clip if is_recording else number for clip in own]
                voices += saved["voices"].tolist()
    if not mels:
        raise FolderError(f"no clips of the {split} split in {folder}; make them with `full-band-clips`")
    return FullBandClips(np.concatenate(mels), np.concatenate(levels), np.array(groups), voices)


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        voices = {name: preset for font in args.soundfont for name, preset in soundfont_voices(font).items()}
        plan = Plan(
            groups=find_pieces(args.midi),
            voices=voices,
            test_voices=soundfont_voices(args.test_soundfont),
            out=args.out,
            samples=FRAMES * FULL.hop_length,
            excerpts=args.test_excerpts + args.excerpts,
            test_excerpts=args.test_excerpts,
            seed=args.seed,
            slow_share=0.0,
            mel=FULL,
        )
        lock_settings(args.out, {"excerpts": args.excerpts, "test_excerpts": args.test_excerpts, "seed": args.seed})
        job, indices = functools.partial(make_group, plan), range(plan.excerpts)
        for _ in tqdm(parallel_map(job, indices, args.workers, chunk_size=4), total=len(indices), unit="excerpt"):
            pass
        if args.recordings:
            measure_recordings(args.recordings, args.out)
        for split in SPLITS:
            print(f"{split}: {len(read_full_band(args.out, split).voices)} clips")

    return run_command(work, ScoreError, SynthesisError, RecordingError, FolderError)
