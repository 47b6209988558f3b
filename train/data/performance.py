"""Gestures of a performance, and how each instrument plays them.

A gesture belongs to the performance, not to the instrument: two sustaining instruments that play the same excerpt swell
and use vibrato at the same moments, each in its idiom. A violin's vibrato is mostly pitch, a flute's mostly loudness;
copying one to the other sounds wrong (AdaTT, arXiv 2606.15813). Struck and plucked instruments cannot change a sounding
note, so they ignore gestures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stylediff.notes import Note

VIBRATO_SHORTEST_S = 0.28  # shorter notes have no gestures
VIBRATO_RISE_S = 0.15
SWELL_SHORTEST_S = 0.4
ACCENT_DECAY_S = 0.08
HEADROOM_DB = 4.0  # below full expression, to leave headroom for swells
EXPRESSION_DB = 40.0  # attenuation is 40 log10(127 / value) (SoundFont 2.04, section 8.4.6)
SLIDE_LARGEST = 2  # semitones
CHORD_S = 0.03  # notes that start within this time are a chord


@dataclass(frozen=True)
class Gesture:
    """Shape of one note while it sounds.

    The defaults leave the note unchanged.

    Attributes:
        vibrato: depth relative to the instrument's usual one.
        vibrato_hz: rate of the vibrato.
        vibrato_delay_s: time from the onset to the start of the vibrato.
        swell: shape of the loudness over the note: "flat", "rise", "fade" or "arch".
        swell_amount: range relative to the instrument's usual one.
        accent: emphasis of the onset relative to the instrument's usual one.
        slide_semitones: starting pitch of a slide, relative to the note.
        slide_s: duration of the slide.
    """

    vibrato: float = 0.0
    vibrato_hz: float = 5.6
    vibrato_delay_s: float = 0.2
    swell: str = "flat"
    swell_amount: float = 0.0
    accent: float = 0.0
    slide_semitones: int = 0
    slide_s: float = 0.06


@dataclass(frozen=True)
class Idiom:
    """Usual range of each gesture on an instrument.

    Attributes:
        vibrato_cents: usual peak deviation of pitch.
        tremolo_db: usual peak deviation of level, in step with the vibrato.
        swell_db: usual range of a swell.
        accent_db: usual emphasis of an onset.
        slides: True if it can slide from note to note.
    """

    vibrato_cents: float
    tremolo_db: float
    swell_db: float
    accent_db: float
    slides: bool


IDIOMS: dict[str, Idiom] = {
    "violin": Idiom(17.0, 0.8, 5.0, 2.5, True),
    "cello": Idiom(14.0, 0.8, 5.0, 2.5, True),
    "strings": Idiom(5.0, 0.3, 5.0, 1.5, False),
    "trumpet": Idiom(6.0, 0.8, 4.0, 3.0, False),
    "saxophone": Idiom(12.0, 1.0, 4.0, 2.5, True),
    "clarinet": Idiom(2.0, 0.5, 5.0, 1.5, False),
    "flute": Idiom(5.0, 2.2, 4.0, 2.0, False),
}
# voices whose samples were recorded with vibrato get half of it in addition
VIBRATO_IN_SAMPLES = ("violin/OPEN_small-40", "violin/RealOpen-40.1", "flute/RealOpen-73")


@dataclass(frozen=True)
class Shape:
    """Shape of a note with a gesture on an instrument."""

    gesture: Gesture
    idiom: Idiom


def sample_gestures(notes: Sequence[Note], rng: np.random.Generator) -> tuple[Gesture, ...]:
    """Sample a player and the player's gesture for each note.

    Three in five players have nearly the same habits, so that the onsets of a source without vibrato determine the
    vibrato of its target. Three in ten vary as much as recorded players. One in ten plays without vibrato.

    Args:
        notes: sorted by onset.

    Returns:
        One gesture per note.
    """
    kind = rng.choice(["usual", "individual", "plain"], p=[0.6, 0.3, 0.1])
    rate, depth = float(rng.normal(5.6, 0.2)), float(rng.normal(1.0, 0.1))
    if kind == "individual":
        rate, depth = float(rng.uniform(4.3, 7.2)), float(rng.uniform(0.3, 1.9))
    slides = float(rng.choice([0.0, 0.15, 0.4], p=[0.5, 0.35, 0.15]))
    swells = float(rng.uniform(0.2, 0.8))
    emphasis = float(rng.uniform(0.0, 1.5))
    gestures = []
    for number, note in enumerate(notes):
        length = note.end - note.start
        gesture = Gesture(accent=emphasis * float(rng.uniform(0.3, 1.2)))
        if length >= VIBRATO_SHORTEST_S and kind != "plain":
            gesture = replace(
                gesture,
                vibrato=max(0.0, depth * float(rng.normal(1.0, 0.15)) * min(1.0, 0.4 + 0.6 * length)),
                vibrato_hz=rate * float(rng.normal(1.0, 0.02)),
                vibrato_delay_s=min(0.25, 0.3 * length) * float(rng.uniform(0.85, 1.15)),
            )
        if length >= SWELL_SHORTEST_S and rng.random() < swells:
            form = str(rng.choice(["rise", "fade", "arch"]))
            gesture = replace(gesture, swell=form, swell_amount=float(rng.uniform(0.3, 1.3)))
        step = _step_from_neighbour(notes, number)
        if step and rng.random() < slides:
            gesture = replace(gesture, slide_semitones=step, slide_s=float(rng.uniform(0.03, 0.09)))
        gestures.append(gesture)
    return tuple(gestures)


def _step_from_neighbour(notes: Sequence[Note], number: int) -> int:
    """Interval to the preceding note in semitones, or 0.

    The preceding note must end where this one starts, and be close enough for a slide.
    """
    note = notes[number]
    for earlier in reversed(notes[max(0, number - 6) : number]):
        step = earlier.pitch - note.pitch
        if abs(earlier.end - note.start) < 0.06 and 0 < abs(step) <= SLIDE_LARGEST:
            return step
    return 0


def note_shapes(gestures: Sequence[Gesture], instrument: str, voice: str = "") -> tuple[Shape | None, ...]:
    """Shapes of notes on an instrument.

    They are None for struck and plucked instruments.
    """
    idiom = IDIOMS.get(instrument)
    if idiom is None:
        return (None,) * len(gestures)
    if voice in VIBRATO_IN_SAMPLES:
        idiom = replace(idiom, vibrato_cents=idiom.vibrato_cents / 2, tremolo_db=idiom.tremolo_db / 2)
    return tuple(Shape(gesture, idiom) for gesture in gestures)


def note_curves(note: Note, shape: Shape, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch and expression over a note.

    Args:
        times: seconds after the onset, (times,).

    Returns:
        Cents, and MIDI expression from 1 to 127, (times,) each.
    """
    gesture, idiom = shape.gesture, shape.idiom
    length = max(note.end - note.start, 1e-3)
    into = times - gesture.vibrato_delay_s
    wave = np.sin(2 * np.pi * gesture.vibrato_hz * into) * np.clip(into / VIBRATO_RISE_S, 0, 1) * gesture.vibrato
    cents = idiom.vibrato_cents * wave
    if idiom.slides and gesture.slide_semitones:
        cents = cents + 100 * gesture.slide_semitones * np.clip(1 - times / gesture.slide_s, 0, 1)
    place = np.clip(times / length, 0, 1)
    forms = {"flat": 0 * place, "rise": place - 0.5, "fade": 0.5 - place, "arch": np.sin(np.pi * place) - 0.5}
    level = idiom.swell_db * gesture.swell_amount * forms[gesture.swell] + idiom.tremolo_db * wave
    level = level + idiom.accent_db * gesture.accent * (np.exp(-times / ACCENT_DECAY_S) - 0.3)
    expression = 127 * 10 ** ((level - HEADROOM_DB) / EXPRESSION_DB)
    return cents, np.clip(expression, 1, 127)


def roll_chords(notes: Sequence[Note], spread_s: float) -> list[Note]:
    """Roll chords upwards.

    The last note of a chord starts ``spread_s`` after the first.
    """
    rolled: list[Note] = []
    chord: list[Note] = []
    for note in [*sorted(notes, key=lambda note: (note.start, note.pitch)), None]:
        if note is None or (chord and note.start - chord[0].start > CHORD_S):
            chord.sort(key=lambda member: member.pitch)
            for place, member in enumerate(chord):
                late = spread_s * place / max(1, len(chord) - 1) if len(chord) > 2 else 0.0
                start = min(member.start + late, member.end - 0.03)
                rolled.append(replace(member, start=max(member.start, start)))
            chord = []
        if note is not None:
            chord.append(note)
    return sorted(rolled, key=lambda note: (note.start, note.pitch))


def let_ring(notes: Sequence[Note], longer_s: float) -> tuple[Note, ...]:
    """Hold notes longer, as under a half-pressed pedal.

    A note ends before the next onset of the same pitch.
    """
    following: dict[int, float] = {}
    ringing = []
    for note in reversed(notes):
        end = min(note.end + longer_s, following.get(note.pitch, np.inf) - 0.01)
        ringing.append(replace(note, end=max(note.end, end)))
        following[note.pitch] = note.start
    return tuple(reversed(ringing))
