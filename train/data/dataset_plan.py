"""Plan of a data set: the excerpts and their voices.

All random choices are reproducible.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stylediff.instruments import Instrument
from stylediff.mel import MelConfig
from train.data.excerpts import Excerpt, ScoreError, cut_excerpt, random_excerpt
from train.data.manifest import SPLIT_SHARES, piece_split
from train.data.notes import playable_by
from train.data.performance import roll_chords
from train.data.soundfonts import Preset

TARGETS, OTHER_TARGETS, SOURCES = 3, 3, 2  # clips per training excerpt: default voices, other voices, degraded
RANDOM_SHARE = 0.05
ROLLED_SHARE, ROLL_S = 0.15, (0.02, 0.12)  # share of excerpts with rolled chords, and the spread of a chord
INSTRUMENT_WEIGHTS = {"piano": 2.0, "violin": 2.0}
MAX_DRAWS = 500


@dataclass(frozen=True)
class Plan:
    """Settings that a worker needs to make an excerpt.

    Attributes:
        voices: presets of the training soundfonts by voice.
        test_voices: the same for the test soundfont.
        excerpts, test_excerpts: numbers of excerpts; test excerpts have the first indices.
    """

    groups: dict[str, list[Path]]
    voices: dict[str, Preset]
    test_voices: dict[str, Preset]
    out: Path
    samples: int
    excerpts: int
    test_excerpts: int
    seed: int
    mel: MelConfig = MelConfig()

    @property
    def seconds(self) -> float:
        return self.samples / self.mel.sample_rate

    def split_of(self, index: int) -> str:
        if index < self.test_excerpts:
            return "test"
        return "validation" if index < self.test_excerpts + self.validation_excerpts else "train"

    @property
    def validation_excerpts(self) -> int:
        return max(1, round(SPLIT_SHARES["validation"] / 2 * self.excerpts))

    def voices_of(self, instrument: Instrument) -> list[str]:
        """Voices of an instrument, the default voice first.

        If the default is missing, the first voice found comes first.
        """
        names = [name for name in self.voices if name.split("/")[0] == instrument.name]
        return sorted(names, key=lambda name: name != instrument.default_voice)


def sample_excerpt(plan: Plan, split: str, rng: np.random.Generator) -> Excerpt:
    """Sample an excerpt of the split for three or more instruments.

    The probability of a folder grows as the square root of its number of pieces.

    Raises:
        ScoreError: no usable excerpt was found, because the split has too few or too short scores.
    """
    names = list(plan.groups)
    weights = np.sqrt([len(plan.groups[name]) for name in names])
    problem = ""
    for _ in range(MAX_DRAWS):
        if split == "train" and rng.random() < RANDOM_SHARE:
            excerpt: Excerpt | None = random_excerpt(plan.seconds, rng)
        else:
            folder = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            path = plan.groups[folder][int(rng.integers(len(plan.groups[folder])))]
            piece = f"{folder}/{path.name}"
            if piece_split(piece) != split:
                continue
            try:
                excerpt = cut_excerpt(path, piece, plan.seconds, rng)
            except ScoreError as error:
                problem = f"; {error}"
                continue
        if excerpt is not None and rng.random() < ROLLED_SHARE:
            rolled = tuple(roll_chords(excerpt.notes, float(rng.uniform(*ROLL_S))))
            excerpt = replace(excerpt, notes=rolled)
        if excerpt is not None and len(usable_instruments(plan, excerpt)) >= 3:
            return excerpt
    raise ScoreError(f"no usable excerpt for the {split} split in {MAX_DRAWS} attempts{problem}")


def usable_instruments(plan: Plan, excerpt: Excerpt) -> list[Instrument]:
    return [instrument for instrument in playable_by(excerpt.notes) if plan.voices_of(instrument)]


def sample_roles(plan: Plan, excerpt: Excerpt, split: str, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Choose (voice, role) of each clip of an excerpt.

    Training excerpts have seven clips. Test and validation excerpts have each playable instrument in its default voice.
    Test excerpts add the test soundfont's voices as sources; validation excerpts add another training voice per
    instrument.
    """
    playable = usable_instruments(plan, excerpt)
    defaults = [plan.voices_of(instrument)[0] for instrument in playable]
    if split == "test":
        names = {instrument.name for instrument in playable}
        first_of: dict[str, str] = {}
        for voice in plan.test_voices:
            first_of.setdefault(voice.split("/")[0], voice)
        sources = [voice for name, voice in first_of.items() if name in names]
        return [(voice, "target") for voice in defaults] + [(voice, "source") for voice in sources]
    others = [voice for instrument in playable for voice in plan.voices_of(instrument)[1:]]
    if split == "validation":
        drawn = rng.permutation(others)[: len(defaults)].tolist() if others else []
        return [(voice, "target") for voice in defaults + drawn]
    others_of = Counter(voice.split("/")[0] for voice in others)
    weights = np.array([INSTRUMENT_WEIGHTS.get(instrument.name, 1.0) for instrument in playable])
    count = min(TARGETS, len(defaults))
    chosen = rng.choice(len(defaults), size=count, replace=False, p=weights / weights.sum())
    roles = [(defaults[int(i)], "target") for i in chosen]
    missing = TARGETS + OTHER_TARGETS - count
    shares = [INSTRUMENT_WEIGHTS.get(name, 1.0) / others_of[name] for name in (voice.split("/")[0] for voice in others)]
    missing = min(missing, len(others))
    if missing:
        drawn = rng.choice(others, size=missing, replace=False, p=np.array(shares) / sum(shares))
        roles += [(str(voice), "target") for voice in drawn]
    everything = defaults + others
    return roles + [(everything[int(rng.integers(len(everything)))], "source") for _ in range(SOURCES)]
