"""Log-mels of data sets in one memory-mapped float16 array.

    python -m train cache-mels --data DIR... --out DIR

Rerun an interrupted run to resume it.
"""

import argparse
import functools
import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from stylediff.mel import MelConfig, waveform_to_mel
from train.common.cli import run_command
from train.common.files import write_atomically
from train.common.parallel import parallel_map
from train.data.manifest import ClipGroup, ClipRecord, ManifestError, read_manifest


class CacheError(ValueError):
    """A cache that is missing, unfinished or does not match."""


@dataclass(frozen=True, kw_only=True)
class CachedClip:
    """One clip of the cache.

    All clips of a group play the same music.

    Attributes:
        file: path relative to the data set's folder, or to the common folder of several data sets.
    """

    file: str
    group: int
    split: str
    paired: bool
    instrument: str
    voice: str
    role: str
    frames: int

    @classmethod
    def of(cls, group: ClipGroup, clip: ClipRecord, frames: int) -> "CachedClip":
        return cls(
            file=clip.file,
            group=group.index,
            split=group.split,
            paired=group.paired,
            instrument=clip.instrument,
            voice=clip.voice,
            role=clip.role,
            frames=frames,
        )


@dataclass(frozen=True)
class MelCache:
    """Log-mels in nepers, and a table of their clips.

    ``mels`` has the shape (clips, mels, frames).
    """

    mels: np.memmap
    clips: tuple[CachedClip, ...]
    mel: MelConfig

    def split(self, name: str) -> np.ndarray:
        """Indices of the clips of a split.

        Raises:
            CacheError: the split has no clip.
        """
        numbers = [number for number, clip in enumerate(self.clips) if clip.split == name]
        if not numbers:
            raise CacheError(f"the mel cache has no clip of the {name} split")
        return np.array(numbers)

    def tensor(self, number: int, start: int = 0, frames: int | None = None) -> torch.Tensor:
        """Return the log-mel of one clip as float32 (1, mels, frames).

        By default it ends with the clip.
        """
        end = self.clips[number].frames if frames is None else start + frames
        return torch.from_numpy(self.mels[number, :, start:end].astype(np.float32)).unsqueeze(0)


def create_cache(folder: Path, clips: list[CachedClip], mel: MelConfig) -> np.memmap:
    """Create an empty cache, or open an unfinished one.

    ``finish_cache`` marks it as complete.

    Raises:
        CacheError: the cache was started with other clips or another MelConfig; the message names the field.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"mel": mel.to_dict(), "rows": [list(vars(clip).values()) for clip in clips]}
    if (folder / "rows.json").is_file():
        recorded = json.loads((folder / "rows.json").read_text())
        require_same_mel(recorded["mel"], mel, folder)
        if recorded["rows"] != description["rows"]:
            raise CacheError(f"the mel cache in {folder} was started with other clips: use another folder")
    write_atomically(folder / "rows.json", json.dumps(description))
    shape = (len(clips), mel.n_mels, max(clip.frames for clip in clips))
    if not (folder / "mels.npy").is_file():
        np.lib.format.open_memmap(folder / "mels.part.npy", mode="w+", dtype=np.float16, shape=shape)
        os.replace(folder / "mels.part.npy", folder / "mels.npy")
    return np.lib.format.open_memmap(folder / "mels.npy", mode="r+")


def require_same_mel(recorded: dict[str, Any], mel: MelConfig, folder: Path) -> None:
    try:
        mel.require_same(MelConfig(**recorded), f"the mel cache in {folder}")
    except ValueError as error:
        raise CacheError(str(error)) from error


def finish_cache(folder: Path) -> None:
    write_atomically(folder / "finished", "")


def read_cache(folder: Path, mel: MelConfig) -> MelCache:
    """Open a finished cache.

    Raises:
        CacheError: the cache is missing, unfinished, or has another MelConfig; the message names the field.
    """
    if not (folder / "finished").is_file():
        raise CacheError(f"no finished mel cache in {folder}: run the command cache-mels first")
    description = json.loads((folder / "rows.json").read_text())
    require_same_mel(description["mel"], mel, folder)
    names = [field.name for field in fields(CachedClip)]
    clips = tuple(CachedClip(**dict(zip(names, values, strict=True))) for values in description["rows"])
    return MelCache(np.load(folder / "mels.npy", mmap_mode="r"), clips, mel)


ClipArray = np.ndarray | torch.Tensor  # clips of a cache: memory-mapped arrays, or tensors on a GPU
CHUNK = 200  # clips that a process computes at once
MEMORY_SHARE = 0.8  # share of a GPU's free memory that clips may take


def to_model_device(clips: ClipArray, device: torch.device) -> ClipArray:
    """Copy clips in float16 to a model's GPU.

    Cropping batches is many times faster there. Clips are not copied if the model is on a CPU or its GPU has too little
    memory.
    """
    if isinstance(clips, torch.Tensor) or device.type != "cuda":
        return clips
    if 2 * clips.size > MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
        return clips
    copied = torch.empty(clips.shape, dtype=torch.float16, device=device)
    for start in range(0, len(clips), 1024):
        part = slice(start, start + 1024)
        copied[part] = torch.from_numpy(clips[part].astype(np.float16))
    return copied


def gather_crops(clips: ClipArray, rows: np.ndarray, firsts: np.ndarray, length: int) -> torch.Tensor:
    """Cut one crop from each of the given clips, in float32.

    The result has the shape (crops, ..., length) and is on the clips' device.

    Args:
        clips: (clips, ..., columns).
        rows, firsts: clip and first column of each crop, (crops,).
        length: columns of a crop.
    """
    if not isinstance(clips, torch.Tensor):
        pieces = [clips[row, ..., first : first + length] for row, first in zip(rows, firsts, strict=True)]
        return torch.from_numpy(np.stack(pieces).astype(np.float32))
    picked = clips[torch.from_numpy(rows).to(clips.device)]
    columns = torch.from_numpy(firsts).to(clips.device)[:, None] + torch.arange(length, device=clips.device)
    columns = columns.reshape(len(rows), *[1] * (clips.ndim - 2), length)
    return picked.gather(-1, columns.expand(*picked.shape[:-1], length)).float()


def folder_of_all(folders: list[Path]) -> Path:
    """Common parent folder of data sets.

    For a single data set it is the data set's folder.
    """
    return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))


def list_rows(folders: list[Path], mel: MelConfig) -> tuple[list[CachedClip], list[Path]]:
    """List the clips of data sets and their files.

    Groups are numbered across all data sets. File names are relative to ``folder_of_all``, so that no two clips share
    one.
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
    """Fill rows ``start`` to ``start + CHUNK`` and return ``start``."""
    mels = np.load(out / "mels.npy", mmap_mode="r+")
    for number in range(start, min(start + CHUNK, len(files))):
        waveform, _ = soundfile.read(files[number], dtype="float32")
        log_mel = waveform_to_mel(torch.from_numpy(waveform)[None], mel)[0, 0].numpy()
        mels[number] = mel.log_floor
        mels[number, :, : log_mel.shape[1]] = log_mel
    mels.flush()
    return start


def cache_mels(args: argparse.Namespace) -> None:
    """Compute the mels that are missing in the cache.

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
        print(f"vocoder and latent-shapes take these clips with --data {folder_of_all(args.data)}")


def main(args: argparse.Namespace) -> int:
    return run_command(functools.partial(cache_mels, args), ManifestError, CacheError)
