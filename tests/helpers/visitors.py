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


def open_tab(visitor, name: str) -> None:
    """Open a tab, also where it is in the menu for which there is no room in the row."""
    tab = visitor.get_by_role("tab", name=name, exact=True)
    if tab.count() == 0:
        visitor.click("button[aria-label='More tabs']")
        tab = visitor.locator(".overflow-dropdown button", has_text=name)
    tab.first.click()
