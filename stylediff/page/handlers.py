"""Event handlers: conversions as streams of page updates."""

import html
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import torch

from stylediff.audio import read_audio, to_mono
from stylediff.mel import MelConfig, normalized_mel
from stylediff.page.conversions import Converter, Step
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.examples import result_settings
from stylediff.page.kept_runs import KeptRuns, Updates
from stylediff.page.player import player_value
from stylediff.page.result_files import ResultFiles, louder_by_db, plot_preview, show_facts, style_name, write_files
from stylediff.page.settings import Choices, sample_seed
from stylediff.page.translations import words_for
from stylediff.page.uploads import MAX_SECONDS, Clip, load_clip
from stylediff.pipeline import StyleTransferOutput
from stylediff.plotting import brightest, difference_figure, drawable, spectrogram_figure

LOG = logging.getLogger(__name__)
LAST_STEP_SECONDS = 1.0
OUTPUTS = ("status", "output", "player", "side", "slider", "difference", "seed", "files", "facts", "result")


def fill(updates: Updates) -> tuple[Any, ...]:
    """Return updates in the order of the page's outputs.

    Outputs that are not named are not changed.
    """
    return tuple(updates.get(name, gr.skip()) for name in OUTPUTS)


def show_status(text: str, share: float | None = None) -> str:
    """Return the status line with a progress bar."""
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}" aria-label="{html.escape(text)}"></progress>'
    return f'<div class="status" role="status">{bar}<span>{html.escape(text)}</span></div>'


def show_step(step: Step, words: dict[str, str]) -> str:
    """Return the status line of a running step."""
    text = words["step"].format(number=step.number, total=step.total, seconds=f"{step.seconds_left:.0f}")
    return show_status(text, step.number / step.total)


def connect_stop(stop: gr.Button, runs: list[Any], status: gr.HTML) -> None:
    """Make a button end runs.

    gradio cancels once a listener is done, so the text has a listener of its own.
    """
    stop.click(None, None, None, cancels=runs, queue=False, api_visibility="private")
    stop.click(say_stopped, None, status, concurrency_limit=None, api_visibility="private")


def say_stopped(request: gr.Request) -> Iterator[str]:
    """Say "stopped" twice, since a running step may report in between.

    The same text again would not be sent.
    """
    status = show_status(words_for(request.headers.get("accept-language"))["stopped"])
    yield status
    time.sleep(LAST_STEP_SECONDS)
    yield f"{status}<!-- again -->"


@dataclass(frozen=True)
class Submission:
    """Values of the page's inputs when a button is pressed.

    Attributes:
        source: path of the clip; empty if there is none.
        choices: the components' values by field of ``Choices``.
        draws_seed: True for a new seed.
        is_matching: True if a reference clip is the target.
        reference: path of that clip; empty if there is none.
        visitor: name under which the result is kept; empty if it is not.
    """

    source: str
    choices: dict[str, Any]
    draws_seed: bool = False
    is_matching: bool = False
    reference: str = ""
    visitor: str = ""

    def read(self) -> Choices:
        """Return the conversion's settings; an empty seed or start is 0.

        Raises:
            ValueError: an invalid value, or a missing clip.
        """
        if not self.source:
            raise PageError("no_clip")
        if self.is_matching and not self.reference:
            raise PageError("no_reference")
        empty = {name: 0 for name in ("seed", "start_s") if self.choices.get(name) is None}
        seed = {"seed": sample_seed()} if self.draws_seed else {}
        return Choices.from_dict(self.choices | empty | seed)


class Handlers:
    """Handlers of the page's buttons.

    Attributes:
        converter: function that converts a clip.
        mel: configuration of its spectrograms.
        player: component that compares input and output.
        examples: shipped results, by the stem of the example clip.
        kept: conversions of the last visitors.
    """

    def __init__(self, converter: Converter, mel: MelConfig, player: gr.HTML, examples: dict[str, Path]) -> None:
        self.converter = converter
        self.mel = mel
        self.player = player
        self.examples = examples
        self.kept = KeptRuns()

    def convert(self, submission: Submission, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Convert a clip and yield updates at every step."""
        words = words_for(request.headers.get("accept-language"))
        has_status = False
        try:
            for updates in self.kept.start(submission.visitor).follow(self.run(submission, words)):
                yield fill(updates)
                has_status = True
        except gr.Error:
            if has_status:
                yield fill({"status": ""})
            raise

    def restore(self, visitor: str) -> Iterator[tuple[Any, ...]]:
        """Show the conversion of a visitor whose page was loaded again."""
        run = self.kept.find(visitor)
        for updates in run.await_updates() if run else [{}]:
            yield fill(updates)

    def run(self, submission: Submission, words: dict[str, str]) -> Iterator[Updates]:
        """Convert a clip; errors are sentences."""
        with as_gradio_errors(words):
            choices = self.converter.resolve(submission.read(), submission.is_matching)
            yield {"status": show_status(words["reading"], 0), "seed": choices.seed}
            started = time.monotonic()
            clip = load_clip(submission.source, choices.start_s, choices.length_s)
            reference = load_clip(submission.reference, 0.0, MAX_SECONDS) if submission.is_matching else None
            for note in clip.notes(words):
                gr.Warning(note)
            source_mel = self.normalize(torch.from_numpy(clip.samples), clip.sample_rate)
            with closing(self.converter(clip, choices, reference, shows_previews=True)) as events:
                for event in events:
                    if isinstance(event, Step):
                        yield self.show_step(event, source_mel, words)
                    else:
                        yield from self.show_output(clip, event, choices, reference, words, started)

    def show_step(self, step: Step, source_mel: torch.Tensor, words: dict[str, str]) -> Updates:
        is_last = step.number == step.total
        updates: Updates = {"status": show_status(words["vocoding"], 1) if is_last else show_step(step, words)}
        if step.mel is not None:
            updates["side"] = plot_preview(source_mel, step.mel, self.mel)
        return updates

    def show_output(
        self,
        clip: Clip,
        output: StyleTransferOutput,
        choices: Choices,
        reference: Clip | None,
        words: dict[str, str],
        started: float,
    ) -> Iterator[Updates]:
        """Yield updates of the sound, then of the pictures."""
        files = write_files(clip, output.audio, output.sample_rate, choices, output.voice, reference)
        gain_db = louder_by_db(clip, output.audio, output.sample_rate, self.mel)
        seconds = f"{time.monotonic() - started:.1f}"
        yield self.show_files(files, gain_db, words) | {"status": show_status(words["drawing"], 1)}
        updates = self.show_pictures(output.source_mel, output.mel, style_name(choices, reference), words)
        updates["facts"] = show_facts(clip, choices, output.voice, self.mel)
        yield updates | {"status": show_status(words["done"].format(seconds=seconds))}

    def show_files(self, files: ResultFiles, gain_db: float, words: dict[str, str]) -> Updates:
        value = player_value(self.player, files.source, files.wav, gain_db, words)
        wav, others = str(files.wav), [str(files.flac), str(files.settings)]
        return {"output": wav, "result": wav, "player": value, "files": others}

    def show_pictures(self, source: torch.Tensor, mel: torch.Tensor, target: str, words: dict[str, str]) -> Updates:
        """Plot both spectrograms: side by side, as a slider, and their difference.

        They share one colour scale.
        """
        top = brightest([source, mel], self.mel)
        names = (drawable(words["input"].lower(), "input"), drawable(target, "output"))
        pair = (
            spectrogram_figure([source], names[:1], self.mel, top, "left"),
            spectrogram_figure([mel], names[1:], self.mel, top, "right"),
        )
        return {
            "side": spectrogram_figure([source, mel], names, self.mel, top),
            "slider": pair,
            "difference": difference_figure(source, mel, self.mel),
        }

    def normalize(self, waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
        """Return the log-mel (mels, frames) of a waveform at working loudness."""
        mel, _ = normalized_mel(to_mono(waveform, sample_rate, self.mel.sample_rate), self.mel)
        return mel[0, 0]

    def show_example(self, path: str, request: gr.Request) -> tuple[Any, ...]:
        """Show an example with its shipped result."""
        words = words_for(request.headers.get("accept-language"))
        result = self.examples[Path(path).stem]
        clip = load_clip(path, 0.0, MAX_SECONDS)
        samples, sample_rate = read_audio(result)
        audio = torch.from_numpy(samples)
        target, seed = result_settings(result)
        choices = self.converter.resolve(Choices(target=target, seed=seed, length_s=MAX_SECONDS))
        voice = self.converter.pipeline.choose_voice(target)
        mel = self.normalize(audio, sample_rate)
        source_mel = self.normalize(torch.from_numpy(clip.samples), clip.sample_rate)
        files = write_files(clip, audio, sample_rate, choices, voice)
        updates = self.show_files(files, louder_by_db(clip, audio, sample_rate, self.mel), words)
        updates |= self.show_pictures(source_mel, mel, target, words)
        facts = show_facts(clip, choices, voice, self.mel)
        return fill(updates | {"status": "", "seed": choices.seed, "facts": facts})
