"""Sentences about clips and results, in the visitor's language."""

import re
from collections import Counter

import numpy as np

from stylediff.denoising import Noise
from stylediff.mel import MelConfig
from stylediff.page.settings import Choices
from stylediff.page.uploads import Clip
from stylediff.repair import Repair
from stylediff.ringtone import Ringtone
from stylediff.settings import TransferSettings, declarations, show_value

QUIET_PEAK = 10 ** (-40 / 20)
MOST_SHOWN = 12  # damaged parts


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, as "3:07"."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def describe_part(clip: Clip, words: dict[str, str]) -> str:
    """Say which part of a clip is converted."""
    end = clip.start_s + clip.seconds
    return words["converts"].format(start=clock(clip.start_s), end=clock(end), whole=clock(clip.file_seconds))


def warn_of(clip: Clip, words: dict[str, str]) -> list[str]:
    """Return what a visitor should know before a clip is converted."""
    notes = clip.notes(words)
    if words["is_silent"] not in notes and float(np.abs(clip.samples).max(initial=0)) < QUIET_PEAK:
        notes.append(words["is_quiet"])
    return notes


def describe_sound(clip: Clip, words: dict[str, str], config: MelConfig) -> str:
    """Say how a clip is prepared for the model."""
    channels = len(clip.samples)
    kind = {1: words["mono"], 2: words["stereo"]}.get(channels, words["channels"].format(number=channels))
    return f"{clip.sample_rate / 1000:g} kHz {kind} → {config.sample_rate / 1000:g} kHz {words['mono']}"


def describe_setting(name: str, value: object, words: dict[str, str]) -> str:
    """Name a setting by the label of its control, and its value."""
    label = re.split(r"[(（]", words[name])[0].strip()
    shown = show_value(value)
    return f"{label}: {words.get(f'{name}_{shown}', words.get(shown, shown))}"


def describe_result(
    clip: Clip, choices: Choices, voice: str | None, words: dict[str, str], config: MelConfig
) -> tuple[str, ...]:
    """Return the facts of a result: part, sound, voice, settings."""
    shown = [name for name, setting in declarations(TransferSettings).items() if setting.is_shown]
    settings = "; ".join(describe_setting(name, getattr(choices, name), words) for name in (*shown, "seed"))
    voices = [words["voice"].format(voice=voice)] if voice else []
    return (describe_part(clip, words), describe_sound(clip, words, config), *voices, settings)


def describe_repair(result: Repair, words: dict[str, str]) -> str:
    """Say what was repaired, in Markdown."""
    kinds = Counter(damage.kind for damage in result.damages)
    seconds = sum(damage.end_s - damage.start_s for damage in result.damages)
    counts = ", ".join(f"{count} × {words[f'repair_{kind}']}" for kind, count in kinds.items())
    filled = words["repair_filled"].format(seconds=f"{seconds:.3f}", kinds=counts) if kinds else words["repair_nothing"]
    parts = [
        f"- {words[f'repair_{damage.kind}']} {damage.start_s:.3f}–{damage.end_s:.3f} s"
        for damage in result.damages[:MOST_SHOWN]
    ]
    if len(result.damages) > MOST_SHOWN:
        parts.append("- " + words["repair_more"].format(count=len(result.damages) - MOST_SHOWN))
    return "\n".join([" ".join([filled, *describe_noise(result.noise, words)]), "", *parts])


def describe_noise(noise: Noise | None, words: dict[str, str]) -> list[str]:
    """Say what noise was found, if it was looked for."""
    if noise is None:
        return []
    found = []
    if noise.hum_hz is not None:
        found.append(words["repair_hum"].format(hz=f"{noise.hum_hz:.1f}"))
    if noise.snr_db is not None:
        found.append(words["repair_hiss"].format(db=f"{noise.snr_db:.0f}"))
    if noise.cutoff_hz is not None:
        found.append(words["repair_cutoff"].format(khz=f"{noise.cutoff_hz / 1000:.1f}"))
    return found or [words["repair_no_noise"]]


def describe_tone(tone: Ringtone, words: dict[str, str]) -> str:
    """Say what a ringtone plays, and how loud."""
    phrase, cut = tone.phrase, words["tone_no_beat"]
    if phrase.bars:
        cut = words["tone_bars"].format(bars=phrase.bars, tempo=f"{phrase.tempo:.0f}")
    begin, end = f"{phrase.start_s:.2f}", f"{phrase.end_s:.2f}"
    sentences = [
        words["tone_from"].format(start=begin, end=end, cut=cut),
        words["tone_length"].format(seconds=f"{tone.seconds:.2f}", lufs=f"{tone.loudness_lufs:.1f}"),
        *([words["tone_is_loop"]] if tone.settings.loop else []),
    ]
    return "\n\n".join([" ".join(sentences), *([words["is_mix"]] if tone.is_mix else [])])
