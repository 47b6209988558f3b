"""Five-second excerpts of MIDI files, varied and transposed to fit instruments."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import symusic

from stylediff.instruments import INSTRUMENTS
from stylediff.notes import Note
from train.data.notes import PLAYABLE_SHARE, mean_polyphony

MIN_NOTES, MAX_NOTES = 5, 90
TEMPO, SLOW_TEMPO = (0.85, 1.15), (0.2, 0.7)
LENGTHS_S, SLOW_LENGTHS_S = (0.15, 0.25, 0.4, 0.6, 1.0, 2.0), (1.0, 2.0, 3.0, 5.0)  # of random notes
LEAD_IN_S = 0.8


class ScoreError(ValueError):
    """A score or a folder of scores that cannot be used."""


@dataclass(frozen=True)
class Excerpt:
    """A part of a score.

    Notes that start before 0 sound in the lead-in, which is rendered and then cut off.
    """

    piece: str
    tracks: str
    start_s: float
    tempo: float
    transposition: int
    notes: tuple[Note, ...]


def find_pieces(folders: list[Path]) -> dict[str, list[Path]]:
    """MIDI files by folder, in sorted order.

    Raises:
        ScoreError: a folder is missing, or no folder has MIDI files.
    """
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ScoreError(f"no such folder of MIDI files: {folder}")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in (".mid", ".midi"):
                groups.setdefault(f"{folder.name}/{path.parent.relative_to(folder)}", []).append(path)
    if not groups:
        raise ScoreError(f"no .mid file in {', '.join(map(str, folders))}")
    return dict(sorted(groups.items()))


def read_tracks(path: Path) -> list[list[Note]]:
    """Read the notes of a MIDI file's pitched tracks, sorted by onset.

    Raises:
        ScoreError: not a readable MIDI file, or one without notes.
    """
    try:
        score = symusic.Score(path, ttype="second")
    except (RuntimeError, ValueError, OSError) as error:
        raise ScoreError(f"{path.name} is not a readable MIDI file") from error
    tracks = []
    for track in score.tracks:
        notes = [Note(note.time, note.time + note.duration, note.pitch, note.velocity) for note in track.notes]
        if notes and not track.is_drum:
            tracks.append(sorted(notes, key=lambda note: (note.start, note.pitch)))
    if not tracks:
        raise ScoreError(f"{path.name} has no notes")
    return tracks


def cut_excerpt(path: Path, piece: str, seconds: float, rng: np.random.Generator, slow: bool = False) -> Excerpt | None:
    """Cut a random excerpt, varied in tempo, pitch and velocity.

    Args:
        path: the MIDI file.
        piece: name of the piece in the manifest.
        seconds: length of the rendered clip.
        slow: play at a fraction of the tempo, so that notes are held for seconds. One note is enough then.

    Returns:
        None if the excerpt has too few or too many notes, or fits no instrument.

    Raises:
        ScoreError: the file cannot be read.
    """
    tracks = read_tracks(path)
    chosen = int(rng.integers(len(tracks) + 1)) if len(tracks) > 1 else 0
    every = [note for track in tracks for note in track]
    notes = tracks[chosen] if chosen < len(tracks) else sorted(every, key=lambda note: (note.start, note.pitch))
    tempo = float(rng.uniform(*(SLOW_TEMPO if slow else TEMPO)))
    start = notes[int(rng.integers(len(notes)))].start - float(rng.uniform(0.0, 0.25)) * tempo
    lead_in = LEAD_IN_S if rng.random() < 0.5 else 0.0
    window = [
        Note((n.start - start) / tempo, min((n.end - start) / tempo, seconds), n.pitch, n.velocity)
        for n in notes
        if -lead_in <= (n.start - start) / tempo < seconds - 0.1
    ]
    window = separate_repeats(vary_performance(window, rng))
    inside = [note for note in window if note.end > 0]
    covered = sum(min(note.end, seconds) - max(note.start, 0) for note in inside) / seconds
    fewest = 1 if slow else MIN_NOTES
    if not fewest <= len(inside) <= MAX_NOTES or covered < 0.5:
        return None
    transposition = choose_transposition(tuple(window), rng)
    if transposition is None:
        return None
    shifted = tuple(replace(note, pitch=note.pitch + transposition) for note in window)
    label = "all" if chosen == len(tracks) else str(chosen)
    return Excerpt(piece, label, round(start, 3), round(tempo, 4), transposition, shifted)


def random_excerpt(seconds: float, rng: np.random.Generator, slow: bool = False) -> Excerpt:
    """Make random lines of notes, so that every register occurs.

    Args:
        seconds: length of the excerpt.
        slow: hold the notes for seconds.
    """
    notes = []
    for _ in range(int(rng.integers(1, 4))):
        pitch, time = int(rng.integers(36, 97)), float(rng.uniform(0, 0.3))
        while time < seconds - 0.3:
            length = float(rng.choice(SLOW_LENGTHS_S if slow else LENGTHS_S))
            velocity = int(rng.integers(45, 115))
            notes.append(Note(time, min(time + 0.95 * length, seconds), pitch, velocity))
            pitch = int(np.clip(pitch + rng.integers(-9, 10), 28, 103))
            time += length
    kept = separate_repeats(sorted(notes, key=lambda n: (n.start, n.pitch)))
    transposition = choose_transposition(tuple(kept), rng) or 0
    shifted = tuple(replace(note, pitch=note.pitch + transposition) for note in kept)
    return Excerpt("random", "all", 0.0, 1.0, transposition, shifted)


def vary_performance(notes: list[Note], rng: np.random.Generator) -> list[Note]:
    """Vary the velocities, timing and articulation of some notes."""
    if not notes:
        return []
    gamma, level = float(rng.uniform(0.6, 1.4)), float(rng.uniform(0.8, 1.15))
    depth, period, phase = float(rng.uniform(0, 0.2)), float(rng.uniform(2, 8)), float(rng.uniform(0, 6.28))
    timing_s, articulation = float(rng.uniform(0, 0.015)), float(rng.uniform(0.8, 1.02))
    varied = []
    for note in notes:
        swell = 1 + depth * np.sin(2 * np.pi * note.start / period + phase)
        velocity = 127 * (note.velocity / 127) ** gamma * level * swell + rng.normal(0, 4)
        start = note.start + float(rng.normal(0, 1)) * timing_s
        end = start + max(0.05, (note.end - note.start) * articulation)
        varied.append(Note(start, end, note.pitch, int(np.clip(round(velocity), 20, 127))))
    return sorted(varied, key=lambda note: (note.start, note.pitch))


def separate_repeats(notes: list[Note]) -> list[Note]:
    """Separate overlapping notes of the same pitch.

    The earlier note ends when the later one starts.

    Doublings within 50 ms become one note, as on a single instrument.
    """
    kept: list[Note] = []
    last_of_pitch: dict[int, int] = {}
    for note in notes:
        index = last_of_pitch.get(note.pitch)
        if index is not None:
            earlier = kept[index]
            if note.start - earlier.start < 0.05:
                kept[index] = replace(earlier, end=max(earlier.end, note.end))
                continue
            kept[index] = replace(earlier, end=min(earlier.end, note.start - 0.01))
        last_of_pitch[note.pitch] = len(kept)
        kept.append(note)
    return kept


def choose_transposition(notes: tuple[Note, ...], rng: np.random.Generator) -> int | None:
    """Sample a transposition in semitones, or None if no instrument fits.

    Small shifts, and shifts that more instruments can play, are more likely.
    """
    shifts = list(range(-24, 25))
    weights = np.zeros(len(shifts))
    polyphony = mean_polyphony(notes)
    pitches = np.array([note.pitch for note in notes])
    for index, shift in enumerate(shifts):
        moved = pitches + shift
        count = sum(
            polyphony <= i.polyphony and np.mean((moved >= i.lowest) & (moved <= i.highest)) >= PLAYABLE_SHARE
            for i in INSTRUMENTS
        )
        weights[index] = count**2 * np.exp(-abs(shift) / 10)
    if weights.max() == 0:
        return None
    return int(rng.choice(shifts, p=weights / weights.sum()))
