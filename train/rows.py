"""The systems an evaluation compares, its rows: ours, what one can do without a model, and what bounds them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from stylediff import StyleTransferPipeline
from stylediff.audio import fit_length, loudness_gain
from stylediff.mel import MelConfig, griffin_lim, waveform_to_mel
from train.equaliser import match_envelope
from train.trials import Example

IDENTITY = "identity"
ENVELOPE = "spectral envelope"
AUTOENCODER = "autoencoder"
ORACLE = "oracle"
GRIFFIN_LIM = "oracle, Griffin-Lim"
TRUE_TARGET = "true target"


@dataclass(frozen=True)
class Output:
    """What a system makes of an example.

    Attributes:
        waveform: (samples,) as long as the target, at -23 dBFS, on the CPU.
        mel: (mels, frames) the log-mel it was vocoded from, or None.
    """

    waveform: torch.Tensor
    mel: torch.Tensor | None


Row = Callable[[Example], Output]


def ours(steps: int) -> str:
    """Name of the row of our model at that many denoising steps."""
    return f"ours, {steps} steps"


def finish(waveform: torch.Tensor, example: Example, mel: torch.Tensor | None = None) -> Output:
    """Brings every row to the same length and loudness, so that neither is measured."""
    waveform = fit_length(waveform.cpu().float(), len(example.target))
    return Output(waveform * loudness_gain(waveform), None if mel is None else mel.cpu().float())


def play_source(example: Example) -> Output:
    """The source unchanged: what a model has to beat."""
    return finish(example.source, example)


def play_equalised(example: Example, spectra: dict[str, torch.Tensor], config: MelConfig) -> Output:
    """The source equalised to the average spectrum of the target's voice."""
    return finish(match_envelope(example.source, spectra[example.voice], config), example)


def play_transfer(example: Example, pipeline: StyleTransferPipeline, steps: int, guidance: float) -> Output:
    """The source through the model."""
    result = pipeline(
        example.source,
        pipeline.mel.sample_rate,
        target=example.instrument,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(example.seed),
    )
    return finish(result.audio, example, result.mel)


@torch.no_grad()
def play_decoded(example: Example, pipeline: StyleTransferPipeline) -> Output:
    """The true target through autoencoder and vocoder: the best that a perfect denoiser could do."""
    mel = waveform_to_mel(example.target[None].to(pipeline.device), pipeline.mel)
    decoded = pipeline.autoencoder.decode(pipeline.autoencoder.encode(mel))[..., : mel.shape[-1]]
    return finish(pipeline.synthesize(decoded)[0], example, decoded[0, 0])


@torch.no_grad()
def play_vocoded(example: Example, pipeline: StyleTransferPipeline) -> Output:
    """The true target's log-mel through the vocoder: the best that a perfect spectrogram could do."""
    mel = waveform_to_mel(example.target[None].to(pipeline.device), pipeline.mel)
    return finish(pipeline.synthesize(mel)[0], example, mel[0, 0])


def play_reconstructed(example: Example, config: MelConfig) -> Output:
    """The true target's log-mel through 32 iterations of Griffin-Lim: what the vocoder has to beat."""
    mel = waveform_to_mel(example.target[None], config)
    return finish(griffin_lim(mel, config)[0], example, mel[0, 0])


def play_target(example: Example) -> Output:
    """The true target itself: what the judges make of a perfect result."""
    return finish(example.target, example)


def build_rows(
    pipeline: StyleTransferPipeline, spectra: dict[str, torch.Tensor], steps: list[int], guidance: float
) -> dict[str, Row]:
    """Rows by name, in the order of the tables.

    Args:
        spectra: average spectrum of each target voice, (bins,).
        steps: denoising steps of the rows of our model.
    """
    transfers = {ours(n): partial(play_transfer, pipeline=pipeline, steps=n, guidance=guidance) for n in steps}
    return {
        IDENTITY: play_source,
        ENVELOPE: partial(play_equalised, spectra=spectra, config=pipeline.mel),
        **transfers,
        AUTOENCODER: partial(play_decoded, pipeline=pipeline),
        ORACLE: partial(play_vocoded, pipeline=pipeline),
        GRIFFIN_LIM: partial(play_reconstructed, config=pipeline.mel),
        TRUE_TARGET: play_target,
    }
