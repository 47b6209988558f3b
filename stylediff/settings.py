"""Settings of a transfer, each declared once.

Pipeline, command line, page, API and evaluation derive theirs from here.
"""

import argparse
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeVar

from stylediff.errors import ReasonedError
from stylediff.instruments import get_instrument
from stylediff.room import ROOM, ROOMS

# Measured on validation pairs, see docs/decisions: 09-sampling.md, 10-four-steps.md and 11-dynamics.md.
STEPS = 4
TEMPERATURE = 0.3
DYNAMICS = 0.25
CLIP_TUNING, CONCERT_PITCH = "clip", "concert"
CLIP_RATE, RATES = "clip", ("22050", "44100", "48000")
START = 0.5  # share of the training's noise levels
MAX_STEPS = 500  # for more, the noise levels that refining starts from are too few

AUTO = "auto"  # means None in JSON, links and commands
LEFT_TO_THE_MODEL = (None, AUTO, "")
VOICE = "voice"  # key of the voice that a model recommends beside settings

Function = TypeVar("Function", bound=Callable[..., Any])
Settings = TypeVar("Settings", bound="CheckedSettings")


class SettingError(ReasonedError):
    """An invalid setting.

    The message names the setting and the values allowed.
    Its translation is ``setting_REASON`` in the page's texts.
    """


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Declaration of one setting.

    Attributes:
        default: default value, which also determines the type.
        summary: one line for the command line.
        low, high: smallest and largest value of a number.
        high_served: largest value that page and API accept, if it is smaller.
        step: step of its slider on the page.
        choices: allowed values of a text, in the order of the page.
        is_auto: True if None means the model's recommendation for the target, or ``default`` if there is none.
        argument: name as an argument of the pipeline, where diffusers uses another.
        is_shown: False for a setting without a control on the page.
    """

    default: Any
    summary: str = ""
    low: float = -math.inf
    high: float = math.inf
    high_served: float = math.inf
    step: float | None = None
    choices: tuple[str, ...] = ()
    is_auto: bool = False
    argument: str = ""
    is_shown: bool = True

    @property
    def kind(self) -> type:
        """Type of the setting's values."""
        return type(self.default)

    def read(self, name: str, value: Any, is_served: bool = False) -> Any:
        """Convert a value to the setting's type and check it.

        The value may come from Python, JSON, a link or a command line.

        Args:
            name: name of the setting, for errors.
            is_served: True for the range that page and API accept.

        Raises:
            SettingError: the value has another type, is out of range, or is not one of the choices.
        """
        if self.is_auto and value in LEFT_TO_THE_MODEL:
            return None
        if self.kind is str:
            if value not in self.choices:
                choices, got = ", ".join(self.choices), repr(value)
                message = f"{name} must be one of {choices}, got {got}"
                raise SettingError(message, "not_offered", name=name, choices=choices, got=got)
            return value
        if self.kind is bool:
            if str(value).lower() not in ("true", "false"):
                message = f"{name} must be true or false, got {value!r}"
                raise SettingError(message, "not_a_flag", name=name, got=repr(value))
            return str(value).lower() == "true"
        return self.read_number(name, value, min(self.high, self.high_served) if is_served else self.high)

    def read_number(self, name: str, value: Any, high: float) -> int | float:
        """Return a number of the setting's type, at most ``high``.

        Errors are those of ``read``.
        """
        values = {"name": name, "got": repr(value)}
        if self.kind is int:
            refusal = SettingError(f"{name} must be a whole number, got {value!r}", "not_whole", **values)
        else:
            refusal = SettingError(f"{name} must be a number, got {value!r}", "not_a_number", **values)
        if isinstance(value, bool):
            raise refusal
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise refusal from error
        if not self.low <= number <= high:
            values = {"name": name, "low": f"{self.low:g}", "high": f"{high:.10g}", "got": f"{number:.10g}"}
            if math.isinf(high):
                message = f"{name} must be at least {self.low:g}, got {number:.10g}"
                raise SettingError(message, "too_low", **values)
            message = f"{name} must be {self.low:g} to {high:.10g}, got {number:.10g}"
            raise SettingError(message, "out_of_range", **values)
        if self.kind is int and not number.is_integer():
            raise refusal
        return self.kind(number)

    def parameter(self, name: str, kind: Any) -> inspect.Parameter:
        """Return the parameter of a function that takes the setting.

        ``kind`` is one of the kinds of ``inspect.Parameter``.
        """
        annotation = self.kind | None if self.is_auto else self.kind
        return inspect.Parameter(name, kind, default=None if self.is_auto else self.default, annotation=annotation)


def declare(default: Any, summary: str = "", **declaration: Any) -> Any:
    """Declare a dataclass field that is a setting.

    The arguments are those of ``Setting``.
    """
    setting = Setting(default=default, summary=summary, **declaration)
    return field(default=None if setting.is_auto else default, metadata={"setting": setting})


def declarations(cls: type) -> dict[str, Setting]:
    """Settings that a dataclass declares, by name and in order."""
    return {field.name: field.metadata["setting"] for field in fields(cls)}


@dataclass(frozen=True, kw_only=True)
class CheckedSettings:
    """Settings that are checked when an instance is made.

    Text is converted.

    Raises:
        SettingError: a value that cannot be used.
    """

    IS_SERVED: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, setting in declarations(type(self)).items():
            object.__setattr__(self, name, setting.read(name, getattr(self, name), self.IS_SERVED))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return settings by name.

        Missing names get defaults; unknown names are ignored.

        Raises:
            SettingError: a value that cannot be used.
        """
        return cls(**{name: values[name] for name in declarations(cls) if name in values})

    def to_dict(self) -> dict[str, Any]:
        """Values by name."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TransferSettings(CheckedSettings):
    """Settings of one transfer.

    A setting that a model may recommend is None until ``resolve`` fills it in. Values are checked when an instance is
    made, and converted if they are text.

    Raises:
        SettingError: an invalid value.

    Examples:
        >>> from stylediff.settings import TransferSettings
        >>> settings = TransferSettings(steps="8").resolve({"temperature": 1.0})
        >>> settings.steps, settings.temperature, settings.room
        (8, 1.0, 'dry')
    """

    steps: int = declare(
        STEPS,
        "denoising steps: one prediction, then DDIM steps that refine it",
        low=1,
        high=MAX_STEPS,
        high_served=50,
        step=1,
        is_auto=True,
        argument="num_inference_steps",
    )
    guidance: float = declare(
        1.0,
        "classifier-free guidance; 1 is off and twice as fast",
        low=1,
        high_served=4,
        step=0.25,
        argument="guidance_scale",
    )
    strength: float = declare(
        1.0,
        "how much is regenerated: 0 keeps the source, 1 starts from noise",
        low=0,
        high=1,
        step=0.05,
    )
    temperature: float = declare(
        TEMPERATURE,
        "scale of the noise: less is smoother and more accurate, more is livelier",
        low=0,
        high=1,
        step=0.05,
        is_auto=True,
    )
    refine_from: float = declare(
        START,
        "share of the noise levels at which refinement starts; lower keeps more of the first guess",
        low=0.05,
        high=1,
        is_auto=True,
        is_shown=False,
    )
    dynamics: float = declare(
        DYNAMICS,
        "how far loudness follows the source: 0 as generated, 1 as in the source",
        low=0,
        high=1,
        step=0.05,
    )
    enhance: bool = declare(True, "correct the generated spectrogram", is_auto=True)
    room: str = declare(ROOM, "room added to the result", choices=tuple(ROOMS), is_auto=True)
    keep_tail: bool = declare(False, "let the room ring out after the end; the result is then longer", is_shown=False)
    full_band: bool = declare(True, "add the sound above 11 kHz, if the clip's rate has room for it", is_shown=False)
    stereo: bool = declare(True, "give a stereo clip's panning to the result", is_shown=False)
    rate: str = declare(
        CLIP_RATE, "sample rate of the result in Hz, or the clip's own", choices=(CLIP_RATE, *RATES), is_shown=False
    )
    mix: float = declare(
        1.0, "share of the result: below 1 the clip sounds along with it", low=0, high=1, step=0.05, is_shown=False
    )
    transpose: float = declare(
        0.0,
        "semitones by which the notes are moved first, up or down; fractions are cents",
        low=-24,
        high=24,
        step=1,
    )
    fit: bool = declare(False, "move the notes by octaves into the instrument's range")
    tuning: str = declare(
        CLIP_TUNING, "tuning of the result: the clip's own, or A = 440 Hz", choices=(CLIP_TUNING, CONCERT_PITCH)
    )

    @classmethod
    def from_kwargs(cls, arguments: Mapping[str, Any]) -> Self:
        """Settings from the pipeline's arguments, the inverse of ``kwargs``.

        Raises:
            TypeError: no such argument.
            SettingError: an invalid value.
        """
        names = {setting.argument or name: name for name, setting in declarations(cls).items()}
        if unknown := arguments.keys() - names:
            raise TypeError(f"unexpected argument {min(unknown)!r}; settings are {', '.join(names)}")
        return cls(**{names[argument]: value for argument, value in arguments.items()})

    def kwargs(self) -> dict[str, Any]:
        """Arguments for ``StyleTransferPipeline.__call__``, under diffusers' names where it has them."""
        settings = declarations(TransferSettings)
        return {setting.argument or name: getattr(self, name) for name, setting in settings.items()}

    def resolve(self, recommended: Mapping[str, Any]) -> Self:
        """Replace each None by the recommended value, or the default.

        This concerns the settings of ``TransferSettings``; those of a subclass stay as they are.

        Args:
            recommended: values by setting; unknown names are ignored.
        """
        wanted = TransferSettings.from_dict(recommended).to_dict()
        settings = declarations(TransferSettings)
        auto = [name for name in settings if getattr(self, name) is None]
        filled = {name: settings[name].default if wanted[name] is None else wanted[name] for name in auto}
        return replace(self, **filled)

    def describe(self) -> str:
        """Values in one line, as "steps 4, guidance 1, ..."."""
        return ", ".join(
            f"{name.replace('_', ' ')} {show_value(getattr(self, name))}" for name in declarations(TransferSettings)
        )


def show_value(value: Any) -> str:
    """Text of a setting's value."""
    if value is None:
        return AUTO
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else f"{value:g}"


def check_recommended(recommended: Mapping[str, Mapping[str, Any]]) -> None:
    """Check what a model recommends.

    Args:
        recommended: by instrument, a ``voice`` and values of settings that a user may leave open; all optional.

    Raises:
        ValueError: unknown instrument, or a voice or setting that cannot be recommended for it.
    """
    auto = {name: setting for name, setting in declarations(TransferSettings).items() if setting.is_auto}
    known = [VOICE, *auto]
    for instrument, values in recommended.items():
        get_instrument(instrument)
        if not isinstance(values, Mapping):
            raise ValueError(f"recommendations for {instrument} must be a dictionary of settings, got {values!r}")
        if unknown := values.keys() - set(known):
            raise ValueError(f"{min(unknown)!r} cannot be recommended for {instrument}; choose from {', '.join(known)}")
        if VOICE in values and str(values[VOICE]).split("/")[0] != instrument:
            raise ValueError(f"the voice recommended for {instrument} belongs to another instrument: {values[VOICE]!r}")
        for name, value in values.items():
            if name != VOICE:
                auto[name].read(name, value, is_served=True)


def takes_settings(function: Function) -> Function:
    """Show the settings of ``**settings`` in a function's signature."""
    signature = inspect.signature(function)
    own = list(signature.parameters.values())[:-1]
    settings = [
        setting.parameter(setting.argument or name, inspect.Parameter.KEYWORD_ONLY)
        for name, setting in declarations(TransferSettings).items()
    ]
    function.__signature__ = signature.replace(parameters=[*own, *settings])  # type: ignore[attr-defined]
    return function


def add_flags(
    parser: argparse.ArgumentParser, cls: type[CheckedSettings] = TransferSettings, leave_out: tuple[str, ...] = ()
) -> None:
    """Add a flag for each setting of a class to a parser.

    ``read_flags`` reads them. Those in ``leave_out`` get none.
    """
    for name, setting in declarations(cls).items():
        if name in leave_out:
            continue
        usual = show_value(setting.default)
        usual = f"the model's recommendation, else {usual}" if setting.is_auto else usual
        flag, text = "--" + name.replace("_", "-"), f"{setting.summary} ({usual})"
        if setting.kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(flag, metavar="|".join(setting.choices) or "N", help=text)


def read_flags(arguments: argparse.Namespace, cls: type[Settings]) -> Settings:
    """Settings of a class from the flags that ``add_flags`` added.

    Raises:
        SettingError: an invalid value.
    """
    given = {name: getattr(arguments, name) for name in declarations(cls)}
    return cls.from_dict({name: value for name, value in given.items() if value is not None})
