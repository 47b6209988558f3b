"""The pipeline: waveform to latents, denoising, and back to a waveform."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.utils.torch_utils import randn_tensor

from stylediff.audio import AudioError, resample, to_mono
from stylediff.autoencoder import MelAutoencoder
from stylediff.bandwidth import FACTOR, BandExtender
from stylediff.denoiser import padded_frames
from stylediff.dynamics import follow_dynamics
from stylediff.enhancer import MelEnhancer
from stylediff.hub import local_folder
from stylediff.inpainter import Inpainter
from stylediff.mel import MelConfig, at_working_level, griffin_lim, is_sounding, normalized_mel, waveform_to_mel
from stylediff.mix_detector import MixDetector
from stylediff.output_sound import finish_sound, output_rate
from stylediff.public import public
from stylediff.sampling import choose_timesteps, starts_from_noise, take_step
from stylediff.settings import CONCERT_PITCH, START, VOICE, TransferSettings, check_recommended, takes_settings
from stylediff.style_encoder import StyleEncoder
from stylediff.transfer_output import StyleTransferOutput
from stylediff.tuning import estimate_tuning, transpose
from stylediff.upper_band import extend_band, measure_brightness, source_hint
from stylediff.vocoder import Vocoder
from stylediff.windows import map_windows

WINDOW_FRAMES, OVERLAP_FRAMES = 448, 128
OUTPUT_TYPES = ("pt", "np", "mel", "latent")


@public
class StyleTransferPipeline(DiffusionPipeline):
    """Pipeline that plays a clip of one instrument with another.

    The denoiser is conditioned on the source latents by channel concatenation and on the target by style tokens (after
    Huang et al. 2024, arXiv 2404.14771). Without a vocoder, Griffin-Lim makes the sound. Without an enhancer, decoded
    mels are not corrected.

    Args:
        recommended: by instrument, the ``voice`` that its plain name means, and values for settings that a user leaves
            open, as in ``{"piano": {"voice": "piano/GeneralUser-0", "temperature": 0.5}}``; saved with the model.

    Raises:
        ValueError: components that do not fit together, or an invalid recommendation.

    Examples:
        Random weights; ``stylediff.checkpoint.load_pipeline()`` loads trained ones.

        >>> import torch
        >>> from stylediff import MelAutoencoder, StyleEncoder, StyleTransferPipeline, Vocoder
        >>> from stylediff.denoiser import build_scheduler, build_unet
        >>> pipeline = StyleTransferPipeline(
        ...     autoencoder=MelAutoencoder(latent_channels=4, block_out_channels=(16, 16), layers_per_block=1),
        ...     unet=build_unet(channels=4, widths=(16, 16, 16), layers=1, head_width=8, token_width=16),
        ...     scheduler=build_scheduler(),
        ...     style_encoder=StyleEncoder(["piano/FluidR3-0", "violin/OPEN_small-40"], tokens=2, width=16),
        ...     vocoder=Vocoder(blocks=1, width=16),
        ... )
        >>> tone = 0.3 * torch.sin(0.1 * torch.arange(22050))
        >>> result = pipeline(tone, 22050, target="violin", num_inference_steps=2)
        >>> result.audio.shape, result.voice
        (torch.Size([22050]), 'violin/OPEN_small-40')
    """

    model_cpu_offload_seq = "autoencoder->style_encoder->unet->enhancer->vocoder->band_extender->mix_detector"
    _optional_components = ["vocoder", "enhancer", "band_extender", "mix_detector", "inpainter"]

    def __init__(  # noqa: PLR0913  one argument for each component
        self,
        autoencoder: MelAutoencoder,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        style_encoder: StyleEncoder,
        vocoder: Vocoder | None = None,
        enhancer: MelEnhancer | None = None,
        band_extender: BandExtender | None = None,
        mix_detector: MixDetector | None = None,
        inpainter: Inpainter | None = None,
        recommended: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        check_recommended(recommended or {})
        if recommended:
            self.register_to_config(recommended=recommended)
        optional = {"vocoder": vocoder, "enhancer": enhancer, "band_extender": band_extender}
        required = {"autoencoder": autoencoder, "unet": unet, "scheduler": scheduler, "style_encoder": style_encoder}
        self.register_modules(**required, **optional, mix_detector=mix_detector, inpainter=inpainter)
        listener = {} if style_encoder.reference is None else {"style encoder": style_encoder}
        for name, part in (optional | listener).items():
            if part is not None:
                self.mel.require_same(part.mel, f"the {name}")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> "StyleTransferPipeline":
        """Load a folder written by ``save_pretrained``, or a Hugging Face Hub id.

        diffusers refuses Hub ids whose components are defined elsewhere, so the model is downloaded first.

        Raises:
            OSError: neither a folder with a model nor a Hub id that can be reached.
        """
        return super().from_pretrained(local_folder(pretrained_model_name_or_path, kwargs), **kwargs)

    @property
    def mel(self) -> MelConfig:
        return self.autoencoder.mel

    @property
    def recommended(self) -> Mapping[str, Mapping[str, Any]]:
        """Voices and settings that the model recommends, by instrument."""
        return self.config.get("recommended") or {}

    def recommended_settings(self, target: str | torch.Tensor) -> Mapping[str, Any]:
        """Return the settings that the model recommends for a target.

        There are none for style tokens.
        """
        return self.recommended.get(target.split("/")[0], {}) if isinstance(target, str) else {}

    def choose_voice(self, target: str) -> str:
        """Return the voice that a target means.

        A voice means itself. An instrument means its recommended voice if the model has it, else its first voice.

        Raises:
            ValueError: unknown target; the message lists the instruments.
        """
        voices = self.style_encoder.config.voices
        recommended = self.recommended.get(target, {}).get(VOICE, target)
        return recommended if recommended in voices else voices[self.style_encoder.voice_index(target)]

    @property
    def window_columns(self) -> tuple[int, int]:
        """Latent columns of a window, and of the overlap of two windows."""
        return WINDOW_FRAMES // self.autoencoder.frame_stride, OVERLAP_FRAMES // self.autoencoder.frame_stride

    @takes_settings
    @torch.no_grad()
    def __call__(
        self,
        waveform: torch.Tensor | np.ndarray,
        sample_rate: int,
        target: str | torch.Tensor = "violin",
        *,
        generator: torch.Generator | None = None,
        output_type: str = "pt",
        callback_on_step_end: Callable[..., dict | None] | None = None,
        sampler: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None,
        brightness: torch.Tensor | None = None,
        **settings: Any,
    ) -> StyleTransferOutput:
        """Transfer one clip.

        Args:
            waveform: (samples,) or (channels, samples) in [-1, 1], of torch or NumPy; channels are mixed by power.
            sample_rate: Hz.
            target: an instrument (its default voice), a voice of ``style_encoder.config.voices``, or style tokens
                (1, tokens, width) from ``encode_target``, ``encode_reference`` or a ``torch.lerp`` of two of them.
            generator: random generator of the noise; the same seed gives the same samples.
            output_type: "pt" or "np" for audio; "mel" stops at the spectrogram, "latent" before decoding.
            callback_on_step_end: called as (pipeline, step, timestep, {"latents": ...}) after each step; the latents it
                returns, if any, replace the current ones.
            sampler: makes log-mel and latents instead, as ``stylediff.streaming.PartSampler`` does.
            brightness: of the target's upper band, from ``measure_brightness``.
            **settings: fields of ``stylediff.settings.TransferSettings``, the first two under diffusers' names:
                num_inference_steps and guidance_scale. ``TransferSettings.kwargs`` gives all of them.

        Raises:
            AudioError: a waveform that cannot be used.
            ValueError: another argument out of range.
        """
        self.check_inputs(target, output_type)
        used = TransferSettings.from_kwargs(settings).resolve(self.recommended_settings(target))
        mono, mono_rate = self.tuned_mono(waveform, sample_rate, used.tuning)
        used = self.fit(used, mono, target) if used.fit else used
        mono, gain = at_working_level(transpose(mono, self.mel.sample_rate, used.transpose))
        tokens = target if isinstance(target, torch.Tensor) else self.encode_target(target)
        if sampler is not None:
            source_mel, latents = sampler(self, mono, tokens, used, generator, (gain, mono_rate))
        else:
            source = self.encode_mel(source_mel := waveform_to_mel(mono[None], self.mel))
            start = (used.steps, used.strength, used.temperature, generator, used.refine_from)
            latents, timesteps = self.prepare_latents(source, *start)
            given = (latents, source, tokens, timesteps, used.guidance, used.temperature)
            latents = self.denoise(*given, callback_on_step_end)
        mel: Any = None
        audio: Any = None
        if output_type != "latent":
            mel = self.decode_latents(latents, source_mel.shape[-1])
            mel = self.enhance_mel(mel, source_mel) if used.enhance else mel
            mel = follow_dynamics(mel, source_mel, used.dynamics, self.mel)
            mel = mel if is_sounding(source_mel, self.mel) else torch.full_like(mel, self.mel.log_floor)
        if mel is not None and output_type != "mel":
            made, made_rate = self.synthesize(mel)[0], mono_rate
            if used.full_band and output_rate(used, sample_rate) > mono_rate:
                own = (torch.as_tensor(waveform), sample_rate, gain, mel.shape[-1], FACTOR * self.mel.sample_rate)
                hint = None if used.transpose else source_hint(*own)
                made, made_rate = self.extend_band(made, mel, hint, brightness), FACTOR * mono_rate
            audio = finish_sound(made, made_rate, gain, torch.as_tensor(waveform), sample_rate, used)
            audio = audio.cpu().numpy() if output_type == "np" else audio
        self.maybe_free_model_hooks()
        shown = None if mel is None else mel[0, 0]
        voice = self.choose_voice(target) if isinstance(target, str) else None
        return StyleTransferOutput(audio, output_rate(used, sample_rate), shown, source_mel[0, 0], latents, used, voice)

    def check_inputs(self, target: str | torch.Tensor, output_type: str = "pt") -> None:
        """Check ``target`` and ``output_type`` of ``__call__``.

        Raises:
            ValueError: an unknown target, style tokens of another shape, or an unknown output type.
        """
        config = self.style_encoder.config
        if isinstance(target, str):
            self.style_encoder.voice_index(target)
        elif target.shape != (wanted := (1, config.tokens, config.width)):
            raise ValueError(f"style tokens must be of shape {wanted}, got {tuple(target.shape)}")
        types = {part.dtype for part in self.components.values() if isinstance(part, torch.nn.Module)}
        if half := types & {torch.float16, torch.bfloat16}:
            raise ValueError(f"the pipeline computes in float32, not {half.pop()}; load it with dtype=torch.float32")
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type must be one of {', '.join(OUTPUT_TYPES)}, got {output_type!r}")

    def tuned_mono(
        self, waveform: torch.Tensor | np.ndarray, sample_rate: int, tuning: str = ""
    ) -> tuple[torch.Tensor, float]:
        """Mono waveform tuned to A = 440 Hz, and its rate.

        The networks know such notes alone. A clip in another tuning is played at another speed, and the result back.
        A result that shall be at 440 Hz is not: the clip's pitch is shifted at the same speed.
        """
        rate = self.mel.sample_rate
        mono = to_mono(waveform, sample_rate, rate)
        cents = estimate_tuning(mono, rate)
        if tuning == CONCERT_PITCH:
            return transpose(mono, rate, -cents / 100).to(self._execution_device), rate
        if cents:
            tuned_rate = rate * 2 ** (cents / 1200)
            return resample(mono, rate, tuned_rate).to(self._execution_device), tuned_rate
        return mono.to(self._execution_device), rate

    def fit(self, settings: TransferSettings, mono: torch.Tensor, target: str | torch.Tensor) -> TransferSettings:
        """Return settings that move the notes by octaves into the target's range.

        Raises:
            ValueError: the target is no instrument whose range is known.
        """
        if isinstance(target, torch.Tensor):
            raise ValueError("fit needs the name of an instrument, because the range of a clip's is not known")
        from stylediff.transcription import semitones_to_fit  # imports ONNX Runtime, for those who ask for it

        instrument = self.choose_voice(target).split("/")[0]
        return replace(settings, transpose=semitones_to_fit(mono, self.mel.sample_rate, instrument, settings.transpose))

    def encode_mel(self, mel: torch.Tensor) -> torch.Tensor:
        """Encode a log-mel, padded with silence to lengths the U-Net accepts.

        Latents have the shape (1, channels, rows, columns).
        """
        frames = padded_frames(mel.shape[-1], self.autoencoder.frame_stride)  # with silence at the end
        mel = torch.nn.functional.pad(mel, (0, frames - mel.shape[-1]), value=self.mel.log_floor)
        return map_windows(self.autoencoder.encode, mel, WINDOW_FRAMES, OVERLAP_FRAMES)

    @torch.no_grad()
    def encode_target(self, target: str) -> torch.Tensor:
        """Style tokens of a target, (1, tokens, width).

        Raises:
            ValueError: an unknown target.
        """
        index = self.style_encoder.voice_index(self.choose_voice(target))
        return self.style_encoder(torch.tensor([index], device=self._execution_device))

    @torch.no_grad()
    def encode_reference(self, waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
        """Style tokens of the instrument that plays a clip, (1, tokens, width).

        Args:
            waveform: (samples,) or (channels, samples) in [-1, 1]; at most the first ten seconds are used.

        Raises:
            AudioError, ValueError: a waveform that cannot be used or is silent; a model that takes no reference.
        """
        excerpt = waveform[..., : 10 * sample_rate]
        try:
            mono = to_mono(excerpt, sample_rate, self.mel.sample_rate).to(self._execution_device)
        except AudioError as error:
            raise AudioError(f"the reference clip cannot be used: {error}") from error
        mel, _ = normalized_mel(mono, self.mel)
        if float(mel.max()) <= self.mel.log_floor:
            message = "the reference clip is silent; use a clip in which the instrument plays"
            raise AudioError(message, "silent_reference")
        return self.style_encoder.encode_reference(mel)

    def prepare_latents(
        self,
        source: torch.Tensor,
        steps: int,
        strength: float,
        temperature: float,
        generator: torch.Generator | None,
        start: float = START,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the starting latents and the timesteps to run.

        The latents are noise, or the noised source if the strength is below 1.
        """
        timesteps = choose_timesteps(self.scheduler, steps, strength, source.device, start)
        if len(timesteps) == 0:
            return source, timesteps
        noise = randn_tensor(source.shape, generator, source.device, source.dtype)
        if starts_from_noise(self.scheduler, timesteps):
            return noise, timesteps
        return self.scheduler.add_noise(source, temperature * noise, timesteps[:1]), timesteps

    def denoise(
        self,
        latents: torch.Tensor,
        source: torch.Tensor,
        tokens: torch.Tensor,
        timesteps: torch.Tensor,
        guidance_scale: float,
        temperature: float,
        callback_on_step_end: Callable[..., dict | None] | None = None,
        mapping: Callable[..., torch.Tensor] = map_windows,
    ) -> torch.Tensor:
        """Run all timesteps from ``prepare_latents`` and return the final latents.

        See ``stylediff.sampling`` for the steps. A long clip is one diffusion: each step predicts overlapping windows
        and crossfades the predictions, so that neighbouring windows agree from the first step on (MultiDiffusion,
        Bar-Tal et al. 2023). ``mapping`` may also be ``map_ring``.
        """
        with self.progress_bar(total=len(timesteps)) as bar:
            for step, timestep in enumerate(timesteps):
                pair = torch.cat([latents, source], dim=1)
                fixed = {"timestep": timestep, "tokens": tokens, "guidance_scale": guidance_scale}
                velocity = mapping(partial(self.predict_velocity, **fixed), pair, *self.window_columns)
                latents = take_step(self.scheduler, velocity, timesteps, step, latents, temperature)
                if callback_on_step_end is not None:
                    changed = callback_on_step_end(self, step, timestep, {"latents": latents})
                    latents = (changed or {}).get("latents", latents)
                bar.update()
        return latents

    def predict_velocity(
        self, pair: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor, guidance_scale: float
    ) -> torch.Tensor:
        """Predict the velocity of noisy latents.

        ``pair`` is (1, 2 * channels, rows, columns), noisy latents and source latents.
        """
        if guidance_scale == 1.0:
            return self.unet(pair, timestep, tokens, return_dict=False)[0]
        null = self.style_encoder(torch.full((1,), -1, device=tokens.device))
        both = self.unet(pair.repeat(2, 1, 1, 1), timestep, torch.cat([null, tokens]), return_dict=False)[0]
        without, with_style = both.chunk(2)
        return without + guidance_scale * (with_style - without)

    def decode_latents(self, latents: torch.Tensor, frames: int) -> torch.Tensor:
        """Log-mel of latents, (1, 1, mels, frames)."""
        return map_windows(self.autoencoder.decode, latents, *self.window_columns)[..., :frames]

    def enhance_mel(self, mel: torch.Tensor, source_mel: torch.Tensor) -> torch.Tensor:
        """Enhance a generated log-mel, if there is an enhancer.

        Both log-mels have the shape (1, 1, mels, frames).
        """
        if self.enhancer is None:
            return mel
        pair = torch.cat([mel, source_mel], dim=1)
        return map_windows(lambda both: self.enhancer(*both.chunk(2, dim=1)), pair, WINDOW_FRAMES, OVERLAP_FRAMES)

    def is_mix(self, waveform: torch.Tensor | np.ndarray, sample_rate: int) -> bool:
        """Return True if several instruments seem to play; False without a detector."""
        detector = self.mix_detector
        return detector is not None and detector.hears_mix(self.style_encoder, waveform, sample_rate)

    def synthesize(self, mel: torch.Tensor) -> torch.Tensor:
        """Synthesize waveforms (batch, frames * hop_length) from log-mels.

        Without a vocoder, Griffin-Lim is used.
        """
        return griffin_lim(mel, self.mel) if self.vocoder is None else self.vocoder(mel)

    def measure_brightness(self, waveform: torch.Tensor, sample_rate: int) -> torch.Tensor | None:
        """Brightness of a reference clip; None without an upper band."""
        return None if self.band_extender is None else measure_brightness(self.band_extender, waveform, sample_rate)

    def extend_band(self, waveform: torch.Tensor, mel: torch.Tensor, *hints: torch.Tensor | None) -> torch.Tensor:
        """Extend a band as ``stylediff.upper_band.extend_band`` does."""
        return extend_band(self.band_extender, waveform, mel, *hints)
