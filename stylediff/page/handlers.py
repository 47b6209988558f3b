"""Event handlers: conversions as streams of page updates."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch

from stylediff.audio import read_audio, to_mono
from stylediff.mel import MelConfig, normalized_mel
from stylediff.page.clip_notes import Marks, mark_notes, write_notes
from stylediff.page.conversions import Converter, Heard, Step
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.examples import example_label, result_settings
from stylediff.page.kept_runs import KeptRuns, Updates
from stylediff.page.live_sound import LiveSound
from stylediff.page.player import Shown, player_value, player_words
from stylediff.page.result_files import draw_preview, louder_by_db, write_files, write_picture
from stylediff.page.sentences import describe_result
from stylediff.page.settings import Choices, sample_seed, show_choices
from stylediff.page.status import DRAWING, READING, SOUND_S, clear_on_error, show_status, show_step
from stylediff.page.takes import keep_take, read_take
from stylediff.page.temp_folders import name_of
from stylediff.page.translations import words_for
from stylediff.page.uploads import MAX_SECONDS, REFERENCE_S, Clip, load_clip
from stylediff.pipeline import StyleTransferOutput
from stylediff.plotting import brightest, change_image, colour_image
from stylediff.transcription import transcribe

CONTROLS = ("target", "steps", "guidance", "strength", "seed", "start_s", "length_s")  # that an example sets
RUN_OUTPUTS = ("status", "player", "seed", "live")
OUTPUTS = ("status", "player", "source", "preset", *CONTROLS)


def fill(updates: Updates, outputs: tuple[str, ...] = RUN_OUTPUTS) -> tuple[Any, ...]:
    """Return updates in the order of outputs.

    Outputs that are not named are not changed.
    """
    return tuple(updates.get(name, gr.skip()) for name in outputs)


def readable(name: str) -> str:
    """Name of a file without underscores."""
    return name.replace("_", " ")


def draw_lanes(source: torch.Tensor, mel: torch.Tensor, config: MelConfig) -> tuple[np.ndarray, ...]:
    """Draw the lanes of a player: input, result and difference.

    The first two share one colour scale.
    """
    frames = min(source.shape[-1], mel.shape[-1])
    top = brightest([source, mel], config)
    change = change_image(source[:, :frames], mel[:, :frames], config)
    return colour_image(source, top), colour_image(mel, top), change


@dataclass(frozen=True)
class Compared:
    """An example beside its shipped result.

    Attributes:
        clip: the example.
        pictures: lanes of the player.
        notes: marks on one of the lanes.
        gain_db: by how much the result is louder.
    """

    clip: Clip
    pictures: tuple[np.ndarray, ...]
    notes: Marks
    gain_db: float


@dataclass(frozen=True)
class Submission:
    """Values of the page's inputs when a button is pressed.

    Attributes:
        source: path of the clip; empty if there is none.
        choices: the components' values by field of ``Choices``.
        draws_seed: True for a new seed.
        is_matching: True if a reference clip is the target.
        reference: path of that clip; empty if there is none.
        more: further instruments that play the clip after the first.
        visitor: name under which the result is kept; empty if it is not.
    """

    source: str
    choices: dict[str, Any]
    draws_seed: bool = False
    is_matching: bool = False
    reference: str = ""
    more: tuple[str, ...] = ()
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

    def read_all(self) -> list[Choices]:
        """Return the settings of each conversion, the chosen instrument's first.

        Errors are those of ``read``.
        """
        first = self.read()
        more = () if self.is_matching else dict.fromkeys(name for name in self.more if name != first.target)
        return [first, *(replace(first, target=name) for name in more)]


class Handlers:
    """Handlers of the page's buttons.

    Attributes:
        converter: function that converts a clip.
        mel: configuration of its spectrograms.
        player: component that shows results.
        examples: shipped results by example clip.
        kept: conversions of the last visitors.
    """

    def __init__(self, converter: Converter, player: gr.HTML, examples: dict[Path, Path]) -> None:
        self.converter = converter
        self.mel = converter.pipeline.mel
        self.player = player
        self.examples = examples
        self.kept = KeptRuns()
        self.compared: dict[Path, Compared] = {}  # examples that were shown before

    def convert(self, submission: Submission, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Convert a clip and yield updates at every step."""
        words = words_for(request.headers.get("accept-language"))
        updates = self.kept.start(submission.visitor).follow(self.run(submission, words))
        yield from clear_on_error(map(fill, updates), len(RUN_OUTPUTS))

    def restore(self, visitor: str) -> Iterator[tuple[Any, ...]]:
        """Show the conversion of a visitor whose page was loaded again."""
        run = self.kept.find(visitor)
        for updates in run.await_updates() if run else [{}]:
            yield fill(updates)

    def run(self, submission: Submission, words: dict[str, str]) -> Iterator[Updates]:
        """Convert a clip, for one instrument after another; errors are sentences."""
        with as_gradio_errors(words):
            every = [self.converter.resolve(choices, submission.is_matching) for choices in submission.read_all()]
            yield {"status": show_status(words["reading"], READING), "seed": every[0].seed}
            started = time.monotonic()
            clip = load_clip(submission.source, every[0].start_s, every[0].length_s)
            reference = load_clip(submission.reference, 0.0, REFERENCE_S) if submission.is_matching else None
            source_mel = cache(partial(self.normalize, torch.from_numpy(clip.samples), clip.sample_rate))
            for number, choices in enumerate(every, start=1):
                live = LiveSound(self.player, words)
                yield {"live": live.value()}
                which = f"{number}/{len(every)} {words[choices.target]}: " if len(every) > 1 else ""
                with closing(self.converter(clip, choices, reference, shows_previews=True)) as events:
                    for event in events:
                        if isinstance(event, Step):
                            picture = "" if event.mel is None else draw_preview(source_mel(), event.mel, self.mel)
                            yield {"status": show_step(event, words, 1 + SOUND_S * clip.seconds, picture, which)}
                        elif isinstance(event, Heard):
                            live.add(event)
                            yield {"live": live.value()}
                        else:
                            yield {"live": live.value(has_ended=True)}
                            yield from self.show_output(clip, event, choices, reference, words, started)

    def show_output(
        self,
        clip: Clip,
        output: StyleTransferOutput,
        choices: Choices,
        reference: Clip | None,
        words: dict[str, str],
        started: float,
    ) -> Iterator[Updates]:
        """Yield updates of the sound, then of the picture to download."""
        choices = replace(choices, transpose=output.settings.transpose)  # as it was fitted
        files = write_files(clip, output.audio, output.sample_rate, choices, output.voice, reference)
        target = (
            words[choices.target] if reference is None else words["like_clip"].format(name=readable(reference.name))
        )
        shown = Shown(
            title=f"{readable(clip.name)} → {target}",
            target=target,
            sounds=(files.source, files.flac),
            pictures=draw_lanes(output.source_mel, output.mel, self.mel),
            seconds=clip.seconds,
            gain_db=louder_by_db(clip, output.audio, output.sample_rate, self.mel),
            files={"WAV": files.wav, "FLAC": files.flac, "MP3": files.mp3, words["settings"]: files.settings},
            facts=describe_result(clip, choices, output.voice, words, self.mel),
            take=name_of(files.wav.parent),
        )
        value = player_value(self.player, shown, words)
        yield {"player": value, "status": show_status(words["drawing"], DRAWING)}
        write_picture(files.picture, output.source_mel, output.mel, (words["input"], target), self.mel)
        notes = transcribe(clip.samples, clip.sample_rate)
        write_notes(files.midi, clip, notes, choices.target if reference is None else "")
        moved = output.settings.transpose
        marks = tuple(mark_notes(notes, clip.seconds, self.mel, semitones) for semitones in (0, moved))
        more = {"MIDI": files.midi, words["picture"]: files.picture}
        value = player_value(self.player, replace(shown, files=shown.files | more, notes=marks), words)
        keep_take(files.wav.parent, value)
        done = words["done"].format(seconds=f"{time.monotonic() - started:.1f}")
        yield {"player": value, "status": show_status(done)}

    def normalize(self, waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
        """Return the log-mel (mels, frames) of a waveform at working loudness."""
        mel, _ = normalized_mel(to_mono(waveform, sample_rate, self.mel.sample_rate), self.mel)
        return mel[0, 0]

    def compare(self, path: Path) -> Compared:
        """Compare an example with its shipped result, once."""
        if path not in self.compared:
            clip = load_clip(path, 0.0, MAX_SECONDS)
            samples, sample_rate = read_audio(self.examples[path])
            audio = torch.from_numpy(samples)
            mels = (
                self.normalize(torch.from_numpy(clip.samples), clip.sample_rate),
                self.normalize(audio, sample_rate),
            )
            gain_db = louder_by_db(clip, audio, sample_rate, self.mel)
            notes = mark_notes(transcribe(clip.samples, clip.sample_rate), clip.seconds, self.mel)
            self.compared[path] = Compared(clip, draw_lanes(*mels, self.mel), notes, gain_db)
        return self.compared[path]

    def example_value(self, path: Path, words: dict[str, str], is_arrival: bool = False) -> dict[str, Any]:
        """Value of the player that shows an example with its shipped result."""
        compared, result = self.compare(path), self.examples[path]
        target, seed = result_settings(result)
        choices = self.converter.resolve(Choices(target=target, seed=seed))
        voice = self.converter.pipeline.choose_voice(target)
        shown = Shown(
            title=example_label(path, result, words),
            target=words[target],
            sounds=(path, result),
            pictures=compared.pictures,
            seconds=compared.clip.seconds,
            gain_db=compared.gain_db,
            files={"FLAC": result},
            facts=describe_result(compared.clip, choices, voice, words, self.mel),
            notes=(compared.notes, compared.notes),
            is_arrival=is_arrival,
        )
        return player_value(self.player, shown, words)

    def show_example(self, path: Path, request: gr.Request) -> tuple[Any, ...]:
        """Show an example, its shipped result and what made it."""
        words = words_for(request.headers.get("accept-language"))
        target, seed = result_settings(self.examples[path])
        usual = Choices(target=target, seed=seed)
        updates = {"status": "", "source": str(path), "player": self.example_value(path, words), "preset": "balanced"}
        return fill(updates | show_choices(usual.to_dict()), OUTPUTS)

    def example_handler(self, path: Path) -> Callable[[gr.Request], tuple[Any, ...]]:
        """Return the handler of an example's button."""

        def show(request: gr.Request) -> tuple[Any, ...]:
            return self.show_example(path, request)

        return show

    def arrive(self, request: gr.Request) -> tuple[Any, ...]:
        """Show the take that a link names, or an example."""
        words = words_for(request.headers.get("accept-language"))
        if take := request.query_params.get("take"):
            with as_gradio_errors(words):
                return fill({"player": read_take(take) | {"words": player_words(words)}}, OUTPUTS)
        if not self.examples:
            return fill({}, OUTPUTS)
        first = next((path for path in self.examples if path.stem.startswith("piano")), next(iter(self.examples)))
        return fill({"source": str(first), "player": self.example_value(first, words, is_arrival=True)}, OUTPUTS)
