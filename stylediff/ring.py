"""Transfer of a loop by diffusion on a ring.

The end leads into the beginning. The loop is resampled to a whole number of latent frames, at most half of one away
from its own length, and back afterwards. Its pitch changes for the model alone, by a few cents, and its length not at
all.
"""

from collections.abc import Callable

import torch

from stylediff.audio import limit_peak, loudness_gain
from stylediff.dynamics import follow_dynamics
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.phase_reconstruction import MOMENTUM, overlap_add, rescale
from stylediff.pipeline import OVERLAP_FRAMES, WINDOW_FRAMES, StyleTransferPipeline
from stylediff.settings import TransferSettings
from stylediff.windows import map_ring

SHORTEST_COLUMNS = 8  # latent frames of a loop, 1.5 s
MARGIN_FRAMES = 64  # sound on both sides of the joint, in which phases are made to agree
JOINT_ITERATIONS = 16

Callback = Callable[[StyleTransferPipeline, int, torch.Tensor, dict[str, torch.Tensor]], dict | None]


def resample_ring(waveform: torch.Tensor, samples: int) -> torch.Tensor:
    """Resample a loop (..., n) to a number of samples.

    The transform treats the loop as periodic, so its end and its beginning keep fitting together.
    """
    if waveform.shape[-1] == samples:
        return waveform
    import scipy.signal

    resampled = scipy.signal.resample(waveform.detach().cpu().double().numpy(), samples, axis=-1)
    return torch.from_numpy(resampled).to(waveform)


def unroll(signal: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """Return a ring (..., n) with what comes before and after it."""
    places = torch.arange(-before, signal.shape[-1] + after, device=signal.device) % signal.shape[-1]
    return signal[..., places]


def ring_mel(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Log-mel (1, 1, mels, frames) of a loop (frames * hop_length,)."""
    margin = config.n_fft // config.hop_length
    unrolled = unroll(waveform, margin * config.hop_length, margin * config.hop_length)
    return waveform_to_mel(unrolled[None], config)[..., margin:-margin]


def ring_frames(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Spectra (1, frames, bins) of a loop (frames * hop_length,)."""
    window = torch.hann_window(config.n_fft, device=waveform.device)
    unrolled = unroll(waveform, config.pad, config.pad)
    return torch.fft.rfft(unrolled.unfold(-1, config.n_fft, config.hop_length) * window)[None]


def join_ring(spectra: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Return the loop whose frames are closest to spectra.

    This inverts ``ring_frames``.
    """
    window = torch.hann_window(config.n_fft, device=spectra.device)
    summed = overlap_add(torch.fft.irfft(spectra, config.n_fft) * window, config.hop_length)[0]
    samples = spectra.shape[1] * config.hop_length
    folded = summed.new_zeros(samples)
    places = (torch.arange(len(summed), device=summed.device) - config.pad) % samples
    return folded.index_add_(0, places, summed) / (window.square().sum() / config.hop_length)


def close_ring(sound: torch.Tensor, frames: int, config: MelConfig) -> torch.Tensor:
    """Close the loop of a sound that continues beyond its end.

    Around the joint the loop takes the frames of the sound that runs through it in one piece. Their phases turn slowly
    towards those of the loop's beginning, bin by bin, which detunes each partial by less than 1 Hz. Fast Griffin-Lim on
    the ring (Perraudin et al. 2013) makes all frames agree.

    Args:
        sound: ((frames + MARGIN_FRAMES) * hop_length,) or longer, of which the last part renders the first again.
        frames: of the loop.

    Returns:
        (frames * hop_length,).
    """
    margin, hop = min(MARGIN_FRAMES, frames // 2), config.hop_length
    whole = ring_frames(sound[: frames * hop], config)
    edge = config.n_fft // hop  # frames that reach over the end of a part
    begin = (frames - margin - edge) * hop if frames > margin + edge else 0
    through = ring_frames(sound[begin : (frames + margin + edge) * hop], config)
    first = frames - margin - begin // hop
    through = through[:, first : first + 2 * margin - edge]
    places = torch.arange(-margin, margin - edge, device=sound.device) % frames
    late = slice(margin + margin // 2, None)
    turn = (whole[:, places[late]] * through[:, late].conj()).sum(1).angle()
    ramp = torch.linspace(0, 1, through.shape[1], device=sound.device)
    ahead = whole.clone()
    ahead[:, places] = through * torch.polar(torch.ones_like(ramp)[:, None], ramp[:, None] * turn)
    return settle_phases(ahead, whole, places, through.abs(), config)


def settle_phases(
    ahead: torch.Tensor, known: torch.Tensor, free: torch.Tensor, magnitude: torch.Tensor, config: MelConfig
) -> torch.Tensor:
    """Return the loop of spectra after its free frames agree.

    Args:
        ahead: spectra to start from, (1, frames, bins).
        known: spectra that the other frames keep, like ``ahead``.
        free: places of the frames that change.
        magnitude: of these, (1, free, bins).
    """
    ahead, before = torch.view_as_real(ahead), torch.view_as_real(ahead)
    loop = join_ring(known, config)
    for _ in range(JOINT_ITERATIONS):
        spectra = known.clone()
        spectra[:, free] = rescale(ahead[:, free].contiguous(), magnitude)
        loop = join_ring(spectra, config)
        consistent = torch.view_as_real(ring_frames(loop, config))
        ahead, before = torch.lerp(before, consistent, 1 + MOMENTUM), consistent
    return loop


@torch.no_grad()
def transfer_ring(
    pipeline: StyleTransferPipeline,
    waveform: torch.Tensor,
    sample_rate: int,
    target: str,
    settings: TransferSettings,
    generator: torch.Generator,
    callback: Callback | None = None,
) -> torch.Tensor:
    """Play a loop with another instrument.

    Args:
        waveform: (samples,) in [-1, 1], one turn of the loop.
        settings: with a value for each (see ``TransferSettings.resolve``).
        callback: called after each step, as in diffusers.

    Returns:
        (samples,), whose end leads into its beginning.
    """
    config, stride, device = pipeline.mel, pipeline.autoencoder.frame_stride, pipeline.device
    column = stride * config.hop_length
    columns = max(SHORTEST_COLUMNS, round(len(waveform) / sample_rate * config.sample_rate / column))
    ring = resample_ring(waveform.float(), columns * column).to(device)
    gain = loudness_gain(ring)
    source_mel = ring_mel(ring * gain, config)
    source = map_ring(pipeline.autoencoder.encode, source_mel, WINDOW_FRAMES, OVERLAP_FRAMES, stride)
    latents, timesteps = pipeline.prepare_latents(
        source, settings.steps, settings.strength, settings.temperature, generator, settings.refine_from
    )
    tokens, guidance, temperature = pipeline.encode_target(target), settings.guidance, settings.temperature
    latents = pipeline.denoise(latents, source, tokens, timesteps, guidance, temperature, callback, mapping=map_ring)
    mel = map_ring(pipeline.autoencoder.decode, latents, *pipeline.window_columns)
    if settings.enhance and (enhancer := pipeline.enhancer) is not None:
        pair = torch.cat([mel, source_mel], dim=1)
        mel = map_ring(lambda both: enhancer(*both.chunk(2, dim=1)), pair, WINDOW_FRAMES, OVERLAP_FRAMES, stride)
    frames = mel.shape[-1]
    turns, source_turns = (unroll(each, frames, frames) for each in (mel, source_mel))
    mel = follow_dynamics(turns, source_turns, settings.dynamics, config)[..., frames : 2 * frames]
    sound = pipeline.synthesize(unroll(mel, MARGIN_FRAMES, 2 * MARGIN_FRAMES))[0]
    loop = close_ring(sound[MARGIN_FRAMES * config.hop_length :], frames, config)
    return limit_peak(resample_ring(loop.cpu() / gain, len(waveform)))
