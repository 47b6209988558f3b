"""Play notes with a soundfont, by FluidSynth or tinysoundfont.

tinysoundfont is used where FluidSynth's library is missing.
"""

import ctypes
import importlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stylediff.instruments import INSTRUMENTS
from stylediff.notes import Note
from train.data.excerpts import LEAD_IN_S
from train.data.performance import Shape, note_curves

BLOCK = 64  # FluidSynth computes 64 samples at a time; events on that grid sound the same in any context
GAIN = 0.4
CONTROL = 4 * BLOCK  # samples between values of a control curve
CHANNELS = tuple(channel for channel in range(16) if channel != 9)  # 9 is the drum channel of General MIDI
RELEASE_S = 0.3  # time for a channel's last note to ring before the channel's pitch bend changes
EXPRESSION = 11
DRUM_BANK = 120  # banks from here on are drum kits and sound effects in General MIDI 2
FLUID_WARN = 2


class SynthesisError(RuntimeError):
    """An unusable soundfont, or a missing synthesizer."""


@dataclass(frozen=True, order=True)
class Preset:
    """One preset of a soundfont file."""

    soundfont: Path
    program: int
    bank: int = 0

    @property
    def number(self) -> str:
        """Program, with the bank if it is not 0: "40", "40.1"."""
        return f"{self.program}.{self.bank}" if self.bank else str(self.program)


class Synthesizer(Protocol):
    """Plays the presets of one soundfont."""

    def render(
        self,
        notes: tuple[Note, ...],
        preset: Preset,
        samples: int,
        controls: dict[int, int],
        detune_cents: float = 0.0,
        shapes: Sequence[Shape | None] = (),
    ) -> np.ndarray: ...


def soundfont_presets(path: Path) -> list[Preset]:
    """List the melodic presets of a soundfont, bank 0 first.

    They are read from the headers (SoundFont 2.04, section 7.2).

    Raises:
        SynthesisError: the file is missing or not a soundfont.
    """
    if not path.is_file():
        raise SynthesisError(f"no such soundfont: {path}")
    data = path.read_bytes()
    at = data.rfind(b"phdr")
    if data[:4] != b"RIFF" or at < 0:
        raise SynthesisError(f"{path.name} is not a soundfont (.sf2 or .sf3)")
    (size,) = struct.unpack_from("<I", data, at + 4)
    headers = (struct.unpack_from("<HH", data, at + 8 + offset + 20) for offset in range(0, size - 38, 38))
    presets = {Preset(path, program, bank) for program, bank in headers if bank < DRUM_BANK}
    return sorted(presets, key=lambda preset: (preset.bank, preset.program))


def soundfont_voices(argument: str) -> dict[str, Preset]:
    """List the voices of a soundfont.

    ``path:program,program.bank`` restricts them to these presets.

    Banks above 0 are used only in soundfonts that have no other programs than those of our instruments. In others they
    are a synthesizer's variations.

    Returns:
        Presets by voice; a voice outside bank 0 is called ``instrument/soundfont-program.bank``.

    Raises:
        SynthesisError: not a soundfont, or one without any of our instruments.
    """
    name, _, wanted = argument.partition(":")
    path = Path(name)
    offered = soundfont_presets(path)
    known = {program for instrument in INSTRUMENTS for program in instrument.programs}
    is_ours = {preset.program for preset in offered} <= known
    if wanted:
        if not all(number.replace(".", "", 1).isdecimal() for number in wanted.split(",")):
            raise SynthesisError(f"the presets after the colon must be numbers like 40,42.1, got {wanted!r}")
        offered = [preset for preset in offered if preset.number in wanted.split(",")]
    elif not is_ours:
        offered = [preset for preset in offered if preset.bank == 0]
    # In a full General MIDI bank, the second and third programs of a family are other instruments. They count only if
    # the family's first program is missing or the soundfont is a small one.
    small = is_ours or len(offered) <= 12
    voices = {}
    for instrument in INSTRUMENTS:
        for preset in offered:
            if preset.program in instrument.programs and (small or preset.program in (instrument.programs[0], 25)):
                voices[f"{instrument.name}/{path.stem}-{preset.number}"] = preset
    if not voices:
        raise SynthesisError(f"{path.name} has no preset of any known instrument")
    return voices


@dataclass(frozen=True, order=True)
class Event:
    """A message to a synthesizer.

    Attributes:
        sample: time in samples, on the grid of ``BLOCK``.
        rank: order of messages at the same sample: ends, then controls, then onsets.
        kind: "off", "bend" (cents), "expression" (0-127) or "on" (velocity).
    """

    sample: int
    rank: int
    channel: int
    kind: str
    pitch: int = 0
    value: float = 0.0


def note_events(notes: tuple[Note, ...], sample_rate: int, shapes: Sequence[Shape | None] = ()) -> list[Event]:
    """Messages for notes in time order.

    Args:
        shapes: one per note, or none. A note with a shape gets a separate channel, because pitch bend and expression
            act on a whole channel.
    """

    def grid(seconds: float) -> int:
        return round((seconds + LEAD_IN_S) * sample_rate / BLOCK) * BLOCK

    events = []
    free_at = dict.fromkeys(CHANNELS, -np.inf)
    for note, shape in zip(notes, shapes or [None] * len(notes), strict=True):
        start, end = grid(note.start), max(grid(note.start) + BLOCK, grid(note.end))
        channel = 0
        if shape is not None:
            channel = min(free_at, key=lambda number: (max(free_at[number], note.start), number))
            free_at[channel] = note.end + RELEASE_S
            times = np.arange(start, end + CONTROL, CONTROL)
            cents, levels = note_curves(note, shape, (times - start) / sample_rate)
            for time, bent, level in zip(times.tolist(), cents, levels, strict=True):
                events.append(Event(time, 1, channel, "bend", 0, float(bent)))
                events.append(Event(time, 1, channel, "expression", 0, float(level)))
        events += [Event(start, 2, channel, "on", note.pitch, note.velocity), Event(end, 0, channel, "off", note.pitch)]
    return sorted(events)


def bend(cents: float) -> int:
    """Convert cents to MIDI pitch bend at a range of two semitones.

    Returns -8192 to 8191.
    """
    return max(-8192, min(8191, round(cents / 200 * 8192)))


class FluidSynthesizer:
    """Renders with libfluidsynth in floating point.

    Reverb, chorus and dither are off. Each clip gets a new synthesizer, which takes over the loaded soundfont. A used
    synthesizer keeps the last level of each voice slot and starts the next note in that slot with a short ramp from
    this level. The same notes would then sound different after other clips, and the data set would depend on the number
    of workers.
    """

    def __init__(self, soundfont: Path, sample_rate: int) -> None:
        self.module = importlib.import_module("fluidsynth")
        self.sample_rate = sample_rate
        library, pointer, integer = self.module._fl, ctypes.c_void_p, ctypes.c_int
        library.fluid_set_log_function.argtypes = [integer, pointer, pointer]
        library.fluid_set_log_function(FLUID_WARN, None, None)  # it warns about each channel without a preset
        library.fluid_synth_write_float.argtypes = [
            *(pointer, integer, pointer, integer, integer, pointer, integer, integer)
        ]
        library.fluid_synth_get_sfont_by_id.argtypes = [pointer, integer]
        library.fluid_synth_get_sfont_by_id.restype = pointer
        for name in ("fluid_synth_add_sfont", "fluid_synth_remove_sfont"):
            getattr(library, name).argtypes = [pointer, pointer]
        loader = self._new_synth()
        number = loader.sfload(str(soundfont))
        if number < 0:
            raise SynthesisError(f"FluidSynth cannot load {soundfont.name}")
        self.font = library.fluid_synth_get_sfont_by_id(loader.synth, number)
        library.fluid_synth_remove_sfont(loader.synth, self.font)
        loader.delete()

    def _new_synth(self) -> Any:
        synth = self.module.Synth(samplerate=float(self.sample_rate), gain=GAIN)
        synth.setting("synth.reverb.active", 0)
        synth.setting("synth.chorus.active", 0)
        return synth

    def render(
        self,
        notes: tuple[Note, ...],
        preset: Preset,
        samples: int,
        controls: dict[int, int],
        detune_cents: float = 0.0,
        shapes: Sequence[Shape | None] = (),
    ) -> np.ndarray:
        """Play notes with a preset.

        Args:
            controls: MIDI controllers to set before the first note.
            detune_cents: offset of every pitch.
            shapes: one per note, or none.

        Returns:
            Mono float32 (samples,), without the lead-in.
        """
        library, synth = self.module._fl, self._new_synth()
        font = library.fluid_synth_add_sfont(synth.synth, self.font)
        events = note_events(notes, self.sample_rate, shapes)
        for channel in sorted({event.channel for event in events}):
            synth.program_select(channel, font, preset.bank, preset.program)
            for controller, value in controls.items():
                synth.cc(channel, controller, value)
            synth.pitch_bend(channel, bend(detune_cents))
        lead_in = round(LEAD_IN_S * self.sample_rate / BLOCK) * BLOCK
        total = -(-(lead_in + samples) // BLOCK) * BLOCK
        left, right = np.zeros(total, np.float32), np.zeros(total, np.float32)
        full = controls.get(EXPRESSION, 127)
        position = 0
        for event in [*events, Event(total, 3, 0, "end")]:
            at = min(event.sample, total)
            if at > position:
                library.fluid_synth_write_float(
                    synth.synth, at - position, left.ctypes.data, position, 1, right.ctypes.data, position, 1
                )
                position = at
            if event.kind == "on":
                synth.noteon(event.channel, event.pitch, int(event.value))
            elif event.kind == "off":
                synth.noteoff(event.channel, event.pitch)
            elif event.kind == "bend":
                synth.pitch_bend(event.channel, bend(detune_cents + event.value))
            elif event.kind == "expression":
                synth.cc(event.channel, EXPRESSION, round(full * event.value / 127))
        synth.system_reset()
        library.fluid_synth_remove_sfont(synth.synth, self.font)
        synth.delete()
        return ((left + right) / 2)[lead_in : lead_in + samples]


class TinySynthesizer:
    """Renders with tinysoundfont, which needs no system libraries."""

    def __init__(self, soundfont: Path, sample_rate: int) -> None:
        tinysoundfont = importlib.import_module("tinysoundfont")
        self.sample_rate = sample_rate
        self.synth = tinysoundfont.Synth(samplerate=sample_rate)
        try:
            self.font = self.synth.sfload(str(soundfont))
        except RuntimeError as error:
            raise SynthesisError(f"tinysoundfont cannot load {soundfont.name}") from error

    def render(
        self,
        notes: tuple[Note, ...],
        preset: Preset,
        samples: int,
        controls: dict[int, int],
        detune_cents: float = 0.0,
        shapes: Sequence[Shape | None] = (),
    ) -> np.ndarray:
        """As FluidSynthesizer.render."""
        self.synth.sounds_off()
        events = note_events(notes, self.sample_rate, shapes)
        full = controls.get(EXPRESSION, 127)
        for channel in sorted({event.channel for event in events}):
            self.synth.control_change(channel, 121, 0)  # reset all controllers
            self.synth.program_select(channel, self.font, preset.bank, preset.program)
            for controller, value in controls.items():
                self.synth.control_change(channel, controller, value)
            self.synth.pitchbend(channel, 8192 + bend(detune_cents))
        lead_in = round(LEAD_IN_S * self.sample_rate / BLOCK) * BLOCK
        total = -(-(lead_in + samples) // BLOCK) * BLOCK
        blocks, position = [], 0
        for event in [*events, Event(total, 3, 0, "end")]:
            at = min(event.sample, total)
            if at > position:
                stereo = np.frombuffer(bytes(self.synth.generate(at - position)), np.float32).reshape(-1, 2)
                blocks.append(stereo.mean(1))
                position = at
            if event.kind == "on":
                self.synth.noteon(event.channel, event.pitch, int(event.value))
            elif event.kind == "off":
                self.synth.noteoff(event.channel, event.pitch)
            elif event.kind == "bend":
                self.synth.pitchbend(event.channel, min(16383, 8192 + bend(detune_cents + event.value)))
            elif event.kind == "expression":
                self.synth.control_change(event.channel, EXPRESSION, round(full * event.value / 127))
        return np.concatenate(blocks)[lead_in : lead_in + samples]


def open_synthesizer(soundfont: Path, sample_rate: int) -> Synthesizer:
    """Open a soundfont with FluidSynth or tinysoundfont.

    Raises:
        SynthesisError: neither synthesizer is installed.
    """
    try:
        return FluidSynthesizer(soundfont, sample_rate)
    except ImportError:
        try:
            return TinySynthesizer(soundfont, sample_rate)
        except ImportError as error:
            raise SynthesisError(
                "no synthesizer: install libfluidsynth3 and pyfluidsynth, or `pip install --no-deps tinysoundfont`"
            ) from error
