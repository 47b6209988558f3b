"""Ringtones: the best part of a piece, for a phone.

python -m stylediff.ringtone song.mp3 --to vibraphone -o tone.m4r
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging

from stylediff.audio import AudioError, check_finite, read_part, resample
from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.containers import KINDS
from stylediff.instruments import INSTRUMENT_NAMES, MIX_WARNING
from stylediff.phone_level import level_for_phone
from stylediff.phrase_selection import SAMPLE_RATE, Phrase, select_phrase
from stylediff.pipeline import StyleTransferPipeline
from stylediff.ring import Callback, transfer_ring
from stylediff.settings import (
    CLIP_RATE,
    CONCERT_PITCH,
    SettingError,
    TransferSettings,
    add_flags,
    declarations,
    declare,
    read_flags,
)
from stylediff.tone_files import FORMATS, check_tone_path, read_title, title_from, tone_name, write_tone
from stylediff.tuning import estimate_tuning, transpose

ORIGINAL = "original"  # the sound of the clip itself
TONE_RATES = (44_100, 48_000)  # others become the first
LONGEST_S = 29.5  # phones refuse 30 s
LONGEST_SOURCE_S = 900.0
CONTEXT_S = 1.0  # converted on both sides of the part, and cut off
ATTACK_FADE_S = 0.003
SILENT_PEAK = 0.003
JOINT_S = 0.03  # crossfade at the joint of a loop that keeps its own sound


@dataclass(frozen=True, kw_only=True)
class RingtoneSettings(TransferSettings):
    """Settings of one ringtone.

    Attributes:
        to: an instrument, or ``ORIGINAL``.
        seconds: the longest ringtone allowed.
        start_s: where it begins, moved to the nearest beat; None finds the best part.
        loop: True to make the end lead into the beginning.
        fade: seconds of the fade at the end, if it is no loop.
        seed: of the noise.
    """

    to: str = declare(ORIGINAL, "instrument that plays", choices=(ORIGINAL, *INSTRUMENT_NAMES))
    seconds: float = declare(29.0, "longest ringtone, in seconds", low=2, high=LONGEST_S, step=0.5)
    start_s: float = declare(
        0.0, "second at which it begins, moved to the nearest beat", low=0, high=LONGEST_SOURCE_S, is_auto=True
    )
    loop: bool = declare(False, "make the end lead into the beginning")
    fade: float = declare(0.5, "seconds of the fade at the end, without --loop", low=0, high=5, step=0.1)
    seed: int = declare(0, "seed of the noise", low=0, high=2**31 - 1)
    rate: str = declare(
        CLIP_RATE, "sample rate; ringtones have 44,100 or 48,000 Hz", choices=(CLIP_RATE,), is_shown=False
    )


OWN_SETTINGS = tuple(name for name in declarations(RingtoneSettings) if name not in declarations(TransferSettings))


@dataclass(frozen=True)
class Ringtone:
    """A finished ringtone.

    Attributes:
        audio: (channels, samples) in [-1, 1].
        sample_rate: Hz.
        phrase: the part of the piece that it plays.
        loudness_lufs: integrated loudness.
        settings: those that were used.
        is_mix: True if an instrument plays what sounds like several.
    """

    audio: np.ndarray
    sample_rate: int
    phrase: Phrase
    loudness_lufs: float
    settings: RingtoneSettings
    is_mix: bool = False

    @property
    def seconds(self) -> float:
        return self.audio.shape[1] / self.sample_rate

    def describe(self) -> str:
        """Describe the ringtone in one line."""
        phrase = self.phrase
        cut = f"{phrase.bars} bars at {phrase.tempo:.0f} beats a minute" if phrase.bars else "no beat found"
        loop = ", a loop" if self.settings.loop else ""
        return (
            f"seconds {phrase.start_s:.2f}–{phrase.end_s:.2f} of the piece ({cut}), {self.seconds:.2f} s{loop}, "
            f"{self.loudness_lufs:.1f} LUFS"
        )


def make_ringtone(
    pipeline: StyleTransferPipeline | None,
    waveform: torch.Tensor,
    sample_rate: int,
    settings: RingtoneSettings,
    callback: Callback | None = None,
) -> Ringtone:
    """Make a ringtone of a piece.

    Args:
        pipeline: may be None if the sound stays the original's.
        waveform: (channels, samples) in [-1, 1].
        sample_rate: Hz.
        settings: what is None is recommended by the model.
        callback: called after each denoising step, as in diffusers.

    Raises:
        AudioError: a piece that cannot be used.
    """
    check_finite(waveform)
    rate = sample_rate if sample_rate in TONE_RATES else TONE_RATES[0]
    channels = [resample(channel, sample_rate, rate) for channel in waveform.float()]
    stereo = torch.stack(channels if len(channels) <= 2 else [torch.stack(channels).mean(0)])
    mono = stereo.mean(0)
    heard = resample(mono, rate, SAMPLE_RATE).numpy()
    phrase = select_phrase(heard, settings.seconds, settings.start_s, settings.loop)
    first, last = round(phrase.start_s * rate), min(round(phrase.end_s * rate), len(mono))
    if settings.to == ORIGINAL:
        tone = close_loop(stereo, first, last, rate) if settings.loop else stereo[:, first:last].clone()
        used, is_mix = settings, False
    else:
        if pipeline is None:
            raise ValueError(f"a pipeline is needed to play a ringtone on the {settings.to}")
        used = settings.resolve(pipeline.recommended_settings(settings.to))
        tone = play(pipeline, mono, first, last, rate, used, callback)
        is_mix = pipeline.is_mix(mono[first:last], rate)
    if float(tone.abs().max()) < SILENT_PEAK:
        message = f"the {used.to} plays nothing of this part; choose another instrument or another start"
        raise AudioError(message, "plays_nothing")
    if not used.loop:
        fade_ends(tone, rate, used.fade)
    audio, loudness = level_for_phone(tone.numpy(), rate, used.loop)
    return Ringtone(audio.astype(np.float32), rate, phrase, loudness, used, is_mix)


def play(
    pipeline: StyleTransferPipeline,
    mono: torch.Tensor,
    first: int,
    last: int,
    sample_rate: int,
    settings: RingtoneSettings,
    callback: Callback | None,
) -> torch.Tensor:
    """Play samples ``first`` to ``last`` on the instrument, (1, samples)."""
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.loop:
        cents = estimate_tuning(mono, sample_rate) if settings.tuning == CONCERT_PITCH else 0.0
        part = transpose(mono, sample_rate, settings.transpose - cents / 100)[first:last]
        return transfer_ring(pipeline, part, sample_rate, settings.to, settings, generator, callback)[None]
    context = round(CONTEXT_S * sample_rate)
    begin, end = max(0, first - context), min(len(mono), last + context)
    result = pipeline(
        mono[begin:end],
        sample_rate,
        target=settings.to,
        generator=generator,
        callback_on_step_end=callback,
        **settings.kwargs(),
    )
    return result.audio.cpu()[first - begin : last - begin][None]


def close_loop(waveform: torch.Tensor, first: int, last: int, sample_rate: int) -> torch.Tensor:
    """Return a part of (channels, samples) whose end leads into its beginning.

    Its last milliseconds fade into those before its beginning, or its first ones out of those after its end where
    nothing is before it.
    """
    part, joint = waveform[:, first:last].clone(), round(JOINT_S * sample_rate)
    angle = (torch.arange(joint) + 0.5) / joint * (torch.pi / 2)
    rising, falling = angle.sin() ** 2, angle.cos() ** 2
    if first >= joint:
        part[:, -joint:] = part[:, -joint:] * falling + waveform[:, first - joint : first] * rising
    elif last + joint <= waveform.shape[1]:
        part[:, :joint] = waveform[:, last : last + joint] * falling + part[:, :joint] * rising
    else:
        part[:, -joint:] *= falling
        part[:, :joint] *= rising
    return part


def fade_ends(tone: torch.Tensor, sample_rate: int, fade_s: float) -> None:
    """Fade both ends of (channels, samples) in place.

    The start takes a click's length, the end ``fade_s``.
    """
    for seconds, flip in ((ATTACK_FADE_S, False), (max(fade_s, ATTACK_FADE_S), True)):
        samples = min(round(seconds * sample_rate), tone.shape[1])
        ramp = torch.sin((torch.arange(samples) + 0.5) / samples * (torch.pi / 2)) ** 2
        if flip:
            tone[:, -samples:] *= ramp.flip(0)
        else:
            tone[:, :samples] *= ramp


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stylediff.ringtone", description="Makes a ringtone of an audio file.")
    parser.add_argument("source", type=Path, help=KINDS)
    parser.add_argument(
        "-o", "--out", type=Path, nargs="+", default=[Path()], help=f"files ({', '.join(FORMATS)}), or a folder (.)"
    )
    parser.add_argument("--to", metavar="INSTRUMENT", help=f"{', '.join(INSTRUMENT_NAMES)} (the sound stays as it is)")
    parser.add_argument("--start", dest="start_s", metavar="S", help="second at which it begins (the best part)")
    parser.add_argument("--auto", action="store_true", help="find the best part; this is the default")
    parser.add_argument("--title", help="title (the file's, else from its name)")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--model", help="folder or Hub id of other weights")
    add_flags(parser, RingtoneSettings, leave_out=("to", "start_s"))
    args = parser.parse_args(arguments)
    if args.auto and args.start_s is not None:
        parser.error("give either --start S or --auto")
    try:
        args.settings = read_flags(args, RingtoneSettings)
    except SettingError as error:
        parser.error(str(error))
    return args


def output_paths(args: argparse.Namespace, title: str) -> list[Path]:
    """Return the output paths.

    In a folder the file is a .m4r whose name a person could have given.

    Raises:
        AudioError: a path that cannot be written.
    """
    instrument = None if args.settings.to == ORIGINAL else args.settings.to
    named = [path / f"{tone_name(title, instrument)}.m4r" if path.is_dir() else path for path in args.out]
    for path in named:
        check_tone_path(path, args.force)
    return named


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        samples, sample_rate, _ = read_part(args.source, 0.0, LONGEST_SOURCE_S)
        title = args.title or read_title(args.source) or title_from(args.source.stem)
        paths = output_paths(args, title)
        pipeline: Any = None
        if args.settings.to != ORIGINAL:
            pipeline = load_pipeline(args.model)
            pipeline.set_progress_bar_config(desc="denoising", leave=False)
        tone = make_ringtone(pipeline, torch.from_numpy(samples), sample_rate, args.settings)
        for path in paths:
            write_tone(path, tone.audio, tone.sample_rate, title, tone.settings.loop)
            print(path)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(tone.describe(), file=sys.stderr)
    if tone.is_mix:
        print(f"{args.source.name}: {MIX_WARNING}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
