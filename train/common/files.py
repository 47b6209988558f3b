"""Atomic file writes, and folders locked to their settings."""

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class FolderError(ValueError):
    """A folder that was started with other settings."""


def write_atomically(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(text)
    os.replace(scratch, path)


def computed_once(path: Path, compute: Callable[[], Any]) -> Any:
    """Return the JSON value of a file.

    If the file is not there, the value is computed and written.
    """
    if not path.is_file():
        write_atomically(path, json.dumps(compute(), indent=1))
    return json.loads(path.read_text())


def describe_argument(value: Any) -> str:
    """Describe an argument of a command for ``lock_settings``.

    A folder of weights is described with a digest of its weights and settings.
    """
    weights = sorted(value.rglob("*.safetensors")) if isinstance(value, Path) and value.is_dir() else []
    if not weights:
        return str(value)
    digest = hashlib.sha256()
    for path in sorted([*weights, *value.rglob("*.json")]):
        digest.update(path.relative_to(value).as_posix().encode() + path.read_bytes())
    return f"{value} ({digest.hexdigest()[:12]})"


def describe_arguments(args: argparse.Namespace, names: Iterable[str]) -> dict[str, str]:
    """Describe arguments of a command for ``lock_settings``."""
    return {name: describe_argument(getattr(args, name)) for name in names}


def lock_settings(out: Path, settings: dict[str, Any]) -> None:
    """Create a folder and record its settings, or compare them.

    Raises:
        FolderError: the folder was started with other settings; the message names the first that differs.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, text = out / "settings.json", json.dumps(settings, indent=1, default=str)
    if not path.is_file():
        write_atomically(path, text)
        return
    recorded = json.loads(path.read_text())
    for name, value in json.loads(text).items():
        if recorded.get(name) != value:
            raise FolderError(
                f"{out} was started with {name}={recorded.get(name)!r}, not {value!r}: use another folder"
            )
