"""Convert takes with hiss, in other tunings, of short and of long notes, and print what comes out.

python -m tests.tools.measure_takes [MODEL]
"""

import math
import sys
from collections.abc import Callable, Iterator

import librosa
import numpy as np
import torch

from stylediff.audio import read_audio
from stylediff.checkpoint import load_pipeline
from tests.helpers.files import ROOT

RATE = 22050
HELD = (67, 69, 71, 72, 74)  # MIDI pitches
HELD_S = 1.2
Convert = Callable[[np.ndarray, str], np.ndarray]


def level_db(samples: np.ndarray) -> float:
    return 20 * math.log10(max(float(np.sqrt(np.mean(np.square(samples)))), 1e-9))


def frequency(pitch: float) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def hiss_lines(convert: Convert) -> Iterator[str]:
    """Music, a rest with hiss at -60 dBFS, and music; and hiss at -80 dBFS alone."""
    draw = np.random.default_rng(0)
    music = read_audio(ROOT / "examples" / "piano_fur_elise.flac")[0][0, : 3 * RATE].copy()
    music[-2205:] *= np.linspace(1, 0, 2205)
    take = np.concatenate([music, np.zeros(3 * RATE), music]) + draw.normal(0, 1e-3, 9 * RATE)
    rest = slice(round(4.2 * RATE), round(5.7 * RATE))
    for target in ("violin", "flute", "piano", "strings", "trumpet"):
        yield f"| hiss in a rest, {target} | {level_db(take[rest]):.1f} | {level_db(convert(take, target)[rest]):.1f} |"
    hiss = draw.normal(0, 1e-4, 4 * RATE)
    for target in ("violin", "piano"):
        yield f"| hiss alone, {target} | {level_db(hiss):.1f} | {level_db(convert(hiss, target)):.1f} |"


def held_notes(cents: float, pitches: tuple[int, ...] = HELD, seconds: float = HELD_S) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    shape = 0.2 * np.minimum(1, time / 0.08) * np.minimum(1, (seconds - time) / 0.1)
    phases = [2 * np.pi * frequency(pitch + cents / 100) * time for pitch in pitches]
    return np.concatenate([shape * sum(np.sin(h * phase) / h**1.2 for h in range(1, 9)) for phase in phases])


def cents_from(samples: np.ndarray, hz: float) -> float:
    """Cents by which the strongest of the first five partials is above those of a frequency."""
    size = 2**18
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    scale = np.maximum(np.arange(len(spectrum)) * RATE / size, 1.0)
    found = []
    for harmonic in range(1, 6):
        near = np.flatnonzero(np.abs(1200 * np.log2(scale / (hz * harmonic))) < 80)
        best = near[np.argmax(spectrum[near])]
        found.append((spectrum[best], 1200 * math.log2(scale[best] / (hz * harmonic))))
    return max(found)[1]


def tuning_lines(convert: Convert) -> Iterator[str]:
    """Held notes in other tunings: cents between output and input, the median of five notes."""
    for cents in (0, -32, 32, -50, 50):
        take, found = held_notes(cents), []
        for target in ("flute", "violin", "piano", "trumpet"):
            result, steps = convert(take, target), []
            for number, pitch in enumerate(HELD):
                note = slice(round((HELD_S * number + 0.3) * RATE), round((HELD_S * number + 1.0) * RATE))
                hz = frequency(pitch + cents / 100)
                steps.append(cents_from(result[note], hz) - cents_from(take[note], hz))
            found.append(f"{np.median(steps):.1f}")
        yield f"| {cents:+d} | {' | '.join(found)} |"


def onset_lines(convert: Convert) -> Iterator[str]:
    """Short notes every 250 ms: lag of the onset envelopes that correlates best, in steps of 2.9 ms."""
    time = np.arange(RATE // 4) / RATE
    shape = 0.4 * np.exp(-time / 0.05) * (time < 0.06) * np.minimum(1, time / 0.0018)
    notes = [
        shape * sum(np.sin(2 * np.pi * h * frequency(pitch) * time) / h for h in range(1, 8))
        for pitch in 2 * (60, 62, 64, 65, 67, 69, 71, 72)
    ]
    take, hop, reach = np.concatenate([np.zeros(RATE // 4), *notes]), 64, 60
    for target in ("vibraphone", "piano", "guitar", "harp", "trumpet", "flute", "violin"):
        one, other = (
            librosa.onset.onset_strength(y=samples.astype(np.float32), sr=RATE, hop_length=hop)
            for samples in (take, convert(take, target))
        )
        one, other = one - one.mean(), other - other.mean()
        fits = [
            np.dot(one[reach:-reach], other[reach + lag : len(other) - reach + lag]) for lag in range(-reach, reach)
        ]
        yield f"| {target} | {1000 * (int(np.argmax(fits)) - reach) * hop / RATE:.1f} |"


def decay_lines(convert: Convert) -> Iterator[str]:
    """Notes held for six seconds: fall of the level since 0.5 s after the onset, the median of three notes."""
    pitches, seconds, length = (60, 67, 72), 6.0, 0.3
    take = held_notes(0, pitches, seconds)
    for target in ("piano", "guitar", "harp", "vibraphone"):
        result = convert(take, target)

        def level(note: int, at: float, samples: np.ndarray = result) -> float:
            start = round((note * seconds + at) * RATE)
            return level_db(samples[start : start + round(length * RATE)])

        falls = [np.median([level(note, 0.5) - level(note, at) for note in range(3)]) for at in (1.5, 2.5, 4.0, 5.5)]
        yield f"| {target} | {' | '.join(f'{fall:.1f}' for fall in falls)} |"


def main() -> None:
    pipeline = load_pipeline(sys.argv[1] if sys.argv[1:] else None)
    pipeline.set_progress_bar_config(disable=True)

    def convert(take: np.ndarray, target: str) -> np.ndarray:
        generator = torch.Generator().manual_seed(0)
        return pipeline(torch.from_numpy(take).float(), RATE, target=target, generator=generator).audio.numpy()

    print("| take | input, dBFS | output, dBFS |\n|---|---|---|")
    print(*hiss_lines(convert), sep="\n")
    print("\n| input, cents | flute | violin | piano | trumpet |\n|---|---|---|---|---|")
    print(*tuning_lines(convert), sep="\n")
    print("\n| target | lag of onsets, ms |\n|---|---|")
    print(*onset_lines(convert), sep="\n")
    print("\n| level lost on a held note, dB, after s | 1.5 | 2.5 | 4 | 5.5 |\n|---|---|---|---|---|")
    print(*decay_lines(convert), sep="\n")


if __name__ == "__main__":
    main()
