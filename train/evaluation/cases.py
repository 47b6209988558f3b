"""Test cases: a source clip, a target instrument, and the true target."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from stylediff.instruments import INSTRUMENT_NAMES, get_instrument
from stylediff.notes import Note
from train.data.manifest import ClipGroup, ClipRecord
from train.data.notes import clip_notes, notes_in_range


class Direction(NamedTuple):
    """An ordered pair of instruments, shown as "piano -> violin" in reports.

    Examples:
        >>> from train.evaluation.cases import Direction
        >>> str(Direction("piano", "violin"))
        'piano -> violin'
        >>> Direction.parse("piano -> violin").target
        'violin'
    """

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"

    @classmethod
    def parse(cls, text: str) -> "Direction":
        """Parse the name of a direction in a stored report."""
        return cls(*text.split(" -> "))


MAIN_PAIRS: tuple[Direction, ...] = (
    Direction("piano", "violin"),
    Direction("violin", "piano"),
    Direction("piano", "guitar"),
    Direction("piano", "harp"),
    Direction("piano", "trumpet"),
)
OTHER_PAIRS: tuple[Direction, ...] = tuple(
    Direction(*pair) for pair in itertools.permutations(INSTRUMENT_NAMES, 2) if pair not in MAIN_PAIRS
)


class CaseError(ValueError):
    """A data set without usable test cases.

    The message says what is missing.
    """


@dataclass(frozen=True)
class EvalCase:
    """A source clip and the same music in the target's voice.

    The test soundfont plays the source, the target's default voice the target.
    """

    group: ClipGroup
    source: ClipRecord
    target: ClipRecord

    @property
    def pair(self) -> Direction:
        return Direction(self.source.instrument, self.target.instrument)

    @property
    def key(self) -> str:
        return f"{self.group.index:06d} {self.pair}"

    def notes_within(self, seconds: float) -> tuple[Note, ...]:
        """Return the notes that the target plays within a clip."""
        playable = notes_in_range(self.group.notes, get_instrument(self.target.instrument))
        return clip_notes(playable, seconds)


@dataclass(frozen=True)
class CaseAudio:
    """Audio of a test case.

    Attributes:
        source, target: waveforms, (samples,) each, at the mel's sample rate.
        voice: voice of the target, ``instrument/soundfont-program``.
        seed: seed of the model's noise.
    """

    source: torch.Tensor
    target: torch.Tensor
    voice: str
    seed: int

    @property
    def instrument(self) -> str:
        """The target's instrument."""
        return self.voice.split("/")[0]


def find_cases(groups: list[ClipGroup], pair: Direction, count: int) -> list[EvalCase]:
    """Choose at most ``count`` cases of a pair, in a random order.

    A larger count extends the same order.
    """
    cases = []
    for group in groups:
        sources = [clip for clip in group.clips if clip.role == "source" and clip.instrument == pair[0]]
        targets = [clip for clip in group.clips if clip.role == "target" and clip.instrument == pair[1]]
        if sources and targets:
            cases.append(EvalCase(group, sources[0], targets[0]))
    stream = [INSTRUMENT_NAMES.index(name) for name in pair]
    order = np.random.default_rng(stream).permutation(len(cases))
    return [cases[number] for number in order[:count]]


def choose_cases(groups: list[ClipGroup], split: str, main_count: int, other_count: int) -> list[EvalCase]:
    """Choose cases of every ordered pair of instruments.

    The pairs take turns, so that every beginning of the list covers them evenly.

    Raises:
        CaseError: the split has no cases.
    """
    chosen = [group for group in groups if group.split == split]
    queues = [find_cases(chosen, pair, main_count) for pair in MAIN_PAIRS]
    queues += [find_cases(chosen, pair, other_count) for pair in OTHER_PAIRS]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*queues))
    cases = [case for case in turns if case is not None]
    if not cases:
        raise CaseError(f"the {split} split has no source clip with a target clip of the same music")
    return cases
