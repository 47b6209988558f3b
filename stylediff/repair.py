"""Repair: fill gaps of a recording, remove noise, restore codecs' losses.

python -m stylediff.repair damaged.wav --auto -o repaired.wav
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from diffusers.utils import logging

from stylediff.audio import MIN_SECONDS, AudioError, check_finite, read_audio, resample, too_short, write_samples
from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.containers import KINDS, writing_problem
from stylediff.damage import Damage, find_damage
from stylediff.denoising import Noise, find_noise
from stylediff.gap_blending import Edges
from stylediff.gap_filling import LONGEST_S, LONGEST_SIMILAR_S, PREDICTED_S, Sampling, predict_gap, refine_gap
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.pipeline import StyleTransferPipeline
from stylediff.restoration import remove_noise
from stylediff.settings import STEPS, TEMPERATURE, CheckedSettings, SettingError, add_flags, declare, read_flags

GAP = "gap"  # damage that the user names
RECOGNISED = "recognised"  # the instrument is taken from the recording itself
SUBTYPES = {"PCM_16": 15, "PCM_24": 23}  # bits behind the point

Progress = Callable[[int, int], None]  # gaps filled so far, and in all


@dataclass(frozen=True, kw_only=True)
class RepairSettings(CheckedSettings):
    """Settings of one repair."""

    auto: bool = declare(False, "find dropouts, clicks, clipped runs and noise bursts, and repair them")
    denoise: float = declare(
        0.0, "how far hum, hiss and losses of a codec are repaired, where they are found", low=0, high=1, step=0.05
    )
    instrument: str = declare(RECOGNISED, "instrument that plays", choices=(RECOGNISED, *INSTRUMENT_NAMES))
    steps: int = declare(STEPS, "denoising steps inside a gap", low=1, high=50, step=1)
    temperature: float = declare(TEMPERATURE, "scale of the noise", low=0, high=1, step=0.05)
    seed: int = declare(0, "seed of the noise: another one is another take", low=0, high=2**31 - 1)


@dataclass(frozen=True)
class Repair:
    """A repaired recording.

    Attributes:
        audio: (channels, samples), equal to the input wherever nothing was repaired.
        sample_rate: Hz, the input's.
        damages: the parts that were filled, in order of time.
        noise: the steady noise and the codec's cutoff that were found; None if they were not looked for.
        settings: those that were used.
    """

    audio: torch.Tensor
    sample_rate: int
    damages: list[Damage]
    noise: Noise | None
    settings: RepairSettings

    def describe(self) -> str:
        """Describe in one line what was repaired."""
        kinds = {damage.kind: 0 for damage in self.damages}
        for damage in self.damages:
            kinds[damage.kind] += 1
        seconds = sum(damage.end_s - damage.start_s for damage in self.damages)
        counts = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        filled = f"filled {seconds:.3f} s ({counts})" if counts else "no damaged part"
        return filled if self.noise is None else f"{filled}; {self.noise.describe()}"


def read_gaps(texts: Sequence[str]) -> list[Damage]:
    """Read gaps as "1.20-1.45", in seconds.

    Raises:
        SettingError: a text that is no such gap.
    """
    gaps = []
    for text in texts:
        found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*[-–]\s*(\d+(?:\.\d*)?)", text.strip())
        if not found or float(found[1]) >= float(found[2]):
            message = f"a gap must be two seconds in order, as 1.20-1.45, got {text!r}"
            raise SettingError(message, "not_a_gap", got=repr(text))
        gaps.append(Damage(float(found[1]), float(found[2]), GAP))
    return gaps


def check_gaps(gaps: Sequence[Damage], seconds: float) -> None:
    """Check that gaps lie in a recording and can be filled.

    Raises:
        AudioError: a gap that is too long, beyond the end, or all there is.
    """
    for gap in gaps:
        what, values = f"the {gap.describe()}", {"start": f"{gap.start_s:g}", "end": f"{gap.end_s:g}"}
        if gap.end_s - gap.start_s > LONGEST_S:
            message = f"{what} is too long: at most {LONGEST_S:g} s can be filled"
            raise AudioError(message, "long_gap", most=f"{LONGEST_S:g}", **values)
        if gap.end_s > seconds + 0.001:
            message = f"{what} is not in the clip, which is {seconds:.2f} s long"
            raise AudioError(message, "gap_outside", length=f"{seconds:.2f}", **values)
        if gap.end_s - gap.start_s > 0.8 * seconds:
            raise AudioError(f"{what} leaves too little of the clip to fill it from", "gap_of_all", **values)


def merge_gaps(gaps: Sequence[Damage], samples: int, sample_rate: int) -> list[tuple[Edges, Damage]]:
    """Gaps in samples, in order and without overlaps, each with its damage."""
    merged: list[tuple[Edges, Damage]] = []
    for gap in sorted(gaps, key=lambda one: one.start_s):
        first, last = round(gap.start_s * sample_rate), min(samples, round(gap.end_s * sample_rate))
        if merged and first <= merged[-1][0][1]:
            (begin, end), before = merged.pop()
            first, last = begin, max(end, last)
            gap = Damage(before.start_s, max(before.end_s, gap.end_s), before.kind)
        if last > first:
            merged.append(((first, last), gap))
    return merged


def style_of(pipeline: StyleTransferPipeline, waveform: torch.Tensor, sample_rate: int, instrument: str) -> Any:
    """Style tokens of a named instrument, or of the recording itself.

    A silent recording, or a model that accepts no clip, gives None.
    """
    if instrument != RECOGNISED:
        return pipeline.encode_target(instrument)
    if pipeline.style_encoder.reference is None:
        return None
    try:
        return pipeline.encode_reference(waveform, sample_rate)
    except AudioError:
        return None


def repair(
    pipeline: StyleTransferPipeline | None,
    waveform: torch.Tensor,
    sample_rate: int,
    gaps: Sequence[Damage] = (),
    settings: RepairSettings | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Repair a recording.

    Gaps up to 60 ms are filled by linear prediction, longer ones by diffusion. Outside of gaps every sample stays
    as it is, unless ``denoise`` is above 0 and hum, hiss or a codec's cutoff is found.

    Args:
        pipeline: None fills longer gaps by linear prediction as well, and restores nothing that a codec removed.
        waveform: (samples,) or (channels, samples) in [-1, 1].
        sample_rate: Hz.
        gaps: parts to fill, beside those that are found.
        progress: called after each gap with the number of gaps that are filled, and of all.

    Raises:
        AudioError: a recording or a gap that cannot be used.
    """
    settings = settings or RepairSettings()
    channels = waveform.float().reshape(-1, waveform.shape[-1]).clone()
    check_finite(channels)
    if channels.shape[1] < MIN_SECONDS * sample_rate:
        raise too_short(channels.shape[1] / sample_rate)
    found = find_damage(channels.numpy(), sample_rate) if settings.auto else []
    check_gaps(gaps, channels.shape[1] / sample_rate)
    wanted = merge_gaps([*gaps, *found], channels.shape[1], sample_rate)
    fill_all(pipeline, channels, sample_rate, [edges for edges, _ in wanted], settings, progress)
    noise = None
    if settings.denoise > 0:
        noise = find_noise(channels.numpy(), sample_rate)
        vocoder = None if pipeline is None else lambda mel: pipeline.synthesize(mel.to(pipeline.device)).cpu()
        channels = remove_noise(channels, sample_rate, noise, settings.denoise, vocoder)
    audio = channels.clamp(-1, 1).reshape(waveform.shape)
    return Repair(audio, sample_rate, [damage for _, damage in wanted], noise, settings)


def fill_all(
    pipeline: StyleTransferPipeline | None,
    channels: torch.Tensor,
    sample_rate: int,
    gaps: Sequence[Edges],
    settings: RepairSettings,
    progress: Progress | None,
) -> None:
    """Fill gaps of (channels, samples) in place.

    All are first filled by linear prediction, so that none is a hole in the surroundings of another.
    """
    for channel in channels:
        for gap in gaps:
            channel[slice(*gap)] = torch.from_numpy(predict_gap(channel.numpy(), gap, sample_rate)[slice(*gap)])
    channels.clamp_(-1, 1)
    longer = [gap for gap in gaps if gap[1] - gap[0] > PREDICTED_S * sample_rate]
    if pipeline is None or not longer:
        return
    rate = pipeline.mel.sample_rate
    mono = resample(channels.mean(0), sample_rate, rate)
    tokens = style_of(pipeline, mono, rate, settings.instrument)
    generator = torch.Generator().manual_seed(settings.seed)
    sampling = Sampling(settings.steps, settings.temperature)
    if pipeline.inpainter is not None:
        unet = pipeline.inpainter.build(pipeline.unet)
        sampling = replace(sampling, similar_s=LONGEST_SIMILAR_S, unet=unet)
    for number, gap in enumerate(longer, 1):
        filled = refine_gap(pipeline, channels, sample_rate, gap, tokens, sampling, generator)
        channels[:, slice(*gap)] = filled[:, slice(*gap)].clamp(-1, 1)
        if progress is not None:
            progress(number, len(longer))


def choose_subtype(source: Path, target: Path) -> str:
    """Sample format of the output: the source's, or else 24 bits."""
    try:
        subtype = soundfile.info(source).subtype
    except (soundfile.LibsndfileError, TypeError):
        subtype = ""
    ending = target.suffix[1:]
    is_exact = subtype in (*SUBTYPES, "FLOAT") and soundfile.check_format(ending, subtype)
    return subtype if is_exact else "PCM_24"


def write_exact(path: Path, waveform: torch.Tensor, sample_rate: int, subtype: str) -> None:
    """Write (channels, samples) without rounding samples anew.

    Samples of the same format come out as they went in.

    Raises:
        OSError: the disk is full, or writing is not allowed there.
    """
    samples = waveform.numpy().T
    if subtype in SUBTYPES:  # libsndfile scales floats by one step less than it divides by
        scale = 2 ** SUBTYPES[subtype]
        whole = np.clip(np.round(samples.astype(np.float64) * scale), -scale, scale - 1)
        samples = (whole * (2**31 // scale)).astype(np.int32)
    write_samples(path, samples, sample_rate, subtype)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="stylediff.repair", description="Repairs gaps, noise and losses of codecs in a recording."
    )
    parser.add_argument("source", type=Path, help=KINDS)
    parser.add_argument("-o", "--out", type=Path, required=True, help="output file (.wav or .flac)")
    parser.add_argument("--gap", nargs="+", default=[], metavar="S-S", help="damaged parts in seconds, as 1.20-1.45")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.add_argument("--model", help="folder or Hub id of other weights")
    add_flags(parser, RepairSettings)
    args = parser.parse_args(arguments)
    try:
        args.settings = read_flags(args, RepairSettings)
        args.gaps = read_gaps(args.gap)
    except SettingError as error:
        parser.error(str(error))
    if not (args.gaps or args.settings.auto or args.settings.denoise):
        parser.error("nothing to do: give --gap S-S, --auto or --denoise LEVEL")
    if problem := writing_problem(args.out, (".wav", ".flac"), args.force):
        parser.error(problem)
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        samples, sample_rate = read_audio(args.source)
        check_gaps(args.gaps, samples.shape[1] / sample_rate)
        pipeline = load_pipeline(args.model)
        pipeline.set_progress_bar_config(disable=True)
        result = repair(pipeline, torch.from_numpy(samples), sample_rate, args.gaps, args.settings)
        write_exact(args.out, result.audio, sample_rate, choose_subtype(args.source, args.out))
    except (CheckpointError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(args.out)
    for damage in result.damages:
        print(damage.describe(), file=sys.stderr)
    print(result.describe(), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
