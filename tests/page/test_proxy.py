"""The page behind a proxy: under a path, and over connections that break or time out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import soundfile
from gradio.utils import get_heartbeat_rate
from gradio_client import Client, handle_file

from stylediff.page.layout import build_page
from tests.helpers.proxy import Proxy
from tests.helpers.tiny_pipeline import TONE_RATE, tiny_pipeline, write_tone
from tests.helpers.visitors import choose_steps, download, upload, wait_until_done

PATH = "/music"
PLAYED = "Number(document.querySelector('#player .ab-lanes').ariaValueNow) > 0.2"
AWAY_S = 10.0
SILENCE_S = 60.0  # after which common proxies end an answer


@pytest.fixture(scope="module")
def sub_path() -> Iterator[str]:
    """Address of a page under a path, without a slash at its end."""
    page, options = build_page(tiny_pipeline(), [])
    _, address, _ = page.launch(root_path=PATH, prevent_thread_lock=True, quiet=True, **options)
    proxy = Proxy(urlsplit(page.local_url or address).port, PATH)
    yield f"http://127.0.0.1:{proxy.port}{PATH}"
    proxy.close()
    page.close()


@pytest.fixture
def proxy(address) -> Iterator[Proxy]:
    """A proxy before the page."""
    proxy = Proxy(urlsplit(address).port)
    yield proxy
    proxy.close()


@pytest.mark.browser
@pytest.mark.parametrize("slash", ["/", ""])
def test_player_downloads_and_queue_work_under_a_path(browser, sub_path, clip, slash, tmp_path):
    visitor = browser.new_page()
    visitor.goto(f"{sub_path}{slash}?steps=1")
    upload(visitor, clip)
    visitor.click("#go")
    wait_until_done(visitor)
    visitor.click("#player .ab-play")
    visitor.wait_for_function(PLAYED)
    download(visitor, "WAV", tmp_path / "result.wav")
    assert soundfile.info(tmp_path / "result.wav").frames == 30001
    visitor.context.close()


def test_programs_call_a_page_under_a_path(sub_path, clip):
    audio, _ = Client(f"{sub_path}/", verbose=False).predict(
        source=handle_file(str(clip)), steps=1, api_name="/convert"
    )
    assert soundfile.info(audio).frames == 30001


@pytest.mark.browser
@pytest.mark.slow
def test_a_result_is_there_after_a_connection_broke(browser, proxy, tmp_path):
    clip = write_tone(tmp_path / "clip.wav", 8 * TONE_RATE)
    visitor, questions = browser.new_page(), []
    visitor.on("dialog", lambda dialog: [questions.append(dialog.message), dialog.accept()])
    visitor.goto(f"http://127.0.0.1:{proxy.port}/")
    visitor.wait_for_selector("#player .ab:not([hidden])")  # the example on arrival takes the place of the clip
    upload(visitor, clip)
    choose_steps(visitor, 50)
    visitor.click("#go")
    visitor.wait_for_function("document.querySelector('#status').innerText.startsWith('Step')", timeout=30_000)
    proxy.drop()
    visitor.wait_for_timeout(1000 * AWAY_S)
    assert not visitor.inner_text("#status").startswith("Done")
    proxy.restore()
    visitor.wait_for_selector("#status >> text=/^Done/", timeout=60_000)  # the page has loaded again
    assert questions == []
    visitor.click("#player .ab-play")
    visitor.wait_for_function(PLAYED)
    assert download(visitor, "Settings", tmp_path / "settings.json") == "clip_to_violin_seed0.json"
    visitor.context.close()


@pytest.mark.slow
def test_the_last_of_a_queue_gets_a_result_through_a_proxy_that_ends_silent_answers(address, clip):
    assert get_heartbeat_rate() < SILENCE_S
    proxy = Proxy(urlsplit(address).port, timeout_s=4)  # the queue reports every second while others wait

    def convert(seed: int) -> int:
        client = Client(f"http://127.0.0.1:{proxy.port}/", verbose=False)
        audio, _ = client.predict(source=handle_file(str(clip)), steps=20, seed=seed, api_name="/convert")
        return soundfile.info(audio).frames

    with ThreadPoolExecutor(4) as callers:
        assert [*callers.map(convert, range(4))] == [30001] * 4
    proxy.close()
