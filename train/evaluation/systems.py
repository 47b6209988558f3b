"""The systems an evaluation compares, its rows: ours, what one can do without a model, and what bounds them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from stylediff import StyleTransferPipeline
from stylediff.audio import fit_length
from stylediff.mel import MelConfig, griffin_lim, waveform_to_mel
from stylediff.settings import TransferSettings, declarations, show_value
from train.data.soundfonts import Preset, Synthesizer
from train.data.transcription import NoteJudge
from train.evaluation.cases import Example

IDENTITY = "identity"
ENVELOPE = "spectral envelope"
AUTOENCODER = "autoencoder"
ORACLE = "oracle"
GRIFFIN_LIM = "oracle, Griffin-Lim"
TRANSCRIBED = "transcribed, replayed"
REGRESSION = "regression, one pass"
TRUE_TARGET = "true target"

GAIN_LIMIT_DB = 30.0
EQUALISER_OCTAVES = 1 / 3


def short_time_transform(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Complex spectrogram (n_fft // 2 + 1, frames) of a waveform (samples,), which ``torch.istft`` inverts."""
    window = torch.hann_window(config.n_fft)
    return torch.stft(waveform, config.n_fft, config.hop_length, window=window, return_complex=True)


def average_spectrum(waveforms: list[torch.Tensor], config: MelConfig) -> torch.Tensor:
    """Mean power of waveforms (samples,) in each bin of the transform, (n_fft // 2 + 1,)."""
    return torch.stack([short_time_transform(w, config).abs().square().mean(1) for w in waveforms]).mean(0)


def smooth_octaves(power: torch.Tensor, octaves: float) -> torch.Tensor:
    """A power spectrum (bins,) averaged over a window as wide as that share of an octave around each bin."""
    bins = torch.arange(len(power))
    reach = 2 ** (octaves / 2)
    low = (bins / reach).ceil().long()
    high = (bins * reach).floor().long().clamp_max(len(power) - 1) + 1
    total = torch.nn.functional.pad(power.double().cumsum(0), (1, 0))
    return ((total[high] - total[low]) / (high - low)).to(power)


def match_envelope(waveform: torch.Tensor, target_spectrum: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """The waveform equalised to another average spectrum: what one could do without any model.

    Every bin is scaled by the ratio of the two average spectra, as Ma, Reiss and Black (2013) equalise to a target,
    but smoothed as by a third-octave equaliser and limited to 30 dB either way; phases are kept. Narrower or wider
    smoothing comes less close to the target on average.

    Args:
        waveform: (samples,).
        target_spectrum: (n_fft // 2 + 1,) from ``average_spectrum``.

    Returns:
        (samples,).
    """
    transform = short_time_transform(waveform, config)
    source = smooth_octaves(transform.abs().square().mean(1), EQUALISER_OCTAVES)
    ratio = smooth_octaves(target_spectrum, EQUALISER_OCTAVES) / source.clamp_min(1e-20)
    limit = 10 ** (GAIN_LIMIT_DB / 20)
    gain = ratio.sqrt().clamp(1 / limit, limit)
    window = torch.hann_window(config.n_fft)
    return torch.istft(transform * gain[:, None], config.n_fft, config.hop_length, window=window, length=len(waveform))


# What a system makes of an example: (samples,) at the mel's sample rate, as long as the target.
Row = Callable[[Example], torch.Tensor]

# A synthesizer and its program for each voice that can be played.
Players = dict[str, tuple[Synthesizer, Preset]]


def ours(steps: int | None = None, **others: Any) -> str:
    """Name of the row of our model with these fields of ``TransferSettings``; those at their defaults are left out."""
    settings = TransferSettings(**({"steps": steps} | others))
    parts = ["default"] if settings.steps is None else [f"{settings.steps} steps"]
    for name, setting in declarations(TransferSettings).items():
        value = getattr(settings, name)
        if name != "steps" and value not in (None, setting.default):
            # Published results are stored under these names.
            parts.append("not enhanced" if name == "enhance" else f"{name} {show_value(value)}")
    return ", ".join(["ours", *parts])


def play_source(example: Example) -> torch.Tensor:
    """The source unchanged: what a model has to beat."""
    return fit_length(example.source, len(example.target))


def play_equalised(example: Example, spectra: dict[str, torch.Tensor], config: MelConfig) -> torch.Tensor:
    """The source equalised to the average spectrum of the target's voice."""
    return fit_length(match_envelope(example.source, spectra[example.voice], config), len(example.target))


def play_transcribed(example: Example, judge: NoteJudge, players: Players) -> torch.Tensor:
    """The source's notes as basic-pitch hears them, played by the target's own soundfont: the way of a sequencer."""
    notes = judge.listen(example.source).notes
    synthesizer, preset = players[example.voice]
    return torch.from_numpy(synthesizer.render(notes, preset, len(example.target), {})).float()


def play_transfer(example: Example, pipeline: StyleTransferPipeline, settings: TransferSettings) -> torch.Tensor:
    """The source through the model."""
    result = pipeline(
        example.source,
        pipeline.mel.sample_rate,
        target=example.instrument,
        generator=torch.Generator().manual_seed(example.seed),
        **settings.kwargs(),
    )
    return fit_length(result.audio.cpu(), len(example.target))


@torch.no_grad()
def play_decoded(example: Example, pipeline: StyleTransferPipeline) -> torch.Tensor:
    """The true target through autoencoder and vocoder: the best that a perfect denoiser could do."""
    mel = waveform_to_mel(example.target[None].to(pipeline.device), pipeline.mel)
    decoded = pipeline.autoencoder.decode(pipeline.autoencoder.encode(mel))[..., : mel.shape[-1]]
    return fit_length(pipeline.synthesize(decoded)[0].cpu(), len(example.target))


@torch.no_grad()
def play_vocoded(example: Example, pipeline: StyleTransferPipeline) -> torch.Tensor:
    """The true target's log-mel through the vocoder: the best that a perfect spectrogram could do."""
    mel = waveform_to_mel(example.target[None].to(pipeline.device), pipeline.mel)
    return fit_length(pipeline.synthesize(mel)[0].cpu(), len(example.target))


def play_reconstructed(example: Example, config: MelConfig) -> torch.Tensor:
    """The true target's log-mel through 32 iterations of Griffin-Lim: what the vocoder has to beat."""
    mel = waveform_to_mel(example.target[None], config)
    return fit_length(griffin_lim(mel, config)[0], len(example.target))


def play_target(example: Example) -> torch.Tensor:
    """The true target itself: what the judges make of a perfect result."""
    return example.target


def build_rows(
    pipeline: StyleTransferPipeline,
    spectra: dict[str, torch.Tensor],
    players: Players,
    regression: StyleTransferPipeline | None,
    samplings: tuple[TransferSettings, ...],
) -> dict[str, Row]:
    """Rows by name, in the order of the tables.

    Args:
        spectra: average spectrum of each target voice, (bins,).
        players: of every target voice, or none: the row that needs them is then left out.
        regression: the same network trained to map source to target in one pass, if there is one.
        samplings: settings of each row of our model.
    """
    transfers = {ours(**one.to_dict()): partial(play_transfer, pipeline=pipeline, settings=one) for one in samplings}
    replayed = {TRANSCRIBED: partial(play_transcribed, judge=NoteJudge(), players=players)} if players else {}
    trained_as = TransferSettings(steps=1)
    one_pass = {REGRESSION: partial(play_transfer, pipeline=regression, settings=trained_as)} if regression else {}
    return {
        IDENTITY: play_source,
        ENVELOPE: partial(play_equalised, spectra=spectra, config=pipeline.mel),
        **replayed,
        **one_pass,
        **transfers,
        AUTOENCODER: partial(play_decoded, pipeline=pipeline),
        ORACLE: partial(play_vocoded, pipeline=pipeline),
        GRIFFIN_LIM: partial(play_reconstructed, config=pipeline.mel),
        TRUE_TARGET: play_target,
    }
