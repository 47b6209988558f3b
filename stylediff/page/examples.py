"""Examples with shipped results, played without running the model."""

from pathlib import Path


def find_results(sources: list[Path]) -> dict[Path, Path]:
    """Shipped results by example, ``outputs/EXAMPLE_to_TARGET_seedN.flac``.

    Examples without a result are not listed.
    """
    found = {source: sorted((source.parent / "outputs").glob(f"{source.stem}_to_*_seed*.flac")) for source in sources}
    return {source: results[0] for source, results in found.items() if results}


def result_settings(result: Path) -> tuple[str, int]:
    """Target and seed of a shipped result, from its name."""
    target, seed = result.stem.rsplit("_to_", 1)[1].split("_seed")
    return target, int(seed)


def example_label(source: Path, result: Path, words: dict[str, str]) -> str:
    """Label of an example, such as "Piano → Violin: fur elise".

    Args:
        words: the page's texts in the visitor's language.
    """
    instrument, _, title = source.stem.partition("_")
    target, _ = result_settings(result)
    return f"{words.get(instrument, instrument)} → {words[target]}: {title.replace('_', ' ')}"
