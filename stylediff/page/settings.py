"""What a visitor chooses: the settings of one conversion, as JSON and as a link's query string."""

import json
import re
import secrets
from dataclasses import asdict, dataclass, fields
from typing import Any

from stylediff.dynamics import DYNAMICS
from stylediff.instruments import INSTRUMENT_NAMES, get_instrument
from stylediff.sampling import STEPS

MAX_STEPS, MAX_GUIDANCE = 50, 4.0
LARGEST_SEED = 2**31 - 1
LATEST_START_S = 86_400.0
PRESETS = {"fast": (2, 1.0), "balanced": (STEPS, 1.0), "best": (20, 1.0)}  # steps, guidance


class ChoiceError(ValueError):
    """Settings that cannot be used; the message names the first that is wrong."""


def read_value(kind: type, name: str, value: Any) -> Any:
    """A setting's value of its kind, from JSON or from a query string.

    Raises:
        ChoiceError: of another kind.
    """
    if kind is str:
        return str(value)
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ChoiceError(f"{name} must be true or false, got {value!r}")
        return str(value).lower() == "true"
    try:
        return kind(float(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ChoiceError(f"{name} must be a number, got {value!r}") from error


@dataclass(frozen=True)
class Choices:
    """Settings of one conversion.

    Attributes:
        target: an instrument.
        steps: DDIM steps.
        guidance: guidance scale; 1 is off.
        strength: 0 keeps the source, 1 starts from noise.
        seed: of the noise.
        start_s, length_s: the part of the clip that is taken, seconds.
        like: weight of a reference clip's sound, where there is one, against the named instrument's.
        dynamics: how far the output's loudness follows the clip's.
        enhance: whether the generated spectrogram is corrected.
    """

    target: str = "violin"
    steps: int = STEPS
    guidance: float = 1.0
    strength: float = 1.0
    seed: int = 0
    start_s: float = 0.0
    length_s: float = 10.0
    like: float = 1.0
    dynamics: float = DYNAMICS
    enhance: bool = True

    def __post_init__(self) -> None:
        try:
            get_instrument(self.target)
        except ValueError as error:
            raise ChoiceError(str(error)) from error
        limits = {
            "steps": (1, MAX_STEPS),
            "guidance": (1, MAX_GUIDANCE),
            "strength": (0, 1),
            "seed": (0, LARGEST_SEED),
            "start_s": (0, LATEST_START_S),
            "length_s": (0.5, float("inf")),
            "like": (0, 1),
            "dynamics": (0, 1),
        }
        for name, (lowest, highest) in limits.items():
            if not lowest <= getattr(self, name) <= highest:
                raise ChoiceError(f"{name} must be {lowest:g} to {highest:g}, got {getattr(self, name):g}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Choices":
        """Settings from JSON or from a query string; what is not named keeps its default, what is unknown is ignored.

        Raises:
            ChoiceError: a value of the wrong kind or out of range.
        """
        kinds = {field.name: type(field.default) for field in fields(cls)}
        return cls(**{name: read_value(kind, name, values[name]) for name, kind in kinds.items() if name in values})

    @classmethod
    def from_values(cls, *values: Any) -> "Choices":
        """Settings in the order of the fields, as they come from the page or a program; as ``from_dict``."""
        return cls.from_dict(dict(zip((field.name for field in fields(cls)), values, strict=True)))

    @classmethod
    def from_json(cls, text: str) -> "Choices":
        """Settings from a file that the page wrote.

        Raises:
            ChoiceError: not JSON, or not such settings.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ChoiceError("the settings file is not JSON") from error
        if not isinstance(values, dict) or not values.keys() & {field.name for field in fields(cls)}:
            raise ChoiceError("the settings file holds none of this page's settings")
        return cls.from_dict(values)


def sample_seed() -> int:
    return secrets.randbelow(LARGEST_SEED)


def safe_name(name: str) -> str:
    """A name shortened, of letters, digits, - and _ alone."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name[:40])


def file_stem(source: str, target: str, seed: int) -> str:
    """Name of a result, as ``piano_to_violin_seed1``.

    An instrument that is the first word of the source's name stands for it; otherwise the name itself does.

    Args:
        target: an instrument, or the name of a reference clip.
    """
    first_word = re.split(r"[\W_]", source.lower())[0]
    known = first_word if first_word in INSTRUMENT_NAMES else None
    return whole_stem(known or source, target, seed)


def whole_stem(source: str, target: str, seed: int) -> str:
    """Name of a result, with the whole of its source's."""
    return f"{safe_name(source) or 'clip'}_to_{safe_name(target)}_seed{seed}"
