"""Fill gaps: short ones by linear prediction, longer ones by diffusion.

The latents of a window around the gap are generated; those that the gap does not touch are imposed at every step
(RePaint, Lugmayr et al. 2022, arXiv 2201.09865). A U-Net that was trained on clips with gaps is given a mask of the
missing frames as well. Sound is then made that has the generated magnitudes inside the gap and exactly the known
samples outside it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from diffusers import UNet2DConditionModel

from stylediff.audio import fit_length, loudness_gain, resample
from stylediff.gap_blending import Edges, blend_gap
from stylediff.linear_prediction import interpolate, predict_both_sides
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.phase_reconstruction import make_consistent
from stylediff.pipeline import WINDOW_FRAMES, StyleTransferPipeline
from stylediff.sampling import take_step

PREDICTED_S = 0.06  # gaps up to this length are filled by linear prediction alone
INTERPOLATED_S = 0.03  # gaps up to this length by Janssen's method, longer ones from both sides
LONGEST_S = 3.0  # of a gap that the window of the model still surrounds
SIMILAR_S = 0.4  # longer gaps are guided by a similar moment, if there is one
LONGEST_SIMILAR_S = 1.2  # of a gap, for a U-Net that is given a mask: it fills longer ones better from both sides
SIMILAR_FRAMES = 24  # compared on each side of a gap
SIMILAR_DISTANCE = 0.7  # neper; moments further off are not similar
EDGE_FRAMES = 2  # known frames on each side that the generated ones are fitted to
FADE_S = 0.02  # from linear prediction into the generated sound, at both edges


@dataclass(frozen=True)
class Sampling:
    """Settings of the diffusion inside gaps.

    Attributes:
        steps, temperature: see ``stylediff.settings.TransferSettings``.
        similar_s: longest gap for which a similar moment is looked for, seconds.
        is_diffused: False keeps the guide as it is, without the diffusion.
        unet: a U-Net whose input ends with a mask of the missing frames (``missing_frames``), instead of the
            pipeline's.
    """

    steps: int
    temperature: float
    similar_s: float = math.inf
    is_diffused: bool = True
    unet: UNet2DConditionModel | None = None


def predict_gap(waveform: np.ndarray, gap: Edges, sample_rate: int) -> np.ndarray:
    """Return a waveform (samples,) with a gap filled by linear prediction."""
    filled = waveform.astype(np.float64).copy()
    is_short = gap[1] - gap[0] <= INTERPOLATED_S * sample_rate
    filled[slice(*gap)] = (interpolate if is_short else predict_both_sides)(filled, *gap, sample_rate)
    return filled


def gap_frames(gap: Edges, config: MelConfig) -> slice:
    """Frames whose centres lie in a gap; there is at least one."""
    first = -(-(gap[0] - config.hop_length // 2) // config.hop_length)
    last = -(-(gap[1] - config.hop_length // 2) // config.hop_length)
    return slice(max(0, first), max(first + 1, last))


def choose_window(frames: int, gap: slice) -> slice:
    """Frames of the model's window, with the gap in its middle."""
    length = min(WINDOW_FRAMES, frames)
    start = (gap.start + gap.stop - length) // 2
    start = max(0, min(start, frames - length))
    return slice(start, start + length)


def interpolate_mel(mel: torch.Tensor, gap: slice) -> torch.Tensor:
    """Return a log-mel (..., mels, frames) with an interpolated gap."""
    frames = mel.shape[-1]
    before = mel[..., max(0, gap.start - EDGE_FRAMES) : gap.start].mean(-1, keepdim=True) if gap.start else None
    after = mel[..., gap.stop : gap.stop + EDGE_FRAMES].mean(-1, keepdim=True) if gap.stop < frames else None
    before, after = (after if before is None else before), (before if after is None else after)
    filled = mel.clone()
    if before is not None and after is not None:
        share = (torch.arange(gap.stop - gap.start, device=mel.device) + 1.0) / (gap.stop - gap.start + 1)
        filled[..., gap] = torch.lerp(before, after, share)
    return filled


def find_similar(mel: torch.Tensor, gap: slice) -> tuple[int, float]:
    """Find the moment that resembles the surroundings of a gap most.

    Returns its shift in frames and the mean difference there in nepers; (0, inf) if the clip is too short.

    Args:
        mel: (mels, frames).
    """
    reach, length, frames = SIMILAR_FRAMES, gap.stop - gap.start, mel.shape[-1]
    if gap.start < reach or gap.stop + reach > frames:
        return 0, float("inf")
    places = frames - 2 * reach - length + 1  # of the first frame compared
    distance = mel.new_zeros(places)
    for offset in (*range(reach), *range(reach + length, 2 * reach + length)):
        frame = mel[:, gap.start - reach + offset, None]
        distance += (mel[:, offset : offset + places] - frame).abs().mean(0)
    distance /= 2 * reach
    shifts = torch.arange(len(distance)) + reach - gap.start
    distance[shifts.abs() < length + reach] = float("inf")
    best = int(distance.argmin())
    return int(shifts[best]), float(distance[best])


def fit_edges(mel: torch.Tensor, known: torch.Tensor, gap: slice) -> torch.Tensor:
    """Fit the frames of a gap to those on both sides.

    The difference on each side is added band by band, with a share that falls towards the other side.

    Args:
        mel: generated log-mel, (..., mels, frames).
        known: log-mel that is right outside the gap.
    """
    change = interpolate_mel(known - mel, gap)
    fitted = known.clone()
    fitted[..., gap] = mel[..., gap] + change[..., gap]
    return fitted


def may_be_guided(seconds: float, similar_s: float) -> bool:
    """Return True if a similar moment may guide a gap."""
    return SIMILAR_S < seconds <= similar_s


def guide_gap(mel: torch.Tensor, gap: slice, config: MelConfig, similar_s: float = math.inf) -> torch.Tensor:
    """Return a clip's log-mel with a guide in a gap.

    The guide is interpolated, or copied from a similar moment if the gap is long and there is one.

    Args:
        mel: (..., mels, frames) of one clip.
        similar_s: longest gap for which one is looked for, seconds.
    """
    guide = interpolate_mel(mel, gap)
    if may_be_guided(config.seconds(gap.stop - gap.start), similar_s):
        shift, distance = find_similar(mel.reshape(mel.shape[-2:]), gap)
        if distance < SIMILAR_DISTANCE:
            return fit_edges(mel.roll(-shift, -1), guide, gap)
    return guide


def missing_frames(gap: slice, latents: torch.Tensor, stride: int) -> torch.Tensor:
    """Mask of the frames of a gap, (1, stride, rows, columns).

    A channel is 1 in the columns whose frame of that number is missing.

    Args:
        latents: (..., rows, columns).
        stride: frames of a column.
    """
    rows, columns = latents.shape[-2:]
    missing = torch.zeros(columns * stride, device=latents.device)
    missing[gap] = 1
    return missing.view(columns, stride).T[None, :, None].expand(1, stride, rows, columns)


def generate_latents(
    pipeline: StyleTransferPipeline,
    source: torch.Tensor,
    gap: slice,
    tokens: torch.Tensor,
    sampling: Sampling,
    generator: torch.Generator,
) -> torch.Tensor:
    """Generate latents with those outside a gap imposed.

    Args:
        source: latents of a log-mel of at most one window, with a guide in the gap: notes that may sound there.
        gap: frames of the log-mel.
        tokens: style of the instrument.
    """
    stride = pipeline.autoencoder.frame_stride
    missing = missing_frames(gap, source, stride)
    free = missing.any(dim=1, keepdim=True)
    unet, given = pipeline.unet, source
    if sampling.unet is not None:
        unet, given = sampling.unet, torch.cat([source, missing], dim=1)
    latents, timesteps = pipeline.prepare_latents(source, sampling.steps, 1.0, sampling.temperature, generator)
    noise = sampling.temperature * latents
    for step, timestep in enumerate(timesteps):
        velocity = unet(torch.cat([latents, given], dim=1), timestep, tokens, return_dict=False)[0]
        latents = take_step(pipeline.scheduler, velocity, timesteps, step, latents, sampling.temperature)
        known = source
        if step + 1 < len(timesteps):
            known = pipeline.scheduler.add_noise(source, noise, timesteps[step + 1 : step + 2])
        latents = torch.where(free, latents, known)
    return latents


def choose_unets(sampling: Sampling, seconds: float) -> list[UNet2DConditionModel | None]:
    """U-Nets whose latents are averaged; None is the pipeline's.

    Where a similar moment guides, the pipeline's U-Net fills gaps as well as one that is given a mask, and differently.
    """
    both = sampling.unet is not None and may_be_guided(seconds, sampling.similar_s)
    return [sampling.unet, None] if both else [sampling.unet]


@torch.no_grad()
def diffuse_gap(
    pipeline: StyleTransferPipeline,
    mono: torch.Tensor,
    gap: Edges,
    tokens: torch.Tensor,
    sampling: Sampling,
    generator: torch.Generator,
) -> torch.Tensor:
    """Fill one gap of a clip at the model's rate by diffusion.

    Args:
        mono: (samples,) at the model's rate and loudness, with a first guess in the gap.
        gap: in samples of ``mono``.

    Returns:
        Like ``mono``, unchanged outside the gap.
    """
    config = pipeline.mel
    mel = waveform_to_mel(mono[None], config)
    place = gap_frames(gap, config)
    guide = guide_gap(mel, place, config, sampling.similar_s)
    window = choose_window(mel.shape[-1], place)
    inner = slice(place.start - window.start, place.stop - window.start)
    seen = guide[..., window]
    if sampling.is_diffused:
        source = pipeline.encode_mel(seen)
        takes = [
            generate_latents(pipeline, source, inner, tokens, replace(sampling, unet=unet), generator)
            for unet in choose_unets(sampling, config.seconds(place.stop - place.start))
        ]
        decoded = pipeline.decode_latents(torch.stack(takes).mean(0), seen.shape[-1])
        seen = fit_edges(decoded, seen, inner)
    if pipeline.vocoder is None:
        return mono
    magnitude = pipeline.vocoder.predict_magnitudes(seen)[..., inner]
    filled = mono.clone()
    filled[slice(*gap)] = make_consistent(mono, gap, place, magnitude, config)
    return blend_gap(mono, filled, gap, config)


def fill_gap(
    pipeline: StyleTransferPipeline | None,
    waveform: torch.Tensor,
    sample_rate: int,
    gap: Edges,
    tokens: torch.Tensor | None,
    sampling: Sampling,
    generator: torch.Generator,
) -> torch.Tensor:
    """Fill one gap of (channels, samples).

    Everything outside stays as it is. The diffusion fills what the model's rate can hold. What lies above comes from
    linear prediction.

    Args:
        pipeline, tokens: None fills by linear prediction alone, as it does short gaps.
        gap: in samples of ``waveform``.
    """
    channels = waveform.double().numpy()
    predicted = torch.from_numpy(np.stack([predict_gap(channel, gap, sample_rate) for channel in channels])).float()
    if pipeline is None or tokens is None or gap[1] - gap[0] <= PREDICTED_S * sample_rate:
        return predicted
    return refine_gap(pipeline, predicted, sample_rate, gap, tokens, sampling, generator)


def refine_gap(
    pipeline: StyleTransferPipeline,
    predicted: torch.Tensor,
    sample_rate: int,
    gap: Edges,
    tokens: torch.Tensor,
    sampling: Sampling,
    generator: torch.Generator,
) -> torch.Tensor:
    """Fill a gap by diffusion where linear prediction has filled it before.

    The arguments and the result are those of ``fill_gap``.
    """
    config = pipeline.mel
    mono = resample(predicted.mean(0), sample_rate, config.sample_rate)
    gain = loudness_gain(mono)
    scaled = tuple(round(edge * config.sample_rate / sample_rate) for edge in gap)
    made = diffuse_gap(pipeline, mono * gain, (scaled[0], scaled[1]), tokens, sampling, generator) / gain
    change = fit_length(resample(made - mono, config.sample_rate, sample_rate), predicted.shape[1])[slice(*gap)]
    fade = min(round(FADE_S * sample_rate), len(change) // 2)
    ramp = (torch.arange(fade) + 0.5) / fade
    change[:fade] *= ramp
    change[-fade:] *= ramp.flip(0)
    filled = predicted.clone()
    for number, share in enumerate(channel_shares(predicted, gap)):
        filled[number, slice(*gap)] += share * change
    return filled


def channel_shares(waveform: torch.Tensor, gap: Edges) -> list[float]:
    """Each channel's share of the mean of all, around a gap."""
    reach = 2 * (gap[1] - gap[0])
    around = waveform[:, max(0, gap[0] - reach) : gap[1] + reach]
    mean = around.mean(0)
    power = float(mean @ mean)
    return [float(channel @ mean) / power if power > 1e-12 else 1.0 for channel in around]
