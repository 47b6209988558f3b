"""A data set of a few tones with scores, in the format of render-dataset."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from stylediff.audio import loudness_gain
from stylediff.mel import MelConfig
from stylediff.notes import Note
from train.data.manifest import ClipGroup, ClipRecord
from train.data.mel_cache import CachedClip

MEL = MelConfig()
SAMPLES = 64 * MEL.hop_length
VOICES = ["piano/Tiny-0", "violin/Tiny-40", "harp/Tiny-46"]
NOTES = (Note(0.05, 0.3, 60, 80), Note(0.35, 0.6, 67, 80), Note(0.4, 0.7, 30, 80))


def tone(notes: tuple[Note, ...], harmonics: tuple[float, ...]) -> np.ndarray:
    """Notes with the given harmonics at the loudness of a data set, (samples,)."""
    time = np.arange(SAMPLES) / MEL.sample_rate
    out = np.zeros(SAMPLES)
    for note in notes:
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        sounding = (time >= note.start) & (time < note.end)
        out += sounding * sum(s * np.sin(2 * np.pi * (n + 1) * hz * time) for n, s in enumerate(harmonics))
    return out * loudness_gain(torch.from_numpy(out))


def envelope_noise(mel: torch.Tensor, config: MelConfig, _: int = 0) -> torch.Tensor:
    """Noise with the levels of mels, (batch, samples): a quick stand-in for Griffin-Lim."""
    levels = mel.exp().amax((1, 2)).repeat_interleave(config.hop_length, -1)
    return levels * torch.randn(levels.shape, generator=torch.Generator().manual_seed(0)) / 100


def clip_record(file: str, voice: str, role: str, **others: Any) -> ClipRecord:
    """Record of a clip, with defaults."""
    plain = {"gain": 1.0, "notes_left_out": 0, "details": {}}
    return ClipRecord(file=file, instrument=voice.split("/")[0], voice=voice, role=role, **(plain | others))


def clip_group(index: int, split: str, clips: Iterable[ClipRecord], **others: Any) -> ClipGroup:
    """Group of clips, with defaults."""
    plain = {"paired": True, "piece": "", "tracks": "all", "start_s": 0.0, "tempo": 1.0, "transposition": 0}
    return ClipGroup(index=index, split=split, clips=tuple(clips), **(plain | {"notes": ()} | others))


def cached_clip(group: int, voice: str, frames: int, **others: Any) -> CachedClip:
    """Clip of a mel cache, with defaults."""
    plain = {"file": "", "split": "train", "paired": True, "instrument": voice.split("/")[0], "role": "target"}
    return CachedClip(group=group, voice=voice, frames=frames, **(plain | others))


def write_group(folder: Path, index: int, split: str, roles: tuple[str, ...]) -> ClipGroup:
    clips = []
    for number, voice in enumerate(VOICES):
        for role in roles:
            file = f"clips/{index}_{number}_{role}.flac"
            harmonics = tuple(1 / (n + 1) ** (number + 0.5 * (role == "source")) for n in range(6))
            soundfile.write(folder / file, tone(NOTES, harmonics), MEL.sample_rate, subtype="PCM_16")
            clips.append(clip_record(file, voice, role))
    return clip_group(index, split, clips, piece="tiny.mid", notes=NOTES)


def write_dataset(folder: Path) -> list[ClipGroup]:
    """Make two test groups of piano, violin and harp in both roles, and a training group."""
    (folder / "clips").mkdir()
    groups = [write_group(folder, index, "test", ("target", "source")) for index in (0, 1)]
    groups.append(write_group(folder, 2, "train", ("target",)))
    lines = [json.dumps(group.to_dict()) for group in groups]
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return groups
