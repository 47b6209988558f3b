"""The page as programs and visitors use it, around a tiny pipeline."""

import json
import shutil
import socket
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from gradio_client import Client, handle_file

from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.layout import build_page
from tests.tiny import tiny_pipeline

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
RATE = 22050
SLOW_STEPS = 50


@pytest.fixture(scope="module")
def address():
    page, options = build_page(tiny_pipeline(), ROOT / "README.md", sorted((ROOT / "examples").glob("*.flac")))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **options)
    yield f"http://127.0.0.1:{port}/"
    page.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "clip.wav")


def write_tone(path: Path, samples: int = 30001, rate: int = RATE, channels: int = 1) -> Path:
    wave = 0.3 * np.sin(np.arange(samples) * 2 * np.pi * 440 / rate)
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate)
    return path


# As a program


def test_the_endpoint_gives_a_file_as_long_as_its_input(address, clip):
    client = Client(address, verbose=False)
    audio, facts = client.predict(source=handle_file(str(clip)), target="harp", steps=2, seed=5, api_name="/convert")
    assert Path(audio).name == "clip_to_harp_seed5.wav"
    assert soundfile.info(audio).frames == 30001
    assert facts["clip"] == "22.05 kHz mono → 22.05 kHz mono, seconds 0.0–1.4 (whole clip)"
    assert (facts["target"], facts["steps"], facts["guidance"]) == ("harp", 2, 1.0)


@pytest.mark.parametrize(
    ("rate", "channels", "ending"), [(96000, 1, "wav"), (8000, 6, "wav"), (44100, 2, "mp3"), (48000, 1, "ogg")]
)
def test_any_rate_and_number_of_channels_comes_back_as_long_as_it_was(address, tmp_path, rate, channels, ending):
    path = write_tone(tmp_path / f"clip.{ending}", rate, rate, channels)
    client = Client(address, verbose=False)
    audio, _ = client.predict(source=handle_file(str(path)), steps=1, api_name="/convert")
    assert soundfile.info(audio).samplerate == rate
    assert soundfile.info(audio).frames == soundfile.info(path).frames


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"these are not samples", "is not audio that can be read"),
        (b"", "is not audio that can be read"),
        (np.full(RATE, np.nan), "not finite numbers"),
        (np.zeros(2000), "at least 0.5 s is needed"),
    ],
)
def test_what_cannot_be_used_gives_a_sentence(address, tmp_path, content, sentence):
    path = tmp_path / "notes.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, RATE, subtype="FLOAT")
    client = Client(address, verbose=False)
    with pytest.raises(Exception, match=sentence) as refused:
        client.predict(source=handle_file(str(path)), steps=2, api_name="/convert")
    assert str(tmp_path) not in str(refused.value)


def test_silence_comes_back_without_an_error(address, tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    audio, _ = Client(address, verbose=False).predict(source=handle_file(str(path)), steps=1, api_name="/convert")
    assert soundfile.info(audio).frames == RATE


def test_one_bad_file_of_several_stops_no_other(address, tmp_path):
    good = [write_tone(tmp_path / name) for name in ("piano_a.wav", "piano_b.wav")]
    bad = tmp_path / "bad.wav"
    bad.write_text("these are not samples")
    files = [handle_file(str(path)) for path in (good[0], bad, good[1])]
    _, outcomes, archive = Client(address, verbose=False).predict(files, "flute", "fast", 0, api_name="/batch")
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["piano_to_flute_seed0.wav", "piano_to_flute_seed0_2.wav"]
    assert "| bad.wav | bad.wav is not audio that can be read" in outcomes


# As a visitor


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page; afterwards nobody may have asked for anything outside, and no script may have failed."""
    contexts, outside, failures = [], [], []

    def open_page(query: str = "", **options):
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 1000}, "accept_downloads": True} | options,
            permissions=["microphone", "clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        visitor = context.new_page()
        visitor.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or outside.append(r.url))
        visitor.on("pageerror", lambda error: failures.append(str(error)))
        visitor.goto(address + query, wait_until="domcontentloaded")
        visitor.wait_for_selector("#go")
        return visitor

    yield open_page
    for context in contexts:
        context.close()
    assert outside == []
    assert failures == []


def choose_steps(visitor, steps: int) -> None:
    if not visitor.locator("#steps input[type=number]").is_visible():
        visitor.click("#advanced button")
    visitor.fill("#steps input[type=number]", str(steps))
    visitor.press("#steps input[type=number]", "Tab")


def upload(visitor, path: Path) -> None:
    visitor.set_input_files("#source input[type=file]", str(path))
    visitor.wait_for_selector("#source .waveform-container")


def wait_until_done(visitor) -> None:
    visitor.wait_for_function("document.querySelector('#status').innerText.startsWith('Done')", timeout=60_000)


@pytest.mark.browser
def test_a_visitor_converts_listens_and_downloads(visit, clip, tmp_path):
    visitor = visit()
    assert visitor.locator("#target input[type=radio]").count() == len(INSTRUMENT_NAMES)
    visitor.click("#go")
    visitor.wait_for_selector(".toast-body")
    assert "Add a clip first" in visitor.inner_text(".toast-body")
    upload(visitor, clip)
    visitor.get_by_label("harp").first.check()
    choose_steps(visitor, 4)
    visitor.click("#go")
    wait_until_done(visitor)
    assert "22.05 kHz mono → 22.05 kHz mono" in visitor.inner_text("#facts")
    visitor.wait_for_selector("#side img")
    with visitor.expect_download() as download:
        visitor.click("#output a.download-link")
    assert download.value.suggested_filename == "clip_to_harp_seed0.wav"
    download.value.save_as(tmp_path / "download.wav")
    result, _ = soundfile.read(tmp_path / "download.wav")
    assert len(result) == 30001
    assert not np.allclose(result, soundfile.read(clip)[0], atol=0.01)
    with visitor.expect_download() as download:
        visitor.click("#downloads a[download$=json]")
    download.value.save_as(tmp_path / "settings.json")
    assert json.loads((tmp_path / "settings.json").read_text())["target"] == "harp"
    with visitor.expect_download() as download:
        visitor.click("#downloads a[download$=flac]")
    assert download.value.suggested_filename == "clip_to_harp_seed0.flac"


@pytest.mark.browser
def test_the_player_swaps_at_the_same_position(visit, clip):
    visitor = visit("?steps=2")
    upload(visitor, clip)
    visitor.click("#go")
    wait_until_done(visitor)
    sounds = "[...document.querySelectorAll('#player audio')].map((a) => [a.paused, a.currentTime, a.volume])"
    visitor.click("#player .ab-play")
    visitor.wait_for_function("document.querySelector('#player .ab-b').currentTime > 0.2")
    visitor.click("#player .ab-side[data-side=a]")
    (paused_a, at_a, volume_a), (paused_b, at_b, volume_b) = visitor.evaluate(sounds)
    assert (paused_a, paused_b) == (False, True)
    assert at_a == pytest.approx(at_b, abs=0.3)
    assert min(volume_a, volume_b) < max(volume_a, volume_b) == 1
    visitor.uncheck("#player .ab-level")
    assert [volume for _, _, volume in visitor.evaluate(sounds)] == [1, 1]


@pytest.mark.browser
def test_stop_ends_a_run_and_the_next_one_works(visit, clip):
    visitor = visit()
    upload(visitor, clip)
    choose_steps(visitor, SLOW_STEPS)
    visitor.click("#go")
    visitor.wait_for_function("document.querySelector('#status').innerText.startsWith('Step')", timeout=30_000)
    visitor.click("#stop")
    visitor.wait_for_function("document.querySelector('#status').innerText.startsWith('Stopped')")
    time.sleep(4)
    assert visitor.inner_text("#status").startswith("Stopped")
    choose_steps(visitor, 2)
    visitor.click("#go")
    wait_until_done(visitor)


@pytest.mark.browser
def test_an_example_is_heard_without_running_the_model(visit):
    visitor = visit()
    visitor.get_by_text("piano → violin").click()
    visitor.wait_for_selector("#side img")
    visitor.wait_for_selector("#player .ab-play")
    assert visitor.locator("#output .waveform-container").count() == 1
    assert visitor.inner_text("#status") == ""


@pytest.mark.browser
def test_settings_travel_by_link_and_by_file(visit, tmp_path):
    visitor = visit("?target=cello&steps=7&seed=42")
    visitor.wait_for_function("document.querySelector('#target input[value=cello]').checked")
    visitor.click("#advanced button")
    visitor.wait_for_selector("#seed input")
    assert visitor.input_value("#seed input") == "42"
    assert visitor.input_value("#steps input[type=number]") == "7"
    visitor.click("#link")
    link = visitor.evaluate("navigator.clipboard.readText()")
    assert "target=cello" in link
    assert "seed=42" in link
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"target": "flute", "steps": 9}))
    with visitor.expect_file_chooser() as chooser:
        visitor.click("#load")
    chooser.value.set_files(str(file))
    visitor.wait_for_function("document.querySelector('#steps input[type=number]').value === '9'")
    assert visitor.get_by_label("flute").first.is_checked()


@pytest.mark.browser
@pytest.mark.parametrize("query", ["", "?__theme=dark"])
def test_a_phone_shows_the_page_without_sideways_scroll(visit, query):
    visitor = visit(query, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    for tab in visitor.get_by_role("tab").all()[:3]:
        tab.click()
        assert not visitor.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.browser
def test_labels_are_in_the_visitors_language(visit):
    visitor = visit(locale="de-DE")
    visitor.wait_for_function("document.querySelector('#go').innerText === 'Umwandeln'")
    visitor.click("#stop")
    visitor.wait_for_function("document.querySelector('#status').innerText === 'Angehalten'")
