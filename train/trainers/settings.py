"""Settings of a training run: one frozen dataclass a trainer, from which its flags are generated."""

import argparse
import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from train.common.files import write_atomically


class SettingsError(ValueError):
    """Settings that a run cannot go on with; the message names the one that differs."""


Settings = TypeVar("Settings", bound="TrainSettings")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What every trainer shares.

    Attributes:
        out: folder of the run: settings, checkpoints, logs, exported weights.
        steps: optimizer steps in all. A run that is resumed may be given more or fewer; learning
            rates follow, and whatever is a share of the steps.
        batch_size: samples of one forward pass of one process.
        accumulation: forward passes a step.
        learning_rate: peak; reached after ``warmup_steps``, or a tenth of the steps if that is less, falls
            linearly to a tenth over the last ``cooldown`` share of the steps.
        precision: "no", "bf16", "fp16", or "auto": bf16 where the hardware multiplies it faster.
        initial: pipeline folder with the weights to start from ("": random ones).
        minutes: stop, with a checkpoint, after that long in this process and at least one step (0: never).
        checkpoint_minutes: time between checkpoints.
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
    checkpoint_minutes: float = 5.0
    log_every: int = 50
    image_every: int = 1000

    # Settings that may change between the start of a run and its resumption.
    MAY_CHANGE: ClassVar[tuple[str, ...]] = (
        "out",
        "steps",
        "cooldown",
        "cache",
        "latents",
        "minutes",
        "checkpoint_minutes",
        "log_every",
        "image_every",
        "precision",
        "initial",
    )

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / max(1, min(self.warmup_steps, self.steps // 10)))
        left = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.learning_rate * rise * max(0.1, min(1.0, left))

    def save(self) -> None:
        """Records the settings in the run's folder.

        Raises:
            SettingsError: the run was begun with another value of a setting that has to stay; the message names it.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / "settings.json"
        values = json.loads(json.dumps(asdict(self), default=str))
        if path.is_file():
            begun = json.loads(path.read_text())
            for name, value in values.items():
                if name not in self.MAY_CHANGE and begun.get(name, value) != value:
                    raise SettingsError(f"{self.out} was begun with {name}={begun[name]!r}, not {value!r}")
        write_atomically(path, json.dumps(values, indent=1))


def is_due(done: int, every: int) -> bool:
    """Whether something that is done every so many steps (0: never) is to be done after that many."""
    return bool(every) and done % every == 0


def parse_settings(cls: type[Settings], description: str, arguments: list[str] | None = None) -> Settings:
    """Settings from the command line: a field ``batch_size`` is the flag ``--batch-size``; bools take no value."""
    parser = argparse.ArgumentParser(description=description)
    for field in fields(cls):
        flag = "--" + field.name.replace("_", "-")
        required = field.default is MISSING
        if field.type is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        elif getattr(field.type, "__origin__", None) is tuple:
            parser.add_argument(flag, type=int, nargs="+", default=field.default)
        else:
            parser.add_argument(flag, type=field.type, required=required, default=None if required else field.default)
    values = vars(parser.parse_args(arguments))
    flags: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return cls(**flags)
