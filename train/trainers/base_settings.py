"""Settings that all training runs share, which also become flags.

Each trainer has one frozen dataclass, in settings.py.
"""

import argparse
import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from train.common.files import write_atomically


class SettingsError(ValueError):
    """Settings that a run cannot be started or resumed with.

    The message names the setting.
    """


Settings = TypeVar("Settings", bound="TrainSettings")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings that every trainer shares.

    Attributes:
        out: folder of the run: settings, checkpoints, logs and exported weights.
        steps: total number of optimizer steps. A resumed run may be given more or fewer. Learning rates and all other
            shares of the steps adapt.
        batch_size: samples per forward pass and process.
        accumulation: forward passes per step.
        learning_rate: peak, reached after ``warmup_steps`` or a tenth of the steps, whichever is less. It falls
            linearly to a tenth over the last ``cooldown`` share of the steps.
        precision: "no", "bf16", "fp16", or "auto": bf16 where the hardware is faster in it.
        initial: pipeline folder with the weights to start from ("": random weights).
        minutes: stop this process with a checkpoint after this time and at least one step (0: never).
        budget_minutes: total training time, which replaces ``steps``; at least one step is made (0: no budget). Shares
            of the steps, such as ``cooldown``, become shares of the time.
        checkpoint_minutes: time between checkpoints.

    Examples:
        >>> from pathlib import Path
        >>> from train.trainers.settings import TrainSettings
        >>> settings = TrainSettings(out=Path("run"), steps=1000, batch_size=16, warmup_steps=10, learning_rate=1.0)
        >>> [round(settings.learning_rate_at(step), 3) for step in (0, 500, 999)]
        [0.1, 1.0, 0.1]
    """

    out: Path
    steps: int
    batch_size: int
    accumulation: int = 1
    learning_rate: float = 3e-4
    warmup_steps: int = 200
    cooldown: float = 0.3
    seed: int = 0
    precision: str = "auto"
    initial: str = ""
    minutes: float = 0.0
    budget_minutes: float = 0.0
    checkpoint_minutes: float = 5.0
    log_every: int = 50
    image_every: int = 1000

    # settings that may change when a run is resumed
    MAY_CHANGE: ClassVar[tuple[str, ...]] = (
        "out",
        "steps",
        "cooldown",
        "cache",
        "latents",
        "minutes",
        "budget_minutes",
        "checkpoint_minutes",
        "log_every",
        "image_every",
        "precision",
        "initial",
    )

    def learning_rate_at(self, step: int, progress: float | None = None) -> float:
        """Learning rate of a step.

        Args:
            progress: used share of the time budget, 0 to 1; None without a budget.
        """
        if progress is None:
            rise = (step + 1) / max(1, min(self.warmup_steps, self.steps // 10))
            left = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        else:
            rise = max((step + 1) / max(1, self.warmup_steps), 10 * progress)
            left = (1 - progress) / max(1e-9, self.cooldown)
        return self.learning_rate * min(1.0, rise) * max(0.1, min(1.0, left))

    def save(self) -> None:
        """Record the settings in the run's folder.

        Raises:
            SettingsError: the run was started with another value of a setting that must not change; the message names
                it.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / "settings.json"
        values = json.loads(json.dumps(asdict(self), default=str))
        if path.is_file():
            recorded = json.loads(path.read_text())
            for name, value in values.items():
                if name not in self.MAY_CHANGE and recorded.get(name, value) != value:
                    raise SettingsError(f"{self.out} was started with {name}={recorded[name]!r}, not {value!r}")
        write_atomically(path, json.dumps(values, indent=1))


def is_due(done: int, every: int) -> bool:
    """Return True every ``every`` steps; never if ``every`` is 0."""
    return bool(every) and done % every == 0


def add_settings(parser: argparse.ArgumentParser, cls: type[TrainSettings]) -> None:
    """Declare a flag for each field of the settings.

    The field ``batch_size`` becomes ``--batch-size``; booleans take no value.
    """
    for field in fields(cls):
        flag = "--" + field.name.replace("_", "-")
        required = field.default is MISSING
        if field.type is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        elif getattr(field.type, "__origin__", None) is tuple:
            parser.add_argument(flag, type=int, nargs="+", default=field.default)
        else:
            parser.add_argument(flag, type=field.type, required=required, default=None if required else field.default)


def read_settings(cls: type[Settings], args: argparse.Namespace) -> Settings:
    """Read settings from the flags of ``add_settings``."""
    flags: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in vars(args).items()}
    return cls(**flags)
