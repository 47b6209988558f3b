"""Sentences about clips and results, in the visitor's language."""

import re

import numpy as np

from stylediff.mel import MelConfig
from stylediff.page.settings import Choices
from stylediff.page.uploads import Clip
from stylediff.settings import TransferSettings, declarations, show_value

QUIET_PEAK = 10 ** (-40 / 20)


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
