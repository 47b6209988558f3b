"""Table of instruments: names, programs, ranges, default voices, colours."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """One instrument a clip can be transferred to.

    A *voice* is one soundfont preset that plays the instrument, written ``instrument/soundfont-program``
    (``violin/OPEN_small-40``), with the bank after a dot if it is not the first (``violin/RealOpen-40.1``). The plain
    name of an instrument means its default voice.

    Attributes:
        name: English name, the label used everywhere.
        programs: General MIDI programs (bank 0) that play it, the most typical first.
        lowest, highest: playable range as MIDI note numbers, inclusive.
        polyphony: most notes that sound together, on average over a clip, in music written for it here.
        default_preset: soundfont (file stem), program and bank of the voice that new models are trained on most.
        colour: hex colour from the Okabe-Ito palette and its neighbours, readable for the colour-blind.

    Examples:
        >>> from stylediff.instruments import get_instrument
        >>> violin = get_instrument("violin")
        >>> violin.programs, violin.lowest
        ((40,), 55)
    """

    name: str
    programs: tuple[int, ...]
    lowest: int
    highest: int
    polyphony: float
    default_preset: str
    colour: str

    @property
    def default_voice(self) -> str:
        return f"{self.name}/{self.default_preset}"


INSTRUMENTS: tuple[Instrument, ...] = (
    Instrument("piano", (0, 1), 21, 108, 10.0, "GeneralUser-0", "#0072B2"),
    Instrument("guitar", (24, 25, 26), 40, 88, 6.0, "RealOpen-24.1", "#D55E00"),
    Instrument("harp", (46,), 24, 103, 8.0, "FluidR3-46", "#E69F00"),
    Instrument("violin", (40,), 55, 103, 3.0, "OPEN_small-40", "#CC79A7"),
    Instrument("cello", (42,), 36, 81, 3.0, "GeneralUser-42", "#882255"),
    Instrument("strings", (48,), 28, 96, 6.0, "GeneralUser-48", "#AA4499"),
    Instrument("trumpet", (56,), 52, 84, 3.0, "RealOpen-56", "#F0E442"),
    Instrument("saxophone", (65,), 49, 81, 3.0, "RealOpen-65.1", "#117733"),
    Instrument("clarinet", (71,), 50, 91, 3.0, "RealOpen-71", "#009E73"),
    Instrument("flute", (73,), 60, 96, 3.0, "RealOpen-73.1", "#56B4E9"),
    Instrument("vibraphone", (11,), 53, 89, 6.0, "GeneralUser-11", "#999999"),
)

MIX_WARNING = "sounds like several instruments; all of them become one"
INSTRUMENT_NAMES: tuple[str, ...] = tuple(instrument.name for instrument in INSTRUMENTS)


def choose_instruments(names: Sequence[str]) -> list[str]:
    """Return the given names, or all instruments if none is given.

    Raises:
        ValueError: no such instrument; the message lists the valid names.
    """
    return [get_instrument(name).name for name in names] or list(INSTRUMENT_NAMES)


def get_instrument(name: str) -> Instrument:
    """The instrument called ``name``.

    Raises:
        ValueError: no such instrument; the message lists the valid names.
    """
    for instrument in INSTRUMENTS:
        if instrument.name == name:
            return instrument
    raise ValueError(f"unknown instrument {name!r}; choose one of {', '.join(INSTRUMENT_NAMES)}")
