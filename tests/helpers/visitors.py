"""Actions of the page's visitors."""

from pathlib import Path


def choose_steps(visitor, steps: int) -> None:
    if not visitor.locator("#steps input").is_visible():
        visitor.click("#advanced button")
    visitor.fill("#steps input", str(steps))
    visitor.press("#steps input", "Tab")


def upload(visitor, path: Path) -> None:
    visitor.set_input_files("#source input[type=file]", str(path))
    visitor.wait_for_selector("#source .waveform-container")


def wait_until_done(visitor) -> None:
    visitor.wait_for_function("document.querySelector('#status').innerText.startsWith('Done')", timeout=60_000)
