"""Pair recordings with renders of their notes.

    python -m train pair-recordings --recordings DIR --soundfont FILE... --out DIR

The notes of a recording come from its table, or from basic-pitch. Their onsets are moved to where the sound rises. A
clip whose render does not agree with the recording is skipped. Held-out recordings are never used.
"""

import argparse
import functools
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from tqdm import tqdm

from stylediff.audio import AudioError, loudness_gain
from stylediff.instruments import INSTRUMENT_NAMES, get_instrument
from stylediff.mel import MelConfig
from stylediff.notes import Note
from train.common.cli import run_command
from train.common.files import FolderError, lock_settings
from train.common.parallel import parallel_map
from train.data.excerpts import separate_repeats
from train.data.manifest import ClipGroup, ClipRecord, ManifestError, is_finished, save_group, write_manifest
from train.data.notes import clip_notes, frame_prf, note_f1, playable_by
from train.data.pairs import RECORDED
from train.data.performance import note_shapes, sample_gestures
from train.data.recordings import (
    TRAIN,
    Recording,
    RecordingError,
    cut_clips,
    list_recordings,
    load_recording,
    read_notes,
)
from train.data.soundfonts import Preset, SynthesisError, Synthesizer, open_synthesizer, soundfont_voices
from train.data.transcription import NoteTranscriber

FRAMES = 448  # length of a clip, as for rendered ones
ONSET_SEARCH_S = 0.04
ONSET_HOP = 128
NOTE_F1, FRAME_F = 0.5, 0.55  # smallest agreement of a clip with the render of its notes


@dataclass(frozen=True, kw_only=True)
class PairingPlan:
    """Settings that a worker needs to pair one clip.

    Attributes:
        voices: presets by voice.
        clips: recording, first sample and number of samples of each clip, at the rate of ``mel``.
        renders: number of rendered clips per recorded clip.
        voice: voice of the recorded clips; "" means ``instrument/recorded``.
    """

    out: Path
    voices: dict[str, Preset]
    clips: tuple[tuple[Recording, int, int], ...]
    renders: int
    seed: int
    voice: str = ""
    mel: MelConfig = MelConfig()


@functools.cache
def synthesizer(soundfont: Path, sample_rate: int) -> Synthesizer:
    """Load a synthesizer, once per soundfont and process."""
    return open_synthesizer(soundfont, sample_rate)


@functools.cache
def transcriber() -> NoteTranscriber:
    """Load basic-pitch, once per process."""
    return NoteTranscriber()


@functools.lru_cache(maxsize=2)
def whole_recording(path: Path, sample_rate: int) -> torch.Tensor:
    """Load a recording; the latest one is cached."""
    return load_recording(path, sample_rate)


def refine_onsets(notes: tuple[Note, ...], waveform: np.ndarray, sample_rate: int) -> tuple[Note, ...]:
    """Move onsets to the strongest rise of the sound near them.

    Args:
        waveform: (samples,) of the clip.

    Returns:
        The notes with new onsets, which move by at most ``ONSET_SEARCH_S``.
    """
    strength = librosa.onset.onset_strength(y=waveform, sr=sample_rate, n_fft=1024, hop_length=ONSET_HOP)
    reach = round(ONSET_SEARCH_S * sample_rate / ONSET_HOP)
    distance = np.abs(np.arange(-reach, reach + 1)) / reach
    padded = np.pad(strength, reach)
    moved = []
    for note in notes:
        center = round(note.start * sample_rate / ONSET_HOP)
        if not 0 <= center < len(strength):
            moved.append(note)
            continue
        nearby = padded[center : center + 2 * reach + 1] * (1 - 0.5 * distance)
        shift = (int(nearby.argmax()) - reach) * ONSET_HOP / sample_rate
        start = max(0.0, note.start + shift) if nearby.max() > 1.5 * np.median(strength) else note.start
        moved.append(replace(note, start=min(start, note.end - 0.03)))
    return tuple(separate_repeats(sorted(moved, key=lambda note: (note.start, note.pitch))))


def onset_velocities(notes: tuple[Note, ...], waveform: np.ndarray, sample_rate: int) -> tuple[Note, ...]:
    """Set velocities from the level of the sound after each onset.

    The level is measured over 80 ms. The median velocity is 80.
    """
    width = round(0.08 * sample_rate)
    starts = [max(0, round(note.start * sample_rate)) for note in notes]
    levels = [20 * np.log10(np.sqrt(np.mean(waveform[at : at + width] ** 2) + 1e-9) + 1e-9) for at in starts]
    middle = float(np.median(levels)) if levels else 0.0
    return tuple(
        replace(note, velocity=int(np.clip(round(80 * 10 ** ((level - middle) / 40)), 30, 120)))
        for note, level in zip(notes, levels, strict=True)
    )


def notes_of(recording: Recording, start_s: float, waveform: torch.Tensor, sample_rate: int) -> tuple[Note, ...]:
    """Notes of a clip of a recording, with refined onsets.

    Times are in seconds from the start of the clip.
    """
    seconds = len(waveform) / sample_rate
    if recording.notes_path is not None:
        known = read_notes(recording.notes_path)
        shifted = (replace(note, start=note.start - start_s, end=note.end - start_s) for note in known)
        notes = clip_notes(tuple(shifted), seconds)
    else:
        notes = transcriber().transcribe(waveform).notes
    samples = waveform.numpy()
    return onset_velocities(refine_onsets(notes, samples, sample_rate), samples, sample_rate)


def agrees(waveform: torch.Tensor, rendered: torch.Tensor, notes: tuple[Note, ...]) -> bool:
    """Return True if a render has the same notes as its recording."""
    recorded, again = transcriber().transcribe(waveform), transcriber().transcribe(rendered)
    score = note_f1(recorded.notes, again.intervals, again.pitches, 0.1)
    return len(notes) >= 2 and score >= NOTE_F1 and frame_prf(again.roll, recorded.roll)[2] >= FRAME_F


def pair_clip(plan: PairingPlan, index: int) -> bool:
    """Save a recorded clip with renders of its notes.

    Returns False if the renders do not agree with the recording.
    """
    if is_finished(plan.out, index):
        return True
    recording, first, samples = plan.clips[index]
    assert recording.instrument is not None
    rate, rng = plan.mel.sample_rate, np.random.default_rng([plan.seed, index])
    clip = whole_recording(recording.path, rate)[first : first + samples]
    clip = clip * loudness_gain(clip)
    notes = notes_of(recording, first / rate, clip, rate)
    own = [voice for voice in plan.voices if voice.startswith(f"{recording.instrument}/")]
    playable = [i.name for i in playable_by(notes)] if notes else []
    if not own or not playable:
        return False
    own_default = get_instrument(recording.instrument).default_voice
    drawn = [own_default if own_default in own else own[0]]
    rest = [voice for voice in plan.voices if voice.split("/")[0] in playable and voice not in drawn]
    defaults = [voice for voice in rest if get_instrument(voice.split("/")[0]).default_voice == voice]
    count = min(plan.renders - 1, len(rest))
    weights = np.array([3.0 if voice in defaults else 0.5 for voice in rest])
    if count:
        drawn += rng.choice(rest, size=count, replace=False, p=weights / weights.sum()).tolist()
    gestures = sample_gestures(notes, rng)
    renders = []
    for voice in drawn:
        preset, instrument = plan.voices[voice], get_instrument(voice.split("/")[0])
        pairs = [
            (note, shape)
            for note, shape in zip(notes, note_shapes(gestures, instrument.name, voice), strict=True)
            if instrument.lowest <= note.pitch <= instrument.highest
        ]
        shapes = [shape for _, shape in pairs]
        player = synthesizer(preset.soundfont, rate)
        kept = tuple(note for note, _ in pairs)
        waveform = player.render(kept, preset, samples, {}, 0.0, [] if None in shapes else shapes)
        gain = loudness_gain(torch.from_numpy(waveform))
        renders.append((voice, waveform * gain, gain, len(notes) - len(kept)))
    if not agrees(clip, torch.from_numpy(renders[0][1]), notes):
        return False
    save_pairs(plan, index, clip, notes, renders)
    return True


def save_pairs(
    plan: PairingPlan,
    index: int,
    clip: torch.Tensor,
    notes: tuple[Note, ...],
    renders: list[tuple[str, np.ndarray, float, int]],
) -> None:
    """Write a recorded clip and its renders as one group."""
    recording, first, _ = plan.clips[index]
    scratch = plan.out / "clips" / f".{index:06d}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    role = "target" if recording.good_sound else "source"
    voice = plan.voice or f"{recording.instrument}/{RECORDED}"
    made = [(voice, clip.numpy(), 1.0, 0, role), *((*render, "target") for render in renders)]
    clips = []
    for number, (name, waveform, gain, left_out, part) in enumerate(made):
        file = f"{number}_{name.replace('/', '_')}.flac"
        soundfile.write(scratch / file, waveform, plan.mel.sample_rate, subtype="PCM_16")
        details = {"origin": recording.name} if number == 0 else {}
        path = f"clips/{index:06d}/{file}"
        clips.append(
            ClipRecord(
                file=path,
                instrument=name.split("/")[0],
                voice=name,
                role=part,
                gain=round(gain, 5),
                notes_left_out=left_out,
                details=details,
            )
        )
    group = ClipGroup(
        index=index,
        split="train",
        paired=True,
        piece=recording.piece,
        tracks="all",
        start_s=round(first / plan.mel.sample_rate, 3),
        tempo=1.0,
        transposition=0,
        notes=notes,
        clips=tuple(clips),
    )
    save_group(plan.out, group, scratch)


def list_clips(folder: Path, mel: MelConfig, instrument: str | None = None) -> tuple[tuple[Recording, int, int], ...]:
    """List the clips of the recordings that may be trained on.

    Each recording is cut twice, with an offset of half a clip.

    Args:
        instrument: instrument of all recordings, see ``list_recordings``.

    Raises:
        RecordingError: the folder has no recording that may be trained on and names its instrument.
    """
    length = FRAMES * mel.hop_length
    clips = []
    for recording in list_recordings(folder, instrument):
        if recording.split != TRAIN or recording.instrument not in INSTRUMENT_NAMES:
            continue
        try:
            waveform = load_recording(recording.path, mel.sample_rate)
        except AudioError as error:
            tqdm.write(f"skipped: {recording.name}: {error}", file=sys.stderr)
            continue
        for offset in (0, length // 2):
            for first, _ in cut_clips(waveform[offset:], mel.sample_rate)[:1]:
                starts = range(offset + first, len(waveform) - length // 2, length)
                sizes = [min(length, len(waveform) - start) // mel.hop_length * mel.hop_length for start in starts]
                clips += [(recording, start, size) for start, size in zip(starts, sizes, strict=True)]
    if not clips:
        raise RecordingError(f"{folder} has no recording that may be trained on and names its instrument")
    return tuple(clips)


def pair_recordings(args: argparse.Namespace) -> None:
    """Pair the remaining clips and write the manifest.

    Raises:
        RecordingError, SynthesisError, FolderError: recordings, soundfonts or the folder cannot be used.
    """
    voices = {name: preset for font in args.soundfont for name, preset in soundfont_voices(font).items()}
    plan = PairingPlan(
        out=args.out,
        voices=voices,
        clips=list_clips(args.recordings, MelConfig(), args.instrument),
        renders=args.renders,
        seed=args.seed,
        voice=args.voice,
    )
    lock_settings(args.out, {"voices": sorted(voices), "clips": len(plan.clips), "renders": args.renders})
    (args.out / "clips").mkdir(exist_ok=True)
    job = functools.partial(pair_clip, plan)
    indices = range(len(plan.clips))
    kept = sum(tqdm(parallel_map(job, indices, args.workers, chunk_size=8), total=len(indices), unit="clip"))
    if not kept:
        raise RecordingError(f"none of {len(indices)} recorded clips agrees with its transcription")
    write_manifest(args.out, [index for index in indices if is_finished(args.out, index)])
    print(f"{kept} of {len(indices)} recorded clips agree with their notes")


def main(args: argparse.Namespace) -> int:
    return run_command(lambda: pair_recordings(args), RecordingError, SynthesisError, ManifestError, FolderError)
