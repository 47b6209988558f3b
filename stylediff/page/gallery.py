"""Examples that ship with their results, so that they can be heard without running the model."""

from pathlib import Path


def example_result(source: Path) -> Path:
    """The result that ships with an example, ``outputs/EXAMPLE_to_TARGET_seedN.flac`` beside it."""
    return next((source.parent / "outputs").glob(f"{source.stem}_to_*.flac"))


def example_label(source: Path) -> str:
    """As "piano → violin: fur elise"."""
    instrument, _, title = source.stem.partition("_")
    target = example_result(source).stem.rsplit("_to_", 1)[1].split("_seed")[0]
    return f"{instrument} → {target}: {title.replace('_', ' ')}"
