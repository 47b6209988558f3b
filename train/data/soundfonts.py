"""Soundfonts to sound: notes played by FluidSynth, or by tinysoundfont where FluidSynth's library is missing."""

import ctypes
import importlib
import struct
from pathlib import Path
from typing import Protocol

import numpy as np

from stylediff.instruments import INSTRUMENTS
from train.data.excerpts import LEAD_IN_S
from train.data.notes import Note

BLOCK = 64  # FluidSynth computes 64 samples at a time: events on that grid sound the same whatever came before
GAIN = 0.4
FLUID_WARN = 2


class SynthesisError(RuntimeError):
    """A soundfont that cannot be used, or no synthesizer to play it."""


class Synthesizer(Protocol):
    """Plays one soundfont."""

    def render(
        self, notes: tuple[Note, ...], program: int, samples: int, controls: dict[int, int], detune_cents: float = 0.0
    ) -> np.ndarray: ...


def soundfont_programs(path: Path) -> set[int]:
    """Programs of bank 0 that a soundfont offers, read from its preset headers (SoundFont 2.04, section 7.2).

    Raises:
        SynthesisError: missing or not a soundfont.
    """
    if not path.is_file():
        raise SynthesisError(f"no such soundfont: {path}")
    data = path.read_bytes()
    at = data.rfind(b"phdr")
    if data[:4] != b"RIFF" or at < 0:
        raise SynthesisError(f"{path.name} is not a soundfont (.sf2 or .sf3)")
    (size,) = struct.unpack_from("<I", data, at + 4)
    headers = (struct.unpack_from("<HH", data, at + 8 + offset + 20) for offset in range(0, size - 38, 38))
    return {program for program, bank in headers if bank == 0}


def soundfont_voices(argument: str) -> dict[str, tuple[Path, int]]:
    """Voices a soundfont gives, from a path or ``path:program,program`` to use only those programs.

    Returns:
        voice name -> (soundfont, program).

    Raises:
        SynthesisError: not a soundfont, or none of our instruments in it.
    """
    name, _, wanted = argument.partition(":")
    path = Path(name)
    offered = soundfont_programs(path)
    if wanted:
        if not all(program.isdecimal() for program in wanted.split(",")):
            raise SynthesisError(f"programs after the colon are numbers like 40,42, not {wanted!r}")
        offered &= {int(program) for program in wanted.split(",")}
    # Fonts with the full General MIDI bank have other instruments at the second and third programs of a family:
    # they count only where the first one of the family is missing or the font is a small one.
    small = len(offered) <= 12
    voices = {}
    for instrument in INSTRUMENTS:
        for program in instrument.programs:
            if program in offered and (small or program in (instrument.programs[0], 25)):
                voices[instrument.voice(path.stem, program)] = (path, program)
    if not voices:
        raise SynthesisError(f"{path.name} has none of the instruments")
    return voices


def note_events(notes: tuple[Note, ...], sample_rate: int) -> list[tuple[int, int, int, int]]:
    """(sample, is_onset, pitch, velocity) in time order on the 64-sample grid, ends before onsets."""
    events = []
    for note in notes:
        start = round((note.start + LEAD_IN_S) * sample_rate / BLOCK) * BLOCK
        end = max(start + BLOCK, round((note.end + LEAD_IN_S) * sample_rate / BLOCK) * BLOCK)
        events += [(start, 1, note.pitch, note.velocity), (end, 0, note.pitch, 0)]
    return sorted(events)


def bend(cents: float) -> int:
    """MIDI pitch bend, -8192 to 8191, at the usual range of two semitones."""
    return max(-8192, min(8191, round(cents / 200 * 8192)))


class FluidSynthesizer:
    """Renders with libfluidsynth in floating point, without reverb, chorus or dither.

    Every clip gets a synthesizer of its own, to which the loaded soundfont is handed over. A used synthesizer
    keeps the last level of each voice slot and starts the next note there with a short ramp from it, so the same
    notes would sound different after other clips, and the data set would depend on the number of workers.
    """

    def __init__(self, soundfont: Path, sample_rate: int) -> None:
        self.module = importlib.import_module("fluidsynth")
        self.sample_rate = sample_rate
        library, pointer, integer = self.module._fl, ctypes.c_void_p, ctypes.c_int
        library.fluid_set_log_function.argtypes = [integer, pointer, pointer]
        library.fluid_set_log_function(FLUID_WARN, None, None)  # it warns of every channel without a preset
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

    def _new_synth(self):
        synth = self.module.Synth(samplerate=float(self.sample_rate), gain=GAIN)
        synth.setting("synth.reverb.active", 0)
        synth.setting("synth.chorus.active", 0)
        return synth

    def render(
        self, notes: tuple[Note, ...], program: int, samples: int, controls: dict[int, int], detune_cents: float = 0.0
    ) -> np.ndarray:
        """Mono float32 samples of (samples,), the lead-in already cut; ``controls`` are MIDI controllers to set."""
        library, synth = self.module._fl, self._new_synth()
        synth.program_select(0, library.fluid_synth_add_sfont(synth.synth, self.font), 0, program)
        for controller, value in controls.items():
            synth.cc(0, controller, value)
        synth.pitch_bend(0, bend(detune_cents))
        lead_in = round(LEAD_IN_S * self.sample_rate / BLOCK) * BLOCK
        total = -(-(lead_in + samples) // BLOCK) * BLOCK
        left, right = np.zeros(total, np.float32), np.zeros(total, np.float32)
        position = 0
        for at, is_onset, pitch, velocity in [*note_events(notes, self.sample_rate), (total, -1, 0, 0)]:
            at = min(at, total)
            if at > position:
                library.fluid_synth_write_float(
                    synth.synth, at - position, left.ctypes.data, position, 1, right.ctypes.data, position, 1
                )
                position = at
            if is_onset == 1:
                synth.noteon(0, pitch, velocity)
            elif is_onset == 0:
                synth.noteoff(0, pitch)
        synth.system_reset()
        library.fluid_synth_remove_sfont(synth.synth, self.font)
        synth.delete()
        return ((left + right) / 2)[lead_in : lead_in + samples]


class TinySynthesizer:
    """Renders with tinysoundfont, a wheel without system libraries."""

    def __init__(self, soundfont: Path, sample_rate: int) -> None:
        tinysoundfont = importlib.import_module("tinysoundfont")
        self.sample_rate = sample_rate
        self.synth = tinysoundfont.Synth(samplerate=sample_rate)
        try:
            self.font = self.synth.sfload(str(soundfont))
        except RuntimeError as error:
            raise SynthesisError(f"tinysoundfont cannot load {soundfont.name}") from error

    def render(
        self, notes: tuple[Note, ...], program: int, samples: int, controls: dict[int, int], detune_cents: float = 0.0
    ) -> np.ndarray:
        """As FluidSynthesizer.render."""
        self.synth.sounds_off()
        self.synth.control_change(0, 121, 0)  # all controllers back to their defaults
        self.synth.program_select(0, self.font, 0, program)
        for controller, value in controls.items():
            self.synth.control_change(0, controller, value)
        self.synth.pitchbend(0, 8192 + bend(detune_cents))
        lead_in = round(LEAD_IN_S * self.sample_rate / BLOCK) * BLOCK
        total = -(-(lead_in + samples) // BLOCK) * BLOCK
        blocks, position = [], 0
        for at, is_onset, pitch, velocity in [*note_events(notes, self.sample_rate), (total, -1, 0, 0)]:
            at = min(at, total)
            if at > position:
                stereo = np.frombuffer(bytes(self.synth.generate(at - position)), np.float32).reshape(-1, 2)
                blocks.append(stereo.mean(1))
                position = at
            if is_onset == 1:
                self.synth.noteon(0, pitch, velocity)
            elif is_onset == 0:
                self.synth.noteoff(0, pitch)
        return np.concatenate(blocks)[lead_in : lead_in + samples]


def open_synthesizer(soundfont: Path, sample_rate: int) -> Synthesizer:
    """A synthesizer for a soundfont: FluidSynth if its library is there, else tinysoundfont.

    Raises:
        SynthesisError: neither is installed.
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
