"""Example clips: openings of classical melodies, played with a soundfont.

    python -m train make-examples --soundfont FluidR3.sf2 --out examples

The same soundfont gives the same clips.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from stylediff.audio import loudness_gain
from stylediff.instruments import get_instrument
from stylediff.mel import MelConfig
from stylediff.notes import Note
from train.common.cli import run_command
from train.data.soundfonts import Preset, SynthesisError, Synthesizer, open_synthesizer, soundfont_presets

START_S, FADE_S, LONGEST_S = 0.1, 0.15, 8.0
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Piece:
    """The opening of a piece, for one instrument.

    Attributes:
        name: name of the clip's file; it begins with the instrument and "_".
        beat_s: length of a beat.
        bar: beats between accents.
        pickup: beats before the first full bar.
        lines: parts, each as ``pitch:beats``, with ``+`` between the pitches of a chord and ``r`` for rests; a length
            applies until the next one.
        legato: share of a note's length for which it is held.
        ring_s: time for the last note to ring out.
    """

    name: str
    beat_s: float
    bar: float
    lines: tuple[str, ...]
    pickup: float = 0.0
    legato: float = 0.97
    ring_s: float = 0.5

    @property
    def instrument(self) -> str:
        return self.name.split("_")[0]


PIECES = (
    Piece(  # Beethoven, Bagatelle WoO 59, bars 5-8, the end of the first phrase; beats are sixteenths
        "piano_fur_elise",
        beat_s=0.21,
        bar=6,
        pickup=2,
        lines=(
            "E5:1 D#5 E5 D#5 E5 B4 D5 C5 A4:2 r:1 C4 E4 A4 B4:2 r:1 E4 C5 B4 A4:4",
            "r:8 A2:1 E3 A3:4 E2:1 E3 G#3:4 A2:1 E3 A3:2",
        ),
        ring_s=1.0,
    ),
    Piece(  # English, 16th century; beats are eighths
        "guitar_greensleeves",
        beat_s=0.27,
        bar=6,
        pickup=1,
        lines=(
            "A3:1 C4:2 D4:1 E4:1.5 F4:.5 E4:1 D4:2 B3:1 G3:1.5 A3:.5 B3:1 C4:2 A3:1 A3:1.5 G#3:.5 A3:1 B3:2 G#3:1 E3:2",
            "r:1 A2:3 E3 G2 D3 F2 C3 E2 E2:2",
        ),
        legato=1.0,
        ring_s=0.9,
    ),
    Piece(  # Petzold, Minuet in G (BWV Anh. 114), bars 1-4; beats are eighths
        "violin_minuet",
        beat_s=0.26,
        bar=6,
        lines=("D5:2 G4:1 A4 B4 C5 D5:2 G4 G4 E5:2 C5:1 D5 E5 F#5 G5:2 G4 G4",),
        legato=0.93,
    ),
    Piece(  # Mozart, Sonata K. 331, theme, bars 1-2 and the note after; beats are eighths
        "flute_mozart_theme",
        beat_s=0.42,
        bar=6,
        lines=("C#5:1.5 D5:.5 C#5:1 E5:2 E5:1 B4:1.5 C#5:.5 B4:1 D5:2 D5:1 A4:2",),
        legato=0.95,
    ),
    Piece(  # Bach, Suite BWV 1007, Prelude, bar 1, half of bar 2 and the note after; beats are sixteenths
        "cello_bach_prelude",
        beat_s=0.23,
        bar=8,
        lines=("G2:1 D3 B3 A3 B3 D3 B3 D3 G2 D3 B3 A3 B3 D3 B3 D3 G2 E3 C4 B3 C4 E3 C4 E3 G2:3",),
        legato=1.0,
    ),
    Piece(  # Pachelbel, Canon in D, the bass and the first entry, broken chords added; beats are quarters
        "harp_pachelbel_canon",
        beat_s=0.42,
        bar=2,
        lines=(
            "F#5:2 E5 D5 C#5 B4 A4 B4 C#5",
            "D3:.5 A3 D4 F#4 A2 E3 A3 C#4 B2 F#3 B3 D4 F#2 C#3 F#3 A3 "
            "G2 D3 G3 B3 D2 A2 D3 F#3 G2 D3 G3 B3 A2 E3 A3 C#4",
        ),
        legato=1.0,
        ring_s=1.0,
    ),
    Piece(  # Beethoven, Symphony No. 9, the theme of the finale, first phrase; beats are quarters
        "trumpet_ode_to_joy",
        beat_s=0.42,
        bar=4,
        lines=("F#4:1 F#4 G4 A4 A4 G4 F#4 E4 D4 D4 E4 F#4 F#4:1.5 E4:.5 E4:2",),
        legato=0.9,
    ),
)


def midi_pitch(name: str) -> int:
    """MIDI note number of a pitch such as ``F#4``; C4 is 60."""
    return STEPS[name[0]] + name.count("#") + 12 * (int(name[-1]) + 1)


def read_line(line: str) -> list[tuple[float, float, int]]:
    """Parse a line into (onset, length, pitch), in beats."""
    notes, onset, length = [], 0.0, 0.0
    for token in line.split():
        pitches, _, written = token.partition(":")
        length = float(written) if written else length
        notes += [(onset, length, midi_pitch(name)) for name in pitches.split("+") if name != "r"]
        onset += length
    return notes


def perform(piece: Piece) -> tuple[Note, ...]:
    """Perform a piece, louder in the middle and on accents.

    Timing varies slightly, and the end slows down.
    """
    rng = np.random.default_rng([ord(letter) for letter in piece.name])
    written = sorted(note for line in piece.lines for note in read_line(line))
    total = max(onset + length for onset, length, _ in written)

    def seconds(beat: float) -> float:
        last_bar = max(0.0, beat - (total - piece.bar)) / piece.bar
        return START_S + piece.beat_s * (beat + 0.15 * piece.bar * last_bar**2)

    notes = []
    for onset, length, pitch in written:
        accent = 8.0 if (onset - piece.pickup) % piece.bar == 0 else 0.0
        velocity = 68 + 18 * np.sin(np.pi * onset / total) + accent + rng.normal(0, 3)
        start = max(0.02, seconds(onset) + rng.normal(0, 0.005))
        end = start + piece.legato * (seconds(onset + length) - seconds(onset))
        notes.append(Note(start, end, pitch, int(np.clip(round(velocity), 40, 115))))
    return tuple(notes)


def render_piece(piece: Piece, soundfont: Path, player: Synthesizer, sample_rate: int) -> np.ndarray:
    """Render a piece, (samples,) float32, with a fade-out."""
    notes = perform(piece)
    seconds = min(LONGEST_S, max(note.end for note in notes) + piece.ring_s)
    preset = Preset(soundfont, get_instrument(piece.instrument).programs[0])
    waveform = player.render(notes, preset, round(seconds * sample_rate), {})
    waveform = waveform * loudness_gain(torch.from_numpy(waveform))
    fade = round(FADE_S * sample_rate)
    waveform[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return waveform


def make_examples(soundfont: Path, out: Path) -> None:
    """Render all pieces.

    Raises:
        SynthesisError: the soundfont cannot be loaded, or lacks an instrument.
    """
    sample_rate = MelConfig().sample_rate
    programs = {get_instrument(piece.instrument).programs[0] for piece in PIECES}
    missing = programs - {preset.program for preset in soundfont_presets(soundfont) if preset.bank == 0}
    if missing:
        raise SynthesisError(f"{soundfont.name} lacks programs {', '.join(map(str, sorted(missing)))}")
    player = open_synthesizer(soundfont, sample_rate)
    out.mkdir(parents=True, exist_ok=True)
    for piece in PIECES:
        waveform = render_piece(piece, soundfont, player, sample_rate)
        soundfile.write(out / f"{piece.name}.flac", waveform, sample_rate, subtype="PCM_16")


def main(args: argparse.Namespace) -> int:
    return run_command(lambda: make_examples(args.soundfont, args.out), SynthesisError)
