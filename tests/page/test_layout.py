"""The page as visitors use it, with a tiny pipeline."""

import json
import time

import numpy as np
import pytest
import soundfile

from stylediff.instruments import INSTRUMENT_NAMES
from tests.helpers.visitors import choose_steps, open_tab, upload, wait_until_done

SLOW_STEPS = 50


@pytest.mark.browser
def test_a_visitor_converts_plays_and_downloads(visit, clip, tmp_path):
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
def test_an_example_is_played_without_running_the_model(visit):
    visitor = visit()
    visitor.get_by_text("piano → violin").click()
    visitor.wait_for_selector("#side img")
    visitor.wait_for_selector("#player .ab-play")
    assert visitor.locator("#output .waveform-container").count() == 1
    assert visitor.inner_text("#status") == ""


@pytest.mark.browser
def test_an_invalid_link_is_reported(visit):
    visitor = visit("?target=kazoo&steps=7")
    visitor.wait_for_selector(".toast-body")
    assert "got 'kazoo'" in visitor.inner_text(".toast-body")


@pytest.mark.browser
def test_settings_travel_by_link_and_by_file(visit, tmp_path):
    visitor = visit("?target=cello&steps=7&seed=42")
    visitor.wait_for_function("document.querySelector('#target input[value=cello]').checked")
    visitor.click("#advanced button")
    visitor.wait_for_selector("#seed input")
    assert visitor.input_value("#seed input") == "42"
    assert visitor.input_value("#steps input") == "7"
    visitor.click("#link")
    link = visitor.evaluate("navigator.clipboard.readText()")
    assert "target=cello" in link
    assert "seed=42" in link
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"target": "flute", "steps": 9}))
    with visitor.expect_file_chooser() as chooser:
        visitor.click("#load")
    chooser.value.set_files(str(file))
    visitor.wait_for_function("document.querySelector('#steps input').value === '9'")
    assert visitor.get_by_label("flute").first.is_checked()


@pytest.mark.browser
@pytest.mark.parametrize("query", ["", "?__theme=dark"])
def test_a_phone_shows_the_page_without_sideways_scroll(visit, query):
    visitor = visit(query, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, locale="en-US")
    for tab in ("Several files", "Ringtone", "Repair", "About", "Convert"):
        open_tab(visitor, tab)
        assert not visitor.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.browser
def test_labels_are_in_the_visitors_language(visit):
    visitor = visit(locale="de-DE")
    visitor.wait_for_function("document.querySelector('#go').innerText === 'Umwandeln'")
    visitor.click("#stop")
    visitor.wait_for_function("document.querySelector('#status').innerText === 'Angehalten'")


@pytest.mark.browser
def test_another_seed_is_chosen_shown_and_used(visit, clip):
    visitor = visit("?steps=2")
    upload(visitor, clip)
    visitor.click("#advanced button")
    visitor.wait_for_selector("#seed input")
    assert visitor.input_value("#seed input") == "0"
    visitor.click("#reroll")
    wait_until_done(visitor)
    seed = visitor.input_value("#seed input")
    assert seed != "0"
    assert f"clip_to_violin_seed{seed}" in visitor.inner_text("#downloads")
