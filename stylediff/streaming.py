"""Transfer in parts: a clip can be heard while it is made.

A step needs a window of the step before, not all of it. So the windows of all steps are computed in waves: the first
latents are final after a few windows. The latents are the same, to the bit, as those of a step after another.

    step 1   1  2  4  7 11
    step 2      3  5  8 12        order of the windows
    step 3         6  9 13
    step 4           10 14
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from diffusers.utils.torch_utils import randn_tensor

from stylediff.denoiser import padded_frames
from stylediff.mel import stream_mel
from stylediff.pipeline import StyleTransferPipeline
from stylediff.sampling import choose_timesteps, starts_from_noise, take_step
from stylediff.settings import TransferSettings
from stylediff.vocoder import LOOSE_FRAMES, SHARED_FRAMES
from stylediff.windows import Buffer, crossfade, stream_windows, window_starts

FIRST_FRAMES, MOST_FRAMES = 160, 640  # of the first part that is heard, and of later ones
CONTEXT_COLUMNS = 8  # on each side of decoded latents, as much as decoded windows share


@dataclass(frozen=True)
class Part:
    """Progress of a transfer, perhaps with sound.

    Attributes:
        done, total: windows that the networks have seen, and will have seen.
        audio: (samples,) that follow those of the part before; None for most parts. It is a preview: mono, without
            upper band, room and dynamics.
        sample_rate: Hz of the audio.
    """

    done: int
    total: int
    audio: torch.Tensor | None
    sample_rate: float


Callback = Callable[[Part], bool | None]


@dataclass(frozen=True)
class PartSampler:
    """Sampler of a pipeline that reports parts.

    Args:
        callback: gets each part. It returns False when no more sound is wanted.

    Examples:
        >>> from stylediff.streaming import PartSampler
        >>> def listen(part):
        ...     print(part.done, "of", part.total, part.audio is not None)
        >>> sampler = PartSampler(listen)  # pipeline(waveform, sample_rate, target="violin", sampler=sampler)
    """

    callback: Callback

    def __call__(
        self,
        pipeline: StyleTransferPipeline,
        waveform: torch.Tensor,
        tokens: torch.Tensor,
        settings: TransferSettings,
        generator: torch.Generator | None,
        level: tuple[float, float],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make the log-mel and the final latents of a clip.

        Args:
            waveform: the clip at the model's rate and level, (samples,).
            tokens: style tokens of the target.
            settings: with a value for each.
            level: gain of the clip, and sample rate of its sound in Hz.

        Returns:
            (1, 1, mels, frames) and (1, channels, rows, columns).
        """
        frames, stride = pipeline.mel.frames(len(waveform)), pipeline.autoencoder.frame_stride
        source_mel = waveform.new_empty(1, 1, pipeline.mel.n_mels, frames)
        total = padded_frames(frames, stride)
        columns = total // stride
        timesteps = choose_timesteps(
            pipeline.scheduler, settings.steps, settings.strength, waveform.device, settings.refine_from
        )
        windows = len(window_starts(columns, *pipeline.window_columns))
        counter = Counter((1 + len(timesteps)) * windows, level[1], self.callback)
        preview = Preview(pipeline, source_mel, settings.enhance)
        whole = Buffer()
        padded = pad_pieces(stream_mel(waveform[None], pipeline.mel), source_mel, total, pipeline.mel.log_floor)
        for piece in stream_latents(pipeline, padded, columns, tokens, settings, timesteps, generator, counter):
            whole.append(piece)
            if counter.wants_sound:
                for sound in preview.add(piece, is_last=whole.end == columns):
                    counter.report(sound / level[0])
        return source_mel, whole.held


def pad_pieces(
    pieces: Iterable[torch.Tensor], source_mel: torch.Tensor, total: int, silence: float
) -> Iterator[torch.Tensor]:
    """Yield the log-mel of a clip in pieces, then silence.

    Args:
        source_mel: gets the pieces, (1, 1, mels, frames).
        total: frames with the silence.
        silence: its value.
    """
    done = 0
    for piece in pieces:
        source_mel[..., done : done + piece.shape[-1]] = piece
        done += piece.shape[-1]
        yield piece
    yield source_mel.new_full((*source_mel.shape[:-1], total - done), silence)


@dataclass
class Counter:
    """Counter of windows that reports each to a callback."""

    total: int
    sample_rate: float
    callback: Callback
    done: int = 0
    wants_sound: bool = True

    def report(self, audio: torch.Tensor | None = None) -> None:
        answer = self.callback(Part(self.done, self.total, audio, self.sample_rate))
        self.wants_sound = self.wants_sound and answer is not False

    def count(self, function: Callable[[torch.Tensor], torch.Tensor], signal: torch.Tensor) -> torch.Tensor:
        """Apply a function and count it."""
        result = function(signal)
        self.done += 1
        self.report()
        return result


def stream_latents(
    pipeline: StyleTransferPipeline,
    padded: Iterable[torch.Tensor],
    columns: int,
    tokens: torch.Tensor,
    settings: TransferSettings,
    timesteps: torch.Tensor,
    generator: torch.Generator | None,
    counter: Counter,
) -> Iterator[torch.Tensor]:
    """Yield the final latents of a padded log-mel in consecutive pieces.

    Args:
        padded: consecutive pieces of the log-mel.
        columns: of the latents of all.
    """
    stride, (window, overlap) = pipeline.autoencoder.frame_stride, pipeline.window_columns
    shape = (1, pipeline.autoencoder.channels, pipeline.autoencoder.latent_rows, columns)
    noise = randn_tensor(shape, generator, tokens.device, tokens.dtype) if len(timesteps) else torch.empty(0)
    source = Buffer()

    def encoded() -> Iterator[torch.Tensor]:
        encode = partial(counter.count, pipeline.autoencoder.encode)
        for piece in stream_windows(encode, padded, columns * stride, window * stride, overlap * stride):
            source.append(piece)
            yield piece

    def started() -> Iterator[torch.Tensor]:
        for piece in encoded():
            drawn = noise[..., source.end - piece.shape[-1] : source.end]
            if starts_from_noise(pipeline.scheduler, timesteps):
                yield drawn
            else:
                yield pipeline.scheduler.add_noise(piece, settings.temperature * drawn, timesteps[:1])

    def stepped(number: int, pieces: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        predict = partial(
            pipeline.predict_velocity, timestep=timesteps[number], tokens=tokens, guidance_scale=settings.guidance
        )
        held = Buffer()

        def pairs() -> Iterator[torch.Tensor]:
            for piece in pieces:
                held.append(piece)
                yield torch.cat([piece, source.read(held.end - piece.shape[-1], held.end)], dim=1)

        for velocity in stream_windows(partial(counter.count, predict), pairs(), columns, window, overlap):
            last = held.start + velocity.shape[-1]
            latents = held.read(held.start, last)
            held.drop_until(last)
            yield take_step(pipeline.scheduler, velocity, timesteps, number, latents, settings.temperature)

    if not len(timesteps):
        return encoded()
    stream = started()
    for number in range(len(timesteps)):
        stream = stepped(number, stream)
    return stream


class Preview:
    """Sound of latents that come in pieces.

    Phases continue from part to part, as between the vocoder's windows.
    """

    def __init__(self, pipeline: StyleTransferPipeline, source_mel: torch.Tensor, enhance: bool | None) -> None:
        self.pipeline, self.source_mel, self.enhance = pipeline, source_mel, enhance
        self.latents = Buffer()
        self.made = 0  # frames
        self.known: torch.Tensor | None = None
        self.tail = torch.empty(0)

    def add(self, piece: torch.Tensor, *, is_last: bool) -> Iterator[torch.Tensor]:
        """Yield the sound that more latents allow, (samples,) each."""
        self.latents.append(piece)
        if self.pipeline.vocoder is None:
            return
        stride, frames = self.pipeline.autoencoder.frame_stride, self.source_mel.shape[-1]
        ready = frames if is_last else (self.latents.end - CONTEXT_COLUMNS) * stride
        margin = 0 if is_last else SHARED_FRAMES + LOOSE_FRAMES
        while self.made < frames and (is_last or ready - margin - self.made >= self.least):
            last = min(self.made + MOST_FRAMES, ready - margin)
            last = frames if is_last and frames - last < FIRST_FRAMES else last
            yield self.synthesize(last, min(frames, last + SHARED_FRAMES + LOOSE_FRAMES))

    @property
    def least(self) -> int:
        """Frames that the next part has at least."""
        return MOST_FRAMES if self.made else FIRST_FRAMES

    def synthesize(self, last: int, seen: int) -> torch.Tensor:
        """Sound from the frame that is reached up to another.

        Args:
            last: frame after the last one that is heard.
            seen: frame after the last one that the vocoder sees.
        """
        stride, hop = self.pipeline.autoencoder.frame_stride, self.pipeline.mel.hop_length
        first_column = max(0, self.made // stride - CONTEXT_COLUMNS)
        last_column = min(self.latents.end, -(-seen // stride) + CONTEXT_COLUMNS)
        shown = slice(first_column * stride, first_column * stride + (last_column - first_column) * stride)
        mel = self.pipeline.decode_latents(
            self.latents.read(first_column, last_column), min(shown.stop, self.source_mel.shape[-1]) - shown.start
        )
        if self.enhance:
            mel = self.pipeline.enhance_mel(mel, self.source_mel[..., shown])
        self.latents.drop_until(max(0, last // stride - CONTEXT_COLUMNS))
        mel = mel[..., self.made - shown.start : seen - shown.start]
        waveform, phasors = self.pipeline.vocoder.synthesize_window(mel, self.known)
        if self.tail.numel():
            waveform = crossfade(self.tail, waveform, self.tail.shape[-1])
        heard = last - self.made
        self.known = phasors[..., heard : heard + SHARED_FRAMES]
        self.tail = waveform[..., heard * hop : (heard + SHARED_FRAMES) * hop]
        self.made = last
        return waveform[0, : heard * hop]
