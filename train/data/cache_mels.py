"""Computes the log-mels of data sets once, for every trainer to read.

    python -m train.data.cache_mels --data DIR... --out DIR

An interrupted run goes on where it stopped.
"""

import argparse
import functools
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from stylediff.mel import MelConfig, waveform_to_mel
from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.parallel import parallel_map
from train.data.manifest import ManifestError, read_manifest
from train.data.mel_cache import CachedClip, CacheError, create_cache, finish_cache

CHUNK = 200


def folder_of_all(folders: list[Path]) -> Path:
    """The folder that all of some data sets are in; of a single one, itself."""
    return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))


def list_rows(folders: list[Path], mel: MelConfig) -> tuple[list[CachedClip], list[Path]]:
    """A row for every clip of the data sets, groups numbered through, and the files they come from.

    Rows name their files below ``folder_of_all``, so that no two clips have the same name.
    """
    rows: list[CachedClip] = []
    files: list[Path] = []
    offset, base = 0, folder_of_all(folders)
    for folder in folders:
        groups = read_manifest(folder)
        for group in groups:
            for clip in group.clips:
                path = folder / clip.file
                frames = mel.frames(soundfile.info(path).frames)
                row, file = CachedClip.of(group, clip, frames), Path(os.path.relpath(path, base)).as_posix()
                rows.append(replace(row, group=offset + group.index, file=file))
                files.append(path)
        offset += 1 + max(group.index for group in groups)
    return rows, files


def cache_chunk(out: Path, files: list[Path], mel: MelConfig, start: int) -> int:
    """Fills rows ``start`` to ``start + CHUNK`` and returns ``start``."""
    mels = np.load(out / "mels.npy", mmap_mode="r+")
    for number in range(start, min(start + CHUNK, len(files))):
        waveform, _ = soundfile.read(files[number], dtype="float32")
        log_mel = waveform_to_mel(torch.from_numpy(waveform)[None], mel)[0, 0].numpy()
        mels[number] = mel.log_floor
        mels[number, :, : log_mel.shape[1]] = log_mel
    mels.flush()
    return start


def cache_mels(args: argparse.Namespace) -> None:
    """Computes the mels that the cache does not hold yet.

    Raises:
        ManifestError, CacheError: see ``read_manifest`` and ``create_cache``.
    """
    mel = MelConfig()
    rows, files = list_rows(args.data, mel)
    create_cache(args.out, rows, mel)
    progress = args.out / "chunks.json"
    done = set(json.loads(progress.read_text())) if progress.is_file() else set()
    waiting = [start for start in range(0, len(rows), CHUNK) if start not in done]
    job = functools.partial(cache_chunk, args.out, files, mel)
    for start in tqdm(parallel_map(job, waiting, args.workers), total=len(waiting), unit=f"{CHUNK} clips"):
        done.add(start)
        write_atomically(progress, json.dumps(sorted(done)))
    finish_cache(args.out)
    if len(args.data) > 1:
        print(
            f"train.trainers.vocoder and train.experiments.latent_shapes find these clips "
            f"with --data {folder_of_all(args.data)}"
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with a manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(arguments)
    return run_command(functools.partial(cache_mels, args), ManifestError, CacheError)


if __name__ == "__main__":
    sys.exit(main())
