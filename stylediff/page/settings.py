"""Settings of one conversion on the page."""

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from stylediff.containers import LOSSLESS, LOSSY
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.uploads import MAX_SECONDS
from stylediff.settings import AUTO, Setting, SettingError, TransferSettings, declarations, declare

FORMATS = tuple(ending[1:] for ending in (*LOSSLESS, *LOSSY))
LARGEST_SEED = 2**31 - 1
LATEST_START_S = 86_400.0
# Settings by preset; None leaves a setting to the model.
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
        seed: seed of the noise.
        start_s, length_s: part of the clip to convert, in seconds.
        like: weight of the reference clip, if there is one, against the named instrument.
        format, subtype: of the result that the API returns; the subtype is the bits of a sample.
    """

    target: str = declare("violin", choices=INSTRUMENT_NAMES)
    seed: int = declare(0, low=0, high=LARGEST_SEED)
    start_s: float = declare(0.0, low=0, high=LATEST_START_S)
    length_s: float = declare(float(MAX_SECONDS), low=0.5)
    like: float = declare(1.0, low=0, high=1)
    format: str = declare(FORMATS[0], choices=FORMATS)
    subtype: str = declare("16", choices=LOSSLESS[".wav"])

    IS_SERVED: ClassVar[bool] = True

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read settings from a file that the page wrote.

        Raises:
            SettingError: not JSON, or without settings of the page.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingError("the settings file is not JSON", "not_json") from error
        if not isinstance(values, dict) or not values.keys() & declarations(cls).keys():
            raise SettingError("the settings file contains none of this page's settings", "none_of_these")
        return cls.from_dict(values)


def control_value(setting: Setting, value: Any) -> Any:
    """Value that a control shows for a setting's value."""
    if not setting.is_auto:
        return value
    nothing = "" if setting.kind in (int, float) else AUTO
    return nothing if value is None else str(value).lower()


def show_choices(values: dict[str, Any]) -> dict[str, Any]:
    """Convert settings to the values that their controls show.

    The length is limited to the longest clip that the page converts.
    """
    settings = declarations(Choices)
    shown = {name: control_value(settings[name], value) for name, value in values.items()}
    return shown | ({"length_s": min(shown["length_s"], MAX_SECONDS)} if "length_s" in shown else {})


def sample_seed() -> int:
    return secrets.randbelow(LARGEST_SEED)


def safe_name(name: str) -> str:
    """Shorten a name and keep only letters, digits, - and _."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name[:40])


def file_stem(source: str, target: str, seed: int) -> str:
    """Short name of a result, such as ``piano_to_violin_seed1``.

    It begins with the instrument if the source's name begins with one, otherwise with the source's name.

    Args:
        target: an instrument, or the name of a reference clip.
    """
    first_word = re.split(r"[\W_]", source.lower())[0]
    known = first_word if first_word in INSTRUMENT_NAMES else None
    return whole_stem(known or source, target, seed)


def whole_stem(source: str, target: str, seed: int) -> str:
    """Name of a result with the full name of its source."""
    return f"{safe_name(source) or 'clip'}_to_{safe_name(target)}_seed{seed}"
