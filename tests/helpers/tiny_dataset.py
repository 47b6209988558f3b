"""A data set of a few tones, with scores, as the command render-dataset would have made it."""

import json
from pathlib import Path

import numpy as np
import soundfile
import torch

from stylediff.audio import loudness_gain
from stylediff.mel import MelConfig
from train.data.manifest import ClipGroup, ClipRecord
from train.data.notes import Note

MEL = MelConfig()
SAMPLES = 64 * MEL.hop_length
VOICES = ["piano/Tiny-0", "violin/Tiny-40", "harp/Tiny-46"]
NOTES = (Note(0.05, 0.3, 60, 80), Note(0.35, 0.6, 67, 80), Note(0.4, 0.7, 30, 80))


def tone(notes: tuple[Note, ...], harmonics: tuple[float, ...]) -> np.ndarray:
    """Notes with these strengths of harmonics at the loudness of a data set, (samples,)."""
    time = np.arange(SAMPLES) / MEL.sample_rate
    out = np.zeros(SAMPLES)
    for note in notes:
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        sounding = (time >= note.start) & (time < note.end)
        out += sounding * sum(s * np.sin(2 * np.pi * (n + 1) * hz * time) for n, s in enumerate(harmonics))
    return out * loudness_gain(torch.from_numpy(out))


def write_group(folder: Path, index: int, split: str, roles: tuple[str, ...]) -> ClipGroup:
    clips = []
    for number, voice in enumerate(VOICES):
        for role in roles:
            file = f"clips/{index}_{number}_{role}.flac"
            harmonics = tuple(1 / (n + 1) ** (number + 0.5 * (role == "source")) for n in range(6))
            soundfile.write(folder / file, tone(NOTES, harmonics), MEL.sample_rate, subtype="PCM_16")
            clips.append(ClipRecord(file, voice.split("/")[0], voice, role, 1.0, 0, {}))
    return ClipGroup(index, split, True, "tiny.mid", "all", 0.0, 1.0, 0, NOTES, tuple(clips))


def write_dataset(folder: Path) -> list[ClipGroup]:
    """Two test groups of piano, violin and harp in both roles, and a training group."""
    (folder / "clips").mkdir()
    groups = [write_group(folder, index, "test", ("target", "source")) for index in (0, 1)]
    groups.append(write_group(folder, 2, "train", ("target",)))
    lines = [json.dumps(group.to_dict()) for group in groups]
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return groups
