"""Build a SoundFont from recorded notes and a table of them.

    python -m train build-soundfont --notes TABLE.csv --samples DIR --out FONT.sf2

The table has one line per note. Columns are ``file`` and ``pitch`` (60 or C4), and optionally ``kind`` (sustained or
struck), ``velocity`` (the highest that plays the note's layer), ``program``, ``bank`` and ``name`` of the preset,
``level_db``, ``loop_start_s`` and ``loop_end_s``. See docs/own_instrument.md.
"""

import argparse
import csv
import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats
from tqdm import tqdm

from train.common.cli import run_command
from train.data.note_samples import (
    KINDS,
    SAMPLE_RATE,
    SUSTAINED,
    NoteError,
    close_loop,
    fade_out,
    find_loop,
    load_note,
    measure_cents,
    note_loudness,
    trim_note,
)
from train.data.soundfont_writer import FontPreset, Sample, SoundFontError, Zone, write_soundfont

RELEASE_S = {"sustained": 0.2, "struck": 0.3}
LARGEST_TILT_DB = 6.0  # limit of a layer's level slope over pitch
PEAK = 0.9
SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}


class TableError(ValueError):
    """An invalid table of notes.

    The message names the line.
    """


@dataclass(frozen=True)
class NoteRow:
    """One line of the table.

    Attributes:
        file: path relative to the folder of samples.
        pitch: MIDI note number.
        kind: "sustained", which gets a loop, or "struck", which decays.
        velocity: highest velocity that plays its layer.
        program, bank, name: program, bank and name of the preset.
        level_db: level relative to other notes of the same velocity.
        loop_s: start and end of the loop, in seconds of the file; None to find it automatically.
    """

    file: str
    pitch: int
    kind: str
    velocity: int = 127
    program: int = 0
    bank: int = 0
    name: str = ""
    level_db: float = 0.0
    loop_s: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class PreparedNote:
    """A note ready for the SoundFont, except for its level.

    Attributes:
        waveform: (samples,).
        cents: deviation from the stated pitch.
        loudness: loudness in LUFS.
        loop: first sample and end, or None.
    """

    row: NoteRow
    waveform: np.ndarray
    cents: float
    loudness: float
    loop: tuple[int, int] | None


def parse_pitch(text: str) -> int:
    """Parse the MIDI note number in "60", "C4", "F#3" or "Bb2".

    C4 is 60; "Fs3" is "F#3".

    Raises:
        ValueError: not a pitch, or outside of 0 to 127.
    """
    match = re.fullmatch(r"([A-Ga-g])([#sb♯♭]?)(-?\d)", text.strip())
    if match:
        sharp = {"": 0, "b": -1, "♭": -1}.get(match[2], 1)
        pitch = SEMITONES[match[1].lower()] + sharp + 12 * (int(match[3]) + 1)
    else:
        pitch = int(text)
    if not 0 <= pitch <= 127:
        raise ValueError(f"pitch {pitch} is outside of 0 to 127")
    return pitch


def parse_row(cells: dict[str, str], default_kind: str) -> NoteRow:
    """Parse a line of the table.

    Raises:
        ValueError: a cell that cannot be read.
    """
    filled = {name: text.strip() for name, text in cells.items() if name and text and text.strip()}
    if "file" not in filled or "pitch" not in filled:
        raise ValueError("the columns file and pitch are required")
    kind = filled.get("kind", default_kind)
    if kind not in KINDS:
        raise ValueError(f"kind must be {' or '.join(KINDS)}, not {kind!r}")
    velocity, program, bank = (
        int(filled.get(name, default)) for name, default in (("velocity", 127), ("program", 0), ("bank", 0))
    )
    if not (1 <= velocity <= 127 and 0 <= program <= 127 and 0 <= bank <= 119):
        raise ValueError("velocity must be 1 to 127, program 0 to 127 and bank 0 to 119")
    starts, ends = (filled.get(name, "auto") for name in ("loop_start_s", "loop_end_s"))
    loop_s = None if "auto" in (starts, ends) else (float(starts), float(ends))
    name, level_db = filled.get("name", ""), float(filled.get("level_db", 0))
    return NoteRow(filled["file"], parse_pitch(filled["pitch"]), kind, velocity, program, bank, name, level_db, loop_s)


def read_table(path: Path, samples: Path, default_kind: str) -> list[NoteRow]:
    """Read a table of notes.

    Raises:
        TableError: the table cannot be read, is empty, names a missing file, or names two files for the same note.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"cannot read the table {path}: {error}") from error
    rows: list[NoteRow] = []
    places: dict[tuple[int, int, int, int], str] = {}
    for number, line in enumerate(lines, 2):
        try:
            row = parse_row(line, default_kind)
        except ValueError as error:
            raise TableError(f"{path.name}, line {number}: {error}") from error
        if not (samples / row.file).is_file():
            raise TableError(f"{path.name}, line {number}: no such file in {samples}: {row.file}")
        place = (row.bank, row.program, row.velocity, row.pitch)
        if place in places:
            raise TableError(f"{path.name}, line {number}: {row.file} is the same note as {places[place]}; keep one")
        places[place] = row.file
        rows.append(row)
    if not rows:
        raise TableError(f"{path.name} has no notes")
    return rows


def prepare_note(row: NoteRow, samples: Path, longest_s: float) -> PreparedNote:
    """Trim, measure, and loop or fade out a recorded note.

    Raises:
        NoteError: the recording cannot be used.
    """
    whole = load_note(samples / row.file)
    waveform = trim_note(whole, row.kind)
    cents = measure_cents(waveform, row.pitch)
    loudness = note_loudness(waveform, row.kind)
    if row.kind != SUSTAINED:
        return PreparedNote(row, fade_out(waveform, longest_s), cents, loudness, None)
    if row.loop_s is None:
        loop = find_loop(waveform)
    else:
        cut = len(whole) - len(waveform)
        start, end = (round(second * SAMPLE_RATE) - cut for second in row.loop_s)
        loop = (start, end)
    return PreparedNote(row, close_loop(waveform, loop), cents, loudness, loop)


def even_levels(notes: Sequence[PreparedNote]) -> list[float]:
    """Gains that even out the levels of a preset's notes.

    Within a layer, levels are moved to a robust line over pitch (Theil 1950, Sen 1968) with limited slope. All layers
    get the same mean level, because a synthesizer plays soft velocities softly by default; layers only add their
    timbre. ``level_db`` is added. The highest peak of the preset is 0.9.

    Returns:
        One gain per note.
    """
    gains_db = np.zeros(len(notes))
    for velocity in {note.row.velocity for note in notes}:
        layer = [number for number, note in enumerate(notes) if note.row.velocity == velocity]
        pitches = np.array([notes[number].row.pitch for number in layer], float)
        loudness = np.array([notes[number].loudness for number in layer])
        span = float(np.ptp(pitches))
        slope = scipy.stats.theilslopes(loudness, pitches).slope if span else 0.0
        steepest = LARGEST_TILT_DB / max(span, 1.0)
        wanted = np.clip(slope, -steepest, steepest) * (pitches - pitches.mean())
        gains_db[layer] = wanted - loudness + [notes[number].row.level_db for number in layer]
    gains = 10 ** (gains_db / 20)
    peaks = [float(np.abs(note.waveform).max()) for note in notes]
    return (gains * PEAK / np.max(gains * peaks)).tolist()


def key_ranges(pitches: Sequence[int], lowest: int, highest: int) -> list[tuple[int, int]]:
    """Range of keys that plays each note.

    It reaches halfway to the neighbours; for the outermost notes it reaches to the limits.

    Args:
        pitches: ascending.
    """
    borders = [(low + high) // 2 for low, high in itertools.pairwise(pitches)]
    return list(zip([lowest, *(border + 1 for border in borders)], [*borders, highest], strict=True))


def build_preset(notes: Sequence[PreparedNote], fallback_name: str, reach: int) -> FontPreset:
    """Build a preset from notes of one program and bank.

    Args:
        reach: number of keys beyond the outermost notes that play them.
    """
    gains = even_levels(notes)
    pitches = [note.row.pitch for note in notes]
    lowest, highest = max(0, min(pitches) - reach), min(127, max(pitches) + reach)
    tops = sorted({note.row.velocity for note in notes})
    zones = []
    for top in tops:
        softest = 0 if top == tops[0] else tops[tops.index(top) - 1] + 1
        velocities = (softest, 127 if top == tops[-1] else top)
        layer = sorted((n for n in range(len(notes)) if notes[n].row.velocity == top), key=lambda n: pitches[n])
        ranges = key_ranges([pitches[number] for number in layer], lowest, highest)
        for number, keys in zip(layer, ranges, strict=True):
            note = notes[number]
            name = f"{note.row.pitch} {top} {Path(note.row.file).stem}"
            waveform, cents = note.waveform * gains[number], round(note.cents)
            sample = Sample(name, waveform, SAMPLE_RATE, note.row.pitch, cents, note.loop)
            zones.append(Zone(sample, keys, velocities, RELEASE_S[note.row.kind]))
    row = notes[0].row
    name = next((note.row.name for note in notes if note.row.name), fallback_name)
    return FontPreset(name, row.program, row.bank, tuple(zones))


def build_soundfont(rows: Sequence[NoteRow], samples: Path, out: Path, name: str, reach: int, longest_s: float) -> None:
    """Write a SoundFont of all usable notes and print a summary.

    An unusable note is skipped with a message; its neighbours play its keys.

    Raises:
        NoteError: no note of a preset can be used.
        SoundFontError: see ``write_soundfont``.
    """
    prepared: dict[tuple[int, int], list[PreparedNote]] = {(row.bank, row.program): [] for row in rows}
    for row in tqdm(rows, unit="note"):
        try:
            prepared[row.bank, row.program].append(prepare_note(row, samples, longest_s))
        except NoteError as error:
            tqdm.write(f"skipped: {row.file}: {error}", file=sys.stderr)
    presets = []
    for (bank, program), notes in prepared.items():
        if not notes:
            raise NoteError(f"no note of program {program}, bank {bank} can be used")
        preset = build_preset(notes, name, reach)
        presets.append(preset)
        moved = [abs(note.cents) for note in notes]
        layers = len({note.row.velocity for note in notes})
        print(
            f"{bank}:{program} {preset.name}: {len(notes)} notes, {layers} layers, "
            f"tuned by {np.median(moved):.1f} cents (median), {max(moved):.1f} (most)"
        )
    write_soundfont(out, name, presets)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        if args.out.suffix.lower() != ".sf2" or not args.out.parent.is_dir():
            raise TableError(f"cannot write {args.out}: the name must end in .sf2 and the folder must exist")
        rows = read_table(args.notes, args.samples, args.kind)
        build_soundfont(rows, args.samples, args.out, args.name or args.out.stem, args.reach, args.longest)

    return run_command(work, TableError, NoteError, SoundFontError, OSError)
