"""Write SoundFont 2.04 files of samples, key ranges and layers.

Section numbers refer to "SoundFont Technical Specification 2.04", E-mu Systems.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# generators of section 8.1.2
RELEASE, INSTRUMENT, KEY_RANGE, VELOCITY_RANGE, SAMPLE_ID, SAMPLE_MODES = 38, 41, 43, 44, 53, 54
FILTER_CUTOFF = 8
VELOCITY_NEGATIVE = 0x0102  # a linear controller that falls from 1 to 0 with velocity, section 8.2
MONO = 1  # sample type
SILENCE = 46  # samples of silence that must follow each sample, section 6.1
SHORTEST, LOOP_MARGIN, SHORTEST_LOOP = 48, 8, 32  # samples, section 7.10
MOST_RECORDS = 65535  # indices have 16 bits


class SoundFontError(ValueError):
    """Presets that a SoundFont cannot hold; the message says why."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One recorded note.

    Attributes:
        name: name, cut to 20 characters.
        waveform: (samples,) in [-1, 1].
        pitch: MIDI note number of the key that plays it unshifted.
        cents: deviation from that pitch, -99 to 99, which the synthesizer corrects.
        loop: first sample and end of the part that repeats while a key is held, or None.

    Examples:
        >>> import numpy as np
        >>> from train.data.soundfont_writer import Sample
        >>> Sample("A4", np.zeros(1000), sample_rate=44100, pitch=69, cents=120)
        Traceback (most recent call last):
        train.data.soundfont_writer.SoundFontError: sample 'A4' is 120 cents off; at most 99 can be corrected
    """

    name: str
    waveform: np.ndarray
    sample_rate: int
    pitch: int
    cents: int = 0
    loop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        length = len(self.waveform)
        if length < SHORTEST:
            raise SoundFontError(f"sample {self.name!r} has {length} samples; at least {SHORTEST} are needed")
        if not -99 <= self.cents <= 99:
            raise SoundFontError(f"sample {self.name!r} is {self.cents} cents off; at most 99 can be corrected")
        if self.loop is None:
            return
        start, end = self.loop
        if start < LOOP_MARGIN or end > length - LOOP_MARGIN or end - start < SHORTEST_LOOP:
            raise SoundFontError(
                f"the loop of sample {self.name!r} is {start} to {end}; it must have at least {SHORTEST_LOOP} samples "
                f"and lie {LOOP_MARGIN} samples inside its {length}"
            )


@dataclass(frozen=True, eq=False)
class Zone:
    """A sample with its keys and velocities.

    Attributes:
        keys, velocities: lowest and highest, inclusive, 0 to 127.
        release_s: time for the sound to fall by 100 dB after the key is released.
    """

    sample: Sample
    keys: tuple[int, int]
    velocities: tuple[int, int]
    release_s: float


@dataclass(frozen=True, eq=False)
class FontPreset:
    """One preset: General MIDI program, bank, and its zones."""

    name: str
    program: int
    bank: int
    zones: tuple[Zone, ...]


def chunk(name: bytes, content: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def short_text(text: str) -> bytes:
    """Encode a name in the 20 bytes of a record, zero-terminated."""
    return text.encode("ascii", "replace")[:19].ljust(20, b"\0")


def long_text(text: str) -> bytes:
    """Encode a text of the INFO list, padded to an even length."""
    encoded = text.encode("ascii", "replace")[:254]
    return encoded + b"\0" * (2 - len(encoded) % 2)


def timecents(seconds: float) -> int:
    """Convert seconds to timecents: 1200 per octave, 0 for one second."""
    return round(1200 * np.log2(max(seconds, 0.001)))


def pack_samples(samples: Sequence[Sample]) -> tuple[bytes, bytes]:
    """Pack waveforms in 16 bits, with headers.

    Sections 6.1 and 7.10.
    """
    data, headers = bytearray(), b""
    for sample in samples:
        start = len(data) // 2
        scaled = np.clip(np.round(np.asarray(sample.waveform) * 32767), -32768, 32767)
        data += scaled.astype("<i2").tobytes() + bytes(2 * SILENCE)
        end = start + len(sample.waveform)
        loop_start, loop_end = (start + place for place in sample.loop) if sample.loop else (start, end)
        headers += short_text(sample.name) + struct.pack(
            "<IIIIIBbHH", start, end, loop_start, loop_end, sample.sample_rate, sample.pitch, -sample.cents, 0, MONO
        )
    return bytes(data), headers + short_text("EOS") + bytes(26)


def pack_presets(presets: Sequence[FontPreset]) -> dict[bytes, bytes]:
    """Pack the records of presets, each with one instrument.

    Sections 7.2 to 7.5.
    """
    headers = b"".join(
        short_text(preset.name) + struct.pack("<HHHIII", preset.program, preset.bank, number, 0, 0, 0)
        for number, preset in enumerate(presets)
    )
    count = len(presets)
    return {
        b"phdr": headers + short_text("EOP") + struct.pack("<HHHIII", 0, 0, count, 0, 0, 0),
        b"pbag": b"".join(struct.pack("<HH", number, 0) for number in range(count + 1)),
        b"pmod": bytes(10),
        b"pgen": b"".join(struct.pack("<HH", INSTRUMENT, number) for number in range(count)) + bytes(4),
    }


def pack_instruments(presets: Sequence[FontPreset], samples: Sequence[Sample]) -> dict[bytes, bytes]:
    """Pack the instruments of the presets (sections 7.6 to 7.9).

    The first zone of each instrument applies to all others. Its modulator with amount 0 replaces the default one that
    low-passes soft notes (section 8.4.2), since recorded soft notes need no filter.

    Raises:
        SoundFontError: more zones than 16 bits can count.
    """
    number_of = {id(sample): number for number, sample in enumerate(samples)}
    headers, modulators = b"", b""
    bags: list[tuple[int, int]] = []  # first generator and first modulator of each zone
    generators: list[bytes] = []
    for preset in presets:
        headers += short_text(preset.name) + struct.pack("<H", len(bags))
        bags.append((len(generators), len(modulators) // 10))
        modulators += struct.pack("<HHhHH", VELOCITY_NEGATIVE, FILTER_CUTOFF, 0, 0, 0)
        for zone in preset.zones:
            bags.append((len(generators), len(modulators) // 10))
            generators += [  # the ranges must come first and the sample last, section 8.1.2
                struct.pack("<HBB", KEY_RANGE, *zone.keys),
                struct.pack("<HBB", VELOCITY_RANGE, *zone.velocities),
                struct.pack("<Hh", RELEASE, timecents(zone.release_s)),
                struct.pack("<HH", SAMPLE_MODES, int(zone.sample.loop is not None)),
                struct.pack("<HH", SAMPLE_ID, number_of[id(zone.sample)]),
            ]
    if max(len(generators), len(bags)) > MOST_RECORDS:
        raise SoundFontError(f"a SoundFont holds at most {MOST_RECORDS // 5} notes and layers, not {len(bags)}")
    bags.append((len(generators), len(modulators) // 10))
    return {
        b"inst": headers + short_text("EOI") + struct.pack("<H", len(bags) - 1),
        b"ibag": b"".join(struct.pack("<HH", *bag) for bag in bags),
        b"imod": modulators + bytes(10),
        b"igen": b"".join(generators) + bytes(4),
    }


def write_soundfont(path: Path, name: str, presets: Sequence[FontPreset]) -> None:
    """Write presets as a SoundFont 2.04 file, atomically.

    Args:
        name: name of the bank, stored in the file.

    Raises:
        SoundFontError: no notes, or more than a SoundFont can hold.
    """
    presets = sorted(presets, key=lambda preset: (preset.bank, preset.program))
    samples = list({id(zone.sample): zone.sample for preset in presets for zone in preset.zones}.values())
    if not samples:
        raise SoundFontError("a SoundFont needs at least one preset with one note")
    data, headers = pack_samples(samples)
    records = pack_presets(presets) | pack_instruments(presets, samples) | {b"shdr": headers}
    info = chunk(b"ifil", struct.pack("<HH", 2, 4)) + chunk(b"isng", long_text("EMU8000"))
    info += chunk(b"INAM", long_text(name)) + chunk(b"ISFT", long_text("StyleDiff"))
    body = b"sfbk" + chunk(b"LIST", b"INFO" + info) + chunk(b"LIST", b"sdta" + chunk(b"smpl", data))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(key, value) for key, value in records.items()))
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(chunk(b"RIFF", body))
    os.replace(scratch, path)
