"""Environment variables: numbers, and the kind of machine."""

import os
import sys


def on_zero_gpu() -> bool:
    """Return True on a Space that lends its GPU for each conversion."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def read_number(name: str, default: float, lowest: float) -> float:
    """Return the number that a variable holds, or the default.

    A variable that is blank counts as not set. One that holds no number of at least ``lowest`` is named on stderr.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if lowest <= value < float("inf"):
        return value
    print(f"{name} must be a number of at least {lowest:g}, got {text!r}; {default:g} is used", file=sys.stderr)
    return default
