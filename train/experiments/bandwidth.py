"""How good is the upper band?

    python -m train bandwidth --midi DIR... --test-soundfont FILE --recordings DIR --out DIR

Unseen renders and held-out recordings lose what is above 11 kHz and get it back from the network, by copying the octave
below, or not at all. The network sees the log-mel of the clip itself. It may have hints: the upper band of another
instrument that plays the same notes, as that of a source, and the brightness of another clip, as of a reference.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stylediff.audio import AudioError, loudness_gain, resample
from stylediff.bandwidth import BANDS, FIRST_BIN, BandExtender, add_upper_band, full_spectrum, upper_levels
from stylediff.checkpoint import load_pipeline
from stylediff.mel import waveform_to_mel
from stylediff.upper_band import extend_band, measure_brightness, source_hint
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.augmentation import Degradation
from train.data.excerpts import Excerpt, ScoreError, find_pieces
from train.data.full_band import FRAMES, FULL, WHOLE
from train.data.performance import Gesture, sample_gestures
from train.data.recordings import HELD_OUT, RecordingError, list_recordings, load_recording
from train.data.render_dataset import Plan, render_clip, sample_excerpt, sample_roles
from train.data.soundfonts import SynthesisError, soundfont_voices

HIGHEST_HZ = 20_000.0
FLOOR, NO_FLOOR = 1e-3, 1e-12  # of a magnitude; white noise at -89 dBFS, and none
SILENCE, COPY, OURS, TRUE = "silence", "octave below, copied", "network", "network, true levels"
HINTED, BRIGHT = "network, with a source", "network, with a reference clip"
REFERENCE_S = 1.0  # of a reference clip at least
DRAWS = 50  # excerpts in which a voice is looked for
NOTES = """\
*Log-spectral distance*: from 11 to 20 kHz, root of the mean square over frequencies, mean over frames, in dB.
*With a floor*, magnitudes below that of noise at -89 dBFS count as that, since nobody hears them. *Without* is the
field's measure (Liu et al. 2022, arXiv 2203.14941), there in units of 10 dB. *Level*: of the whole band against the
original's, absolute difference in dB, median over clips. *Bias*: the same with its sign; above 0 the band is too loud.
*With a source*: the network is given the upper band of another instrument of the soundfont that plays the same notes.
*With a reference clip*: its levels are shifted by what it gets wrong for another clip in the same voice, or for the
moments before in the same recording, of 5 s at most. *True levels*: the waveform is made from the original's levels,
which the network only predicts. Clips whose upper band is silent are left out. Recordings too short for a reference
clip count as without one.
"""


@dataclass(frozen=True)
class Case:
    """A clip that loses its upper band, and hints.

    All are (samples,) at the full rate.

    Attributes:
        source: another instrument that plays the same notes.
        reference: another clip of the same voice or recording.
    """

    original: torch.Tensor
    source: torch.Tensor | None
    reference: torch.Tensor | None


def unseen_renders(midi: list[Path], soundfont: str, count: int, seed: int = 0) -> Iterator[Case]:
    """Test excerpts in voices of the test soundfont."""
    voices = soundfont_voices(soundfont)
    plan = Plan(
        groups=find_pieces(midi),
        voices=voices,
        test_voices=voices,
        out=Path(),
        samples=FRAMES * FULL.hop_length,
        excerpts=count,
        test_excerpts=count,
        seed=seed,
        slow_share=0.0,
        mel=FULL,
    )
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        excerpt = sample_excerpt(plan, "test", rng)
        gestures = sample_gestures(excerpt.notes, rng)
        roles = sample_roles(plan, excerpt, "test", rng)
        voice = roles[int(rng.integers(len(roles)))][0]
        original = render(plan, excerpt, gestures, voice, rng)
        others = [other for other, _ in roles if other != voice]
        source = None
        if others:
            source = render(plan, excerpt, gestures, others[int(rng.integers(len(others)))], rng)
        yield Case(original, source, render_reference(plan, voice, rng))


def render(
    plan: Plan, excerpt: Excerpt, gestures: Sequence[Gesture], voice: str, rng: np.random.Generator
) -> torch.Tensor:
    """Render an excerpt in a voice, undamaged; (samples,)."""
    return torch.from_numpy(render_clip(plan, excerpt, gestures, voice, Degradation(), rng)[0]).float()


def render_reference(plan: Plan, voice: str, rng: np.random.Generator) -> torch.Tensor | None:
    """Render another excerpt in a voice.

    None if it can play none of those that are drawn.
    """
    for _ in range(DRAWS):
        excerpt = sample_excerpt(plan, "test", rng)
        if voice in [other for other, _ in sample_roles(plan, excerpt, "test", rng)]:
            return render(plan, excerpt, sample_gestures(excerpt.notes, rng), voice, rng)
    return None


def unseen_recordings(folder: Path) -> Iterator[Case]:
    """Clips from the middle of held-out recordings; references end where they begin."""
    samples = FRAMES * FULL.hop_length
    for recording in list_recordings(folder):
        if recording.split == HELD_OUT:
            try:
                waveform = load_recording(recording.path, FULL.sample_rate)
            except AudioError:
                continue
            if len(waveform) > samples:
                first = (len(waveform) - samples) // 2
                before = waveform[max(0, first - samples) : first]
                has_reference = len(before) >= REFERENCE_S * FULL.sample_rate
                yield Case(waveform[first : first + samples], None, before if has_reference else None)


def systems(extender: BandExtender) -> dict[str, Callable[[torch.Tensor, Case], torch.Tensor | None]]:
    """Systems by name.

    Each takes the lower band, at the full rate, and the case. It returns None without a source to hear.
    """

    def predict(case: Case, *hints: torch.Tensor | None) -> torch.Tensor:
        lower = resample(case.original, FULL.sample_rate, WHOLE.sample_rate)
        with torch.no_grad():
            return extend_band(extender, lower, waveform_to_mel(lower[None], WHOLE), *hints)

    def predict_from_source(_: torch.Tensor, case: Case) -> torch.Tensor | None:
        if case.source is None:
            return None
        gain = loudness_gain(resample(case.source, FULL.sample_rate, WHOLE.sample_rate))
        frames = -(-len(case.original) // FULL.hop_length)
        hint = source_hint(case.source, FULL.sample_rate, gain, frames, FULL.sample_rate)
        return predict(case, hint)

    def predict_from_reference(_: torch.Tensor, case: Case) -> torch.Tensor:
        if case.reference is None:
            return predict(case)
        return predict(case, None, measure_brightness(extender, case.reference, FULL.sample_rate))

    def copy(lower: torch.Tensor, _: Case) -> torch.Tensor:
        below = full_spectrum(lower)[FIRST_BIN - 32 * BANDS // 2 : FIRST_BIN]
        power = below.abs().square().reshape(BANDS // 2, 32, -1).mean(1)
        return add_upper_band(lower, 0.5 * power.clamp_min(1e-20).log().repeat(2, 1), noise_share=0.0)

    return {
        SILENCE: lambda lower, _: lower,
        COPY: copy,
        OURS: lambda _, case: predict(case),
        HINTED: predict_from_source,
        BRIGHT: predict_from_reference,
        TRUE: lambda lower, case: add_upper_band(lower, upper_levels(case.original)),
    }


def compare(made: torch.Tensor, original: torch.Tensor) -> tuple[float, float, float]:
    """Compare upper bands, in dB.

    Returns log-spectral distances with and without a floor, and the change of the level.
    """
    width = FULL.sample_rate / 2048
    bins = slice(round(11_025 / width), round(HIGHEST_HZ / width))
    ours, theirs = (full_spectrum(waveform)[bins].abs() for waveform in (made, original))

    def distance(floor: float) -> float:
        decibels = [20 * part.clamp_min(floor).log10() for part in (ours, theirs)]
        return float((decibels[0] - decibels[1]).square().mean(0).sqrt().mean())

    level = 10 * (ours.square().mean().clamp_min(FLOOR**2) / theirs.square().mean()).log10()
    return distance(FLOOR), distance(NO_FLOOR), float(level)


def measure(cases: Iterable[Case], extender: BandExtender) -> tuple[int, dict[str, tuple[float, ...]]]:
    """Number of clips that count; distances, level and bias of each system."""
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in systems(extender)}
    count = 0
    for case in cases:
        original = case.original * loudness_gain(case.original)
        upper = full_spectrum(original)[FIRST_BIN:]
        if float(upper.abs().square().mean().sqrt()) < 2 * FLOOR:
            continue
        count += 1
        lower = resample(resample(original, FULL.sample_rate, WHOLE.sample_rate), WHOLE.sample_rate, FULL.sample_rate)
        for name, system in systems(extender).items():
            made = system(lower[: len(original)], replace(case, original=original))
            if made is not None:
                results[name].append(compare(made[: len(original)], original))
    return count, {
        name: (
            float(distances.mean()),
            float(full_distances.mean()),
            float(np.median(np.abs(levels))),
            float(np.median(levels)),
        )
        for name, pairs in results.items()
        if pairs
        for distances, full_distances, levels in [np.array(pairs).T]
    }


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        extender = BandExtender.from_pretrained(args.extender) if args.extender else load_pipeline().band_extender
        if extender is None:
            raise ScoreError("the model has no network for the upper band; give one with --extender")
        torch.set_num_threads(1)
        lines = ["# Upper band", "", NOTES]
        sources = {
            "unseen renders": unseen_renders(args.midi, args.test_soundfont, args.clips),
            "held-out recordings": unseen_recordings(args.recordings),
        }
        values = {}
        for title, cases in sources.items():
            count, results = measure(tqdm(cases, unit="clip"), extender)
            values[title] = {"clips": count, "systems": results}
            lines += [f"**{count} {title}**", ""]
            lines += table_head(["upper band", "distance with a floor, dB ↓", "without ↓", "level, dB ↓", "bias, dB"])
            lines += [
                table_row([name, *(f"{value:.1f}" for value in found[:-1]), f"{found[-1]:+.1f}"])
                for name, found in results.items()
            ]
            lines.append("")
        write_page(args.out, "bandwidth", values, "\n".join(lines))

    return run_command(work, ScoreError, SynthesisError, RecordingError, OSError)
