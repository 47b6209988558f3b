"""Soundfonts and MIDI files for tests, and the repository's folder."""

import struct
from pathlib import Path

import numpy as np
import symusic

from stylediff.instruments import INSTRUMENTS

PROGRAMS = tuple(instrument.programs[0] for instrument in INSTRUMENTS)
ROOT = Path(__file__).parent.parent.parent


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def write_soundfont(
    path: Path,
    programs: tuple[int, ...] = PROGRAMS,
    harmonics: tuple[float, ...] = (1.0,),
    banks: tuple[int, ...] = (),
) -> Path:
    """Write a SoundFont 2.01 whose presets play a looped tone of 441 Hz.

    Args:
        banks: one per program; by default all in bank 0.
    """
    rate, period, periods = 22050, 50, 40
    phase = 2 * np.pi * np.arange(period * periods) / period
    tone = sum(strength * np.sin((n + 1) * phase) for n, strength in enumerate(harmonics)) / sum(harmonics)
    length = len(tone)
    samples = (tone * 20000).astype("<i2").tobytes() + bytes(2 * 46)

    def name(text: str) -> bytes:
        return text.encode().ljust(20, b"\0")

    presets = [
        name(f"program {program}") + struct.pack("<HHHIII", program, bank, index, 0, 0, 0)
        for index, (program, bank) in enumerate(zip(programs, banks or (0,) * len(programs), strict=True))
    ]
    presets.append(name("EOP") + struct.pack("<HHHIII", 0, 0, len(programs), 0, 0, 0))
    preset_zones = b"".join(struct.pack("<HH", index, 0) for index in range(len(programs) + 1))
    plays_instrument = struct.pack("<HH", 41, 0) * len(programs)
    # Release of 2 ** (-3000 / 1200) s, loop while the key is held, sample 0: generator numbers of section 8.1.2.
    generators = struct.pack("<Hh", 38, -3000) + struct.pack("<HH", 54, 1) + struct.pack("<HH", 53, 0)
    loop = (period, length - period)
    headers = name("tone") + struct.pack("<IIIIIBbHH", 0, length, *loop, rate, 69, -4, 0, 1)  # 441 Hz is 4 cents sharp
    records = {
        b"phdr": b"".join(presets),
        b"pbag": preset_zones,
        b"pmod": bytes(10),
        b"pgen": plays_instrument + bytes(4),
        b"inst": name("tone") + struct.pack("<H", 0) + name("EOI") + struct.pack("<H", 1),
        b"ibag": struct.pack("<HHHH", 0, 0, 3, 0),
        b"imod": bytes(10),
        b"igen": generators + bytes(4),
        b"shdr": headers + name("EOS") + bytes(26),
    }
    info = chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"isng", b"EMU8000\0") + chunk(b"INAM", b"tiny\0\0")
    body = b"sfbk" + chunk(b"LIST", b"INFO" + info)
    body += chunk(b"LIST", b"sdta" + chunk(b"smpl", samples))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(key, value) for key, value in records.items()))
    path.write_bytes(chunk(b"RIFF", body))
    return path


def write_midi(path: Path, pitches: list[int], step_s: float = 0.2) -> Path:
    """Write a MIDI file with notes of equal length at 120 beats per minute."""
    score = symusic.Score(480)
    track = symusic.Track(program=0, is_drum=False, name="line")
    ticks = round(step_s * 960)
    for index, pitch in enumerate(pitches):
        track.notes.append(symusic.Note(index * ticks, ticks, pitch, 70 + index % 30))
    score.tracks.append(track)
    score.dump_midi(str(path))
    return path
