import shutil
import socket

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file

from app import build_app
from stylediff.instruments import INSTRUMENT_NAMES
from tests.tiny import tiny_pipeline

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def address():
    page = build_app(tiny_pipeline())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, max_file_size="25mb")
    yield f"http://127.0.0.1:{port}/"
    page.close()


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(30001) / 10), 22050)
    return path


def test_the_endpoint_gives_a_file_as_long_as_its_input(address, clip):
    client = Client(address, verbose=False)
    audio, picture, info = client.predict(handle_file(str(clip)), "violin", 2, 1.0, 0, api_name="/convert")
    assert audio.endswith("clip_to_violin_seed0.wav")
    assert soundfile.info(audio).frames == 30001
    assert picture.endswith(".png")
    assert "1.4 s, 22.05 kHz mono" in info


def test_a_file_that_is_no_audio_gives_a_sentence(address, tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("these are not samples")
    client = Client(address, verbose=False)
    with pytest.raises(Exception, match=r"notes\.wav is not audio that can be read"):
        client.predict(handle_file(str(path)), "violin", 2, 1.0, 0, api_name="/convert")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_visitor_converts_a_clip_in_the_browser(address, clip, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    outside = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        visitor = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True).new_page()
        visitor.on(
            "request", lambda r: outside.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else 0
        )
        visitor.goto(address, wait_until="domcontentloaded")
        visitor.wait_for_selector("#go")
        assert visitor.locator("#target input[type=radio]").count() == len(INSTRUMENT_NAMES)
        visitor.click("#go")
        visitor.wait_for_selector(".toast-body")
        assert "Add a clip first" in visitor.inner_text(".toast-body")
        visitor.set_input_files("#source input[type=file]", str(clip))
        visitor.wait_for_selector("#source .waveform-container")
        visitor.get_by_label("harp").check()
        visitor.fill("#steps input[type=number]", "3")
        visitor.press("#steps input[type=number]", "Tab")
        visitor.click("#go")
        visitor.wait_for_selector("#picture img", timeout=60_000)
        visitor.wait_for_selector("#output .waveform-container")
        with visitor.expect_download() as download:
            visitor.click("#output a.download-link")
        download.value.save_as(tmp_path / "download.wav")
        assert download.value.suggested_filename == "clip_to_harp_seed0.wav"
        assert soundfile.info(tmp_path / "download.wav").frames == 30001
        browser.close()
    assert outside == []
