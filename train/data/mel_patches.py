"""Patches of log-mels from a mel cache, labelled by the scores.

    python -m train mel-patches --cache MELS --data DATASET --out DIR

Patches lie at a multiple of 32 bands and at any frame. Instruments are equally frequent. Only clean renders are used,
and only patches that contain sound.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stylediff.code_model import PATCH
from stylediff.instruments import INSTRUMENT_NAMES, get_instrument
from stylediff.mel import MelConfig
from stylediff.notes import Note
from train.common.cli import run_command
from train.data.manifest import SPLITS, ManifestError, read_manifest
from train.data.mel_cache import CacheError, MelCache, read_cache
from train.data.notes import notes_in_range
from train.data.patches import NO_LABEL, PatchError, PatchSet, write_patches

SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}
QUIETEST = 3.0  # nepers above the floor that a patch's loudest value must reach: 26 dB
TRIES = 50  # positions to try for a patch with sound


def read_notes(cache: MelCache, data: Path) -> list[tuple[Note, ...]]:
    """Notes of each clip of the cache in its instrument's range.

    Args:
        data: folder that the clips' files are relative to.

    Raises:
        PatchError: a clip is not in the data set.
    """
    notes: dict[Path, tuple[Note, ...]] = {}
    for manifest in sorted([*data.glob("manifest.jsonl"), *data.glob("*/manifest.jsonl")]):
        for group in read_manifest(manifest.parent):
            for clip in group.clips:
                notes[manifest.parent / clip.file] = notes_in_range(group.notes, get_instrument(clip.instrument))
    missing = [clip.file for clip in cache.clips if data / clip.file not in notes]
    if missing:
        raise PatchError(f"{data} is not the data set of the mel cache: it has no clip {missing[0]}")
    return [notes[data / clip.file] for clip in cache.clips]


def onset_frames(notes: tuple[Note, ...], start: int, mel: MelConfig) -> np.ndarray:
    """1 for frames of a patch in which a note starts, (32,)."""
    frames = np.array([int(note.start / mel.seconds(1)) for note in notes], int) - start
    onsets = np.zeros(PATCH, np.int16)
    onsets[frames[(frames >= 0) & (frames < PATCH)]] = 1
    return onsets


def pitch_at(notes: tuple[Note, ...], seconds: float) -> int:
    """MIDI pitch of the only sounding note, or -1."""
    sounding = [note.pitch for note in notes if note.start <= seconds < note.end]
    return sounding[0] if len(sounding) == 1 else NO_LABEL


def find_patch(cache: MelCache, row: int, rng: np.random.Generator) -> tuple[int, int] | None:
    """First band and frame of a random patch with sound, or None."""
    bands, frames = cache.mel.n_mels, cache.clips[row].frames
    for _ in range(TRIES):
        band = PATCH * int(rng.integers(bands // PATCH))
        start = int(rng.integers(frames - PATCH + 1))
        if cache.mels[row, band : band + PATCH, start : start + PATCH].max() > cache.mel.log_floor + QUIETEST:
            return band, start
    return None


def choose_rows(cache: MelCache, split: str) -> list[np.ndarray]:
    """Clean clips of a split by instrument, without empty instruments.

    Raises:
        PatchError: the split has no clean clip.
    """
    rows = [
        [
            number
            for number, clip in enumerate(cache.clips)
            if clip.split == split and clip.role == "target" and clip.instrument == name and clip.frames >= PATCH
        ]
        for name in INSTRUMENT_NAMES
    ]
    if not any(rows):
        raise PatchError(f"the mel cache has no clean clip of the {split} split")
    return [np.array(numbers) for numbers in rows if numbers]


def cut_patches(cache: MelCache, notes: list[tuple[Note, ...]], out: Path, count: int, seed: int) -> PatchSet:
    """Cut patches into a file of ``out``, and label them."""
    counts = {split: round(share * count) for split, share in SHARES.items()}
    total = sum(counts.values())
    out.mkdir(parents=True, exist_ok=True)
    shape = (total, 1, PATCH, PATCH)
    patches = np.lib.format.open_memmap(out / "patches.npy", mode="w+", dtype=np.float16, shape=shape)
    voices = sorted({clip.voice for clip in cache.clips})
    names = ("instrument", "voice", "pitch", "band", "start", "clip")
    labels = {name: np.full(total, NO_LABEL, np.int32) for name in names}
    labels["onset"] = np.zeros((total, PATCH), np.int16)
    rng, number = np.random.default_rng(seed), 0
    for split, wanted in tqdm(counts.items(), unit="split"):
        instruments = choose_rows(cache, split)
        silent = 0
        end = number + wanted
        while number < end:
            row = int(rng.choice(instruments[number % len(instruments)]))
            found = find_patch(cache, row, rng)
            if found is None:
                silent += 1
                if silent > wanted:
                    raise PatchError(f"the clips of the {split} split are silent")
                continue
            band, start = found
            clip, middle = cache.clips[row], cache.mel.seconds(start + PATCH // 2)
            patches[number, 0] = cache.mels[row, band : band + PATCH, start : start + PATCH]
            values = (
                INSTRUMENT_NAMES.index(clip.instrument),
                voices.index(clip.voice),
                pitch_at(notes[row], middle),
                band // PATCH,
                start,
                row,
            )
            for name, value in zip(names, values, strict=True):
                labels[name][number] = value
            labels["onset"][number] = onset_frames(notes[row], start, cache.mel)
            number += 1
    splits = np.repeat([SPLITS.index(split) for split in counts], list(counts.values())).astype(np.uint8)
    return PatchSet("mel", patches, splits, labels, {"instrument": list(INSTRUMENT_NAMES), "voice": voices})


def make_patches(args: argparse.Namespace) -> None:
    """Cut patches from a mel cache and write them."""
    cache = read_cache(args.cache, MelConfig())
    patches = cut_patches(cache, read_notes(cache, args.data), args.out, args.patches, args.seed)
    source = {"cache": str(args.cache), "patches": args.patches, "seed": args.seed, "mel": cache.mel.to_dict()}
    write_patches(args.out, patches, source)


def main(args: argparse.Namespace) -> int:
    return run_command(partial(make_patches, args), PatchError, CacheError, ManifestError, OSError)
