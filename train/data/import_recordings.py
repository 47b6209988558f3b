"""Cut recordings of one instrument into clips without pairs.

    python -m train import-recordings --in DIR --instrument violin --out DIR [--license TEXT]

Clips contain no pauses. The split is by recording, and the voice is named after the recording's folder. Rerun the
command to resume, or to add new recordings.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from stylediff.audio import SILENCE_RMS, AudioError, loudness_gain, read_audio, to_mono
from stylediff.containers import KINDS, SUFFIXES
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from train.common.cli import run_command
from train.common.files import FolderError, lock_settings, write_atomically
from train.data.manifest import (
    FRAME_MULTIPLE,
    ClipGroup,
    ClipRecord,
    ManifestError,
    piece_split,
    save_group,
    write_manifest,
)

SHORTEST, LONGEST = 3, 7  # in multiples of FRAME_MULTIPLE: 2.2 s and 5.2 s
BLOCK_S = 0.05
PAUSE_S = 0.5
SILENCE_DB = -40.0  # relative to the loudest block of the recording


def find_recordings(folder: Path) -> list[Path]:
    """Audio files below a folder, in sorted order.

    Raises:
        ManifestError: the folder is missing or has no recordings.
    """
    if not folder.is_dir():
        raise ManifestError(f"no such folder of recordings: {folder}")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise ManifestError(f"no recording ({KINDS}) in {folder}")
    return paths


def sounding_stretches(waveform: torch.Tensor, sample_rate: int) -> list[tuple[int, int]]:
    """Find (start, end) samples of the parts between pauses.

    A pause is at least half a second near silence.

    Args:
        waveform: (samples,).
    """
    block = round(BLOCK_S * sample_rate)
    whole = len(waveform) // block * block
    level = waveform[:whole].reshape(-1, block).square().mean(1).sqrt()
    threshold = max(float(level.max()) * 10 ** (SILENCE_DB / 20), SILENCE_RMS)
    sounding = torch.nonzero(level > threshold).flatten().numpy()
    if len(sounding) == 0:
        return []
    breaks = np.flatnonzero(np.diff(sounding) > round(PAUSE_S / BLOCK_S)) + 1
    return [(int(run[0]) * block, (int(run[-1]) + 1) * block) for run in np.split(sounding, breaks)]


def cut_positions(waveform: torch.Tensor, mel: MelConfig) -> list[tuple[int, int]]:
    """Return (start, samples) of the clips of a recording.

    Each part between pauses is cut into clips of the longest length; its last clip may be shorter.
    """
    unit = FRAME_MULTIPLE * mel.hop_length
    positions = []
    for start, end in sounding_stretches(waveform, mel.sample_rate):
        while end - start >= SHORTEST * unit:
            samples = min(LONGEST, (end - start) // unit) * unit
            positions.append((start, samples))
            start += samples
    return positions


def import_recording(path: Path, folder: Path, out: Path, instrument: str, licence: str, first: int) -> int:
    """Save the clips of one recording and return their number.

    They become the groups from ``first`` on.

    Raises:
        AudioError: the recording cannot be read.
    """
    mel = MelConfig()
    samples, sample_rate = read_audio(path)
    waveform = to_mono(torch.from_numpy(samples), sample_rate, mel.sample_rate)
    origin = path.relative_to(folder).as_posix()
    voice = f"{instrument}/{path.resolve().parent.name}"
    positions = cut_positions(waveform, mel)
    for index, (start, length) in enumerate(positions, start=first):
        scratch = out / "clips" / f".{index:06d}.part"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        clip = waveform[start : start + length]
        gain = loudness_gain(clip)
        file = f"0_{voice.replace('/', '_')}.flac"
        soundfile.write(scratch / file, (clip * gain).numpy(), mel.sample_rate, subtype="PCM_16")
        start_s = round(start / mel.sample_rate, 3)
        details = {"origin": origin, "start_s": start_s, "licence": licence}
        file = f"clips/{index:06d}/{file}"
        record = ClipRecord(
            file=file,
            instrument=instrument,
            voice=voice,
            role="target",
            gain=round(gain, 5),
            notes_left_out=0,
            details=details,
        )
        group = ClipGroup(
            index=index,
            split=piece_split(origin),
            paired=False,
            piece=origin,
            tracks="all",
            start_s=start_s,
            tempo=1.0,
            transposition=0,
            notes=(),
            clips=(record,),
        )
        save_group(out, group, scratch)
    return len(positions)


def import_recordings(folder: Path, out: Path, instrument: str, licence: str) -> list[ClipGroup]:
    """Import new recordings and write the manifest.

    Raises:
        ManifestError: nothing to import, or an unknown instrument.
        FolderError: the folder was started for another instrument.
    """
    if instrument not in INSTRUMENT_NAMES:
        raise ManifestError(f"unknown instrument {instrument!r}; choose one of {', '.join(INSTRUMENT_NAMES)}")
    paths = find_recordings(folder)
    lock_settings(out, {"instrument": instrument, "licence": licence})
    (out / "clips").mkdir(exist_ok=True)
    progress = out / "recordings.json"
    counts: dict[str, int] = json.loads(progress.read_text()) if progress.is_file() else {}
    waiting = [path for path in paths if path.relative_to(folder).as_posix() not in counts]
    for path in tqdm(waiting, unit="recording"):
        origin = path.relative_to(folder).as_posix()
        try:
            counts[origin] = import_recording(path, folder, out, instrument, licence, sum(counts.values()))
        except AudioError as error:
            tqdm.write(f"skipped: {origin}: {error}", file=sys.stderr)
            continue
        if not counts[origin]:
            tqdm.write(f"skipped: {origin} has no {shortest_seconds():.1f} s without a pause", file=sys.stderr)
        write_atomically(progress, json.dumps(counts))
    if not sum(counts.values()):
        raise ManifestError(f"no recording in {folder} has {shortest_seconds():.1f} s without a pause")
    return write_manifest(out, list(range(sum(counts.values()))))


def shortest_seconds() -> float:
    return MelConfig().seconds(SHORTEST * FRAME_MULTIPLE)


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        groups = import_recordings(args.folder, args.out, args.instrument, args.license)
        seconds = sum(soundfile.info(args.out / group.clips[0].file).duration for group in groups)
        recordings = len({group.piece for group in groups})
        print(f"{len(groups)} clips, {seconds / 60:.1f} min, from {recordings} recordings")

    return run_command(work, ManifestError, FolderError)
