"""Examples that ship with their results, so that they can be heard without running the model."""

from pathlib import Path


def example_result(source: Path) -> Path:
    """The result that ships with an example, ``outputs/EXAMPLE_to_TARGET_seedN.flac`` beside it."""
    return next((source.parent / "outputs").glob(f"{source.stem}_to_*.flac"))


def result_settings(result: Path) -> tuple[str, int]:
    """Target and seed of a shipped result, from its name."""
    target, seed = result.stem.rsplit("_to_", 1)[1].split("_seed")
    return target, int(seed)


def example_label(source: Path) -> str:
    """As "piano → violin: fur elise"."""
    instrument, _, title = source.stem.partition("_")
    target, _ = result_settings(example_result(source))
    return f"{instrument} → {target}: {title.replace('_', ' ')}"
