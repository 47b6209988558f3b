"""Settings of one conversion on the page: those of a transfer, its target, its seed, and a part of the clip."""

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.settings import SettingError, TransferSettings, declarations, declare

LARGEST_SEED = 2**31 - 1
LATEST_START_S = 86_400.0
# Settings by preset; None is up to the model.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"steps": 2, "guidance": 1.0},
    "balanced": {"steps": None, "guidance": 1.0},
    "best": {"steps": 20, "guidance": 1.0},
}


@dataclass(frozen=True, kw_only=True)
class Choices(TransferSettings):
    """Settings of one conversion.

    Attributes:
        target: an instrument.
        seed: of the noise.
        start_s, length_s: the part of the clip that is taken, seconds.
        like: weight of a reference clip's sound, where there is one, against the named instrument's.
    """

    target: str = declare("violin", choices=INSTRUMENT_NAMES)
    seed: int = declare(0, low=0, high=LARGEST_SEED)
    start_s: float = declare(0.0, low=0, high=LATEST_START_S)
    length_s: float = declare(10.0, low=0.5)
    like: float = declare(1.0, low=0, high=1)

    IS_SERVED: ClassVar[bool] = True

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Settings from a file that the page wrote.

        Raises:
            SettingError: not JSON, or not such settings.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingError("the settings file is not JSON") from error
        if not isinstance(values, dict) or not values.keys() & declarations(cls).keys():
            raise SettingError("the settings file holds none of this page's settings")
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
