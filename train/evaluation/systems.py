"""Compared systems: the model, baselines, and upper bounds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from stylediff import StyleTransferPipeline
from stylediff.audio import fit_length
from stylediff.mel import MelConfig, griffin_lim, waveform_to_mel
from stylediff.room import ROOM
from stylediff.settings import TransferSettings, declarations, show_value
from train.data.soundfonts import Preset, Synthesizer
from train.data.transcription import NoteTranscriber
from train.evaluation.cases import CaseAudio

IDENTITY = "identity"
ENVELOPE = "spectral envelope"
AUTOENCODER = "autoencoder"
ORACLE = "oracle"
GRIFFIN_LIM = "oracle, Griffin-Lim"
TRANSCRIBED = "transcribed, replayed"
REGRESSION = "regression, one pass"
TRUE_TARGET = "true target"

# The default: the model's recommendations for the target, but no room, because the true targets have none.
DEFAULT = TransferSettings(room=ROOM)

GAIN_LIMIT_DB = 30.0
EQUALISER_OCTAVES = 1 / 3


def short_time_transform(waveform: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Complex spectrogram for ``torch.istft``.

    A waveform (samples,) becomes (n_fft // 2 + 1, frames).
    """
    window = torch.hann_window(config.n_fft)
    return torch.stft(waveform, config.n_fft, config.hop_length, window=window, return_complex=True)


def average_spectrum(waveforms: list[torch.Tensor], config: MelConfig) -> torch.Tensor:
    """Mean power of waveforms per bin, (n_fft // 2 + 1,)."""
    return torch.stack([short_time_transform(w, config).abs().square().mean(1) for w in waveforms]).mean(0)


def smooth_octaves(power: torch.Tensor, octaves: float) -> torch.Tensor:
    """Smooth a power spectrum (bins,) over a fraction of an octave."""
    bins = torch.arange(len(power))
    reach = 2 ** (octaves / 2)
    low = (bins / reach).ceil().long()
    high = (bins * reach).floor().long().clamp_max(len(power) - 1) + 1
    total = torch.nn.functional.pad(power.double().cumsum(0), (1, 0))
    return ((total[high] - total[low]) / (high - low)).to(power)


def match_envelope(waveform: torch.Tensor, target_spectrum: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Equalise a waveform to another average spectrum.

    Every bin is scaled by the ratio of the two average spectra, as in Ma, Reiss and Black (2013), but the ratio is
    smoothed over a third of an octave and limited to 30 dB either way. Phases are kept. Narrower and wider smoothing
    both gave larger errors on average.

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


@dataclass(frozen=True)
class System:
    """A compared system.

    Attributes:
        name: its name in tables and stored results.
        settings: settings of the model; None for a baseline or a bound.

    Examples:
        >>> from stylediff.settings import TransferSettings
        >>> from train.evaluation.systems import model_system
        >>> system = model_system(TransferSettings(steps=8, enhance=False))
        >>> system.name, system.is_model
        ('ours, 8 steps, not enhanced', True)
    """

    name: str
    settings: TransferSettings | None = None

    @property
    def is_model(self) -> bool:
        """True for the model at any settings."""
        return self.settings is not None


# returns the output for a case: (samples,) at the mel's sample rate, as long as the target
Run = Callable[[CaseAudio], torch.Tensor]

# a synthesizer and its program for each voice
Players = dict[str, tuple[Synthesizer, Preset]]


def model_name(steps: int | None = None, **others: Any) -> str:
    """Name of the model with its settings that are not the default."""
    settings = TransferSettings.from_dict({"steps": steps} | others)
    parts = ["default"] if settings.steps is None else [f"{settings.steps} steps"]
    for name, setting in declarations(TransferSettings).items():
        value = getattr(settings, name)
        if name != "steps" and value not in (None, setting.default):
            # published results are stored under these names
            parts.append("not enhanced" if name == "enhance" else f"{name} {show_value(value)}")
    return ", ".join(["ours", *parts])


def model_system(settings: TransferSettings) -> System:
    """The model at some settings, as a system."""
    return System(model_name(**settings.to_dict()), settings)


def run_identity(audio: CaseAudio) -> torch.Tensor:
    """Return the unchanged source, which a model should beat."""
    return fit_length(audio.source, len(audio.target))


def run_equalizer(audio: CaseAudio, spectra: dict[str, torch.Tensor], config: MelConfig) -> torch.Tensor:
    """Equalise the source to the average spectrum of the target's voice."""
    return fit_length(match_envelope(audio.source, spectra[audio.voice], config), len(audio.target))


def run_transcription(audio: CaseAudio, transcriber: NoteTranscriber, players: Players) -> torch.Tensor:
    """Play basic-pitch's transcription with the target's soundfont."""
    notes = transcriber.transcribe(audio.source).notes
    synthesizer, preset = players[audio.voice]
    return torch.from_numpy(synthesizer.render(notes, preset, len(audio.target), {})).float()


def run_model(audio: CaseAudio, pipeline: StyleTransferPipeline, settings: TransferSettings) -> torch.Tensor:
    """Transfer the source with the model.

    The voice is the true target's if the model has it, else the default of the instrument.
    """
    result = pipeline(
        audio.source,
        pipeline.mel.sample_rate,
        target=audio.voice if audio.voice in pipeline.style_encoder.config.voices else audio.instrument,
        generator=torch.Generator().manual_seed(audio.seed),
        **settings.kwargs(),
    )
    return fit_length(result.audio.cpu(), len(audio.target))


@torch.no_grad()
def run_autoencoder(audio: CaseAudio, pipeline: StyleTransferPipeline) -> torch.Tensor:
    """Pass the true target through autoencoder and vocoder.

    This is the upper bound for a perfect denoiser.
    """
    mel = waveform_to_mel(audio.target[None].to(pipeline.device), pipeline.mel)
    decoded = pipeline.autoencoder.decode(pipeline.autoencoder.encode(mel))[..., : mel.shape[-1]]
    return fit_length(pipeline.synthesize(decoded)[0].cpu(), len(audio.target))


@torch.no_grad()
def run_vocoder(audio: CaseAudio, pipeline: StyleTransferPipeline) -> torch.Tensor:
    """Pass the true target's log-mel through the vocoder.

    This is the upper bound for a perfect log-mel.
    """
    mel = waveform_to_mel(audio.target[None].to(pipeline.device), pipeline.mel)
    return fit_length(pipeline.synthesize(mel)[0].cpu(), len(audio.target))


def run_griffin_lim(audio: CaseAudio, config: MelConfig) -> torch.Tensor:
    """Pass the true target's log-mel through 32 Griffin-Lim iterations.

    This is the baseline for the vocoder.
    """
    mel = waveform_to_mel(audio.target[None], config)
    return fit_length(griffin_lim(mel, config)[0], len(audio.target))


def run_target(audio: CaseAudio) -> torch.Tensor:
    """Return the true target, which shows the scores of a perfect result."""
    return audio.target


def build_systems(
    pipeline: StyleTransferPipeline,
    spectra: dict[str, torch.Tensor],
    players: Players,
    regression: StyleTransferPipeline | None,
    variants: tuple[TransferSettings, ...],
) -> dict[System, Run]:
    """Build the systems in the order of the tables, with their functions.

    Args:
        spectra: average spectra by target voice, (bins,) each.
        players: synthesizers by target voice, or none, which leaves out the replayed transcription.
        regression: pipeline trained as one-step regression, or None.
        variants: settings of the model; each is one system.
    """
    runs: dict[System, Run] = {
        System(IDENTITY): run_identity,
        System(ENVELOPE): partial(run_equalizer, spectra=spectra, config=pipeline.mel),
    }
    if players:
        runs[System(TRANSCRIBED)] = partial(run_transcription, transcriber=NoteTranscriber(), players=players)
    if regression is not None:
        trained_as = replace(DEFAULT, steps=1)
        runs[System(REGRESSION)] = partial(run_model, pipeline=regression, settings=trained_as)
    for settings in variants:
        runs[model_system(settings)] = partial(run_model, pipeline=pipeline, settings=settings)
    return runs | {
        System(AUTOENCODER): partial(run_autoencoder, pipeline=pipeline),
        System(ORACLE): partial(run_vocoder, pipeline=pipeline),
        System(GRIFFIN_LIM): partial(run_griffin_lim, config=pipeline.mel),
        System(TRUE_TARGET): run_target,
    }
