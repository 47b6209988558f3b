"""Actions of the page's visitors."""

from pathlib import Path


def open_settings(visitor) -> None:
    if not visitor.locator("#steps input").is_visible():
        visitor.click("#advanced button")
        visitor.wait_for_selector("#steps input")


def choose_steps(visitor, steps: int) -> None:
    open_settings(visitor)
    visitor.fill("#steps input", str(steps))
    visitor.press("#steps input", "Tab")


def clear_clip(visitor) -> None:
    """Remove the example that the page opens with."""
    visitor.wait_for_selector("#player .ab:not([hidden])")
    visitor.click("#source button[aria-label=Clear]")
    visitor.wait_for_selector("#source input[type=file]", state="attached")


def upload(visitor, path: Path) -> None:
    visitor.wait_for_selector("#source input[type=file], #source button[aria-label=Clear]", state="attached")
    if visitor.locator("#source input[type=file]").count() == 0:
        clear_clip(visitor)
    visitor.set_input_files("#source input[type=file]", str(path))
    visitor.wait_for_selector("#source .waveform-container")


def download(visitor, label: str, path: Path) -> str:
    """Save a file of the player; returns the name that it has for the visitor."""
    with visitor.expect_download() as taken:
        visitor.locator("#player .ab-files a", has_text=label).click()
    taken.value.save_as(path)
    return taken.value.suggested_filename


def facts_of(visitor) -> str:
    """Facts about the result on view, also while they are folded away."""
    return visitor.text_content("#player .ab-facts ul")


def wait_until_done(visitor) -> None:
    visitor.wait_for_function("document.querySelector('#status')?.innerText.startsWith('Done')", timeout=60_000)


def open_tab(visitor, name: str) -> None:
    """Open a tab, also where it is in the menu for which there is no room in the row."""
    tab = visitor.get_by_role("tab", name=name, exact=True)
    if tab.count() == 0:
        visitor.click("button[aria-label='More tabs']")
        tab = visitor.locator(".overflow-dropdown button", has_text=name)
    tab.first.click()
