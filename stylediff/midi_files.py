"""MIDI files of notes, as played or on a grid of beats."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from stylediff.beats import track_beats
from stylediff.instruments import INSTRUMENTS
from stylediff.notes import Note
from stylediff.waveform import mix_channels

TICKS = 480  # of a quarter note
PLAYED_BPM = 120.0  # tempo of a file with notes as played
GRID = 4  # parts of a beat
BEND_RANGE = 2.0  # semitones at the ends of MIDI's pitch wheel, as players assume
BEND_STEPS = 8191


def place_on_grid(notes: Sequence[Note], beats_s: Sequence[float]) -> tuple[list[Note], float]:
    """Move notes to sixteenths of a steady beat.

    Args:
        notes: as played.
        beats_s: times of at least two beats, in seconds.

    Returns:
        Notes whose times are those of a steady tempo, and that tempo in beats per minute.
    """
    beats = np.asarray(beats_s, dtype=float)
    beat_s = statistics.median(later - earlier for earlier, later in pairwise(beats))

    def at(second: float) -> float:
        """Place on the grid, in beats from the first one."""
        inside = float(np.interp(second, beats, np.arange(len(beats))))
        outside = min(0.0, second - beats[0]) + max(0.0, second - beats[-1])  # the tempo goes on
        return round(GRID * (inside + outside / beat_s)) / GRID

    origin = min((math.floor(at(note.start)) for note in notes), default=0)
    placed = []
    for note in notes:
        start = at(note.start) - origin
        end = max(at(note.end) - origin, start + 1 / GRID)
        placed.append(replace(note, start=start * beat_s, end=end * beat_s, bends=()))
    return placed, 60 / beat_s


def write_clip_midi(
    path: Path,
    notes: Sequence[Note],
    samples: np.ndarray,
    sample_rate: int,
    on_grid: bool = False,
    instrument: str = "",
    title: str = "",
) -> None:
    """Write the notes of a clip to a MIDI file.

    Args:
        path: is replaced if it exists.
        notes: from ``stylediff.transcription.transcribe``.
        samples: (channels, samples), in which beats are found.
        sample_rate: Hz.
        on_grid: True to put notes on the beats; without beats they stay as played.
        instrument: name of the one that plays; another name means a piano.
        title: name of the track.

    Raises:
        OSError: the file cannot be written.
    """
    bpm = PLAYED_BPM
    if on_grid and len(beats := find_beats(samples, sample_rate)) > 1:
        notes, bpm = place_on_grid(notes, beats)
    programs = {known.name: known.programs[0] for known in INSTRUMENTS}
    write_midi(path, notes, programs.get(instrument, 0), title, bpm)


def find_beats(samples: np.ndarray, sample_rate: int) -> list[float]:
    """Return the times of the beats, in seconds.

    They are librosa's (Ellis 2007). Silence has none.
    """
    channels = np.asarray(samples, dtype=np.float32).reshape(-1, np.shape(samples)[-1])
    mono = mix_channels(torch.from_numpy(channels)).numpy()
    if not mono.any():
        return []
    return [float(time) for time in track_beats(y=mono, sr=sample_rate, units="time")]


def is_alone(note: Note, notes: Sequence[Note]) -> bool:
    """True if no other note sounds at the same time."""
    return all(other is note or other.end <= note.start or other.start >= note.end for other in notes)


def write_midi(path: Path, notes: Sequence[Note], program: int = 0, title: str = "", bpm: float = PLAYED_BPM) -> None:
    """Write notes to a MIDI file with one track.

    Notes that bend and sound alone move the pitch wheel; MIDI bends all notes of a channel together.

    Args:
        path: is replaced if it exists.
        notes: times are in seconds.
        program: General MIDI program, from 0.
        title: name of the track.
        bpm: tempo, quarter notes per minute.

    Raises:
        OSError: the file cannot be written.
    """
    import mido

    def wheel(semitones: float) -> mido.Message:
        return mido.Message("pitchwheel", pitch=round(max(-1.0, min(1.0, semitones / BEND_RANGE)) * BEND_STEPS))

    per_second = TICKS * bpm / 60
    events = []  # (tick, order at the same tick, message)
    for note in notes:
        start, end = round(note.start * per_second), round(note.end * per_second)
        end = max(end, start + 1)
        if note.bends and is_alone(note, notes):
            steps = np.linspace(start, end, len(note.bends), endpoint=False).round().astype(int).tolist()
            events += [(step, 1, wheel(bend)) for step, bend in zip(steps, note.bends, strict=True)]
            events.append((end, 1, wheel(0.0)))
        events.append((start, 2, mido.Message("note_on", note=note.pitch, velocity=note.velocity)))
        events.append((end, 0, mido.Message("note_off", note=note.pitch)))
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name=title))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)))
    track.append(mido.Message("program_change", program=program))
    before = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - before))
        before = tick
    file = mido.MidiFile(ticks_per_beat=TICKS, charset="utf-8")
    file.tracks.append(track)
    file.save(path)
