"""The page as visitors use it, with a tiny pipeline."""

import json

import mido
import numpy as np
import pytest
import soundfile
from PIL import Image

from stylediff.instruments import INSTRUMENT_NAMES
from tests.helpers.tiny_pipeline import TONE_RATE, write_tone
from tests.helpers.visitors import (
    choose_steps,
    clear_clip,
    download,
    facts_of,
    open_settings,
    open_tab,
    upload,
    wait_until_done,
)

SLOW_STEPS = 50


@pytest.mark.browser
def test_a_visitor_converts_and_downloads(visit, clip, tmp_path):
    visitor = visit()
    assert visitor.locator("#target input[type=radio]").count() == len(INSTRUMENT_NAMES)
    clear_clip(visitor)
    visitor.click("#go")
    visitor.wait_for_selector(".toast-body")
    assert "Add a clip first" in visitor.inner_text(".toast-body")
    visitor.wait_for_selector("#go")
    upload(visitor, clip)
    visitor.get_by_label("harp").first.check()
    choose_steps(visitor, 4)
    visitor.click("#go")
    wait_until_done(visitor)
    assert "22.05 kHz mono → 22.05 kHz mono" in facts_of(visitor)
    assert visitor.inner_text("#player .ab-title") == "clip → Harp"
    assert download(visitor, "WAV", tmp_path / "download.wav") == "clip_to_harp_seed0.wav"
    result, _ = soundfile.read(tmp_path / "download.wav")
    assert len(result) == 30001
    assert not np.allclose(result, soundfile.read(clip)[0], atol=0.01)
    assert download(visitor, "Settings", tmp_path / "settings.json") == "clip_to_harp_seed0.json"
    assert json.loads((tmp_path / "settings.json").read_text())["target"] == "harp"
    for label, ending in (("FLAC", "flac"), ("MP3", "mp3")):
        assert download(visitor, label, tmp_path / f"a.{ending}") == f"clip_to_harp_seed0.{ending}"
        assert soundfile.info(tmp_path / f"a.{ending}").duration == pytest.approx(30001 / 22050, abs=0.1)
    assert download(visitor, "Picture", tmp_path / "a.png") == "clip_to_harp_seed0.png"
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 600
    assert download(visitor, "MIDI", tmp_path / "a.mid") == "clip_to_harp_seed0.mid"
    assert [message.note for message in mido.MidiFile(tmp_path / "a.mid") if message.type == "note_on"] == [69]
    assert visitor.locator(".ab-notes line").count() == 0
    visitor.check(".ab-show-notes")
    assert visitor.locator(".ab-notes line").count() == 2  # one on each lane


@pytest.mark.browser
def test_stop_takes_the_place_of_convert_and_the_next_click_starts_at_once(visit, tmp_path):
    visitor = visit()
    visitor.route("**/cancel", lambda route: None)  # waits, as if the step that is under way took long
    upload(visitor, write_tone(tmp_path / "long.wav", 30 * TONE_RATE))
    choose_steps(visitor, SLOW_STEPS)
    assert not visitor.is_visible("#stop")
    visitor.click("#go")
    visitor.wait_for_function("document.querySelector('#status').innerText.includes('% done')", timeout=30_000)
    assert not visitor.is_visible("#go")
    visitor.click("#stop")
    visitor.wait_for_function("document.querySelector('#status').innerText === 'Stopped'", timeout=3000)
    visitor.click("#go", timeout=3000)
    visitor.wait_for_function("document.querySelector('#status').innerText.includes('% done')", timeout=30_000)
    visitor.click("#stop")
    visitor.wait_for_timeout(3000)  # longer than the page hides a late step
    assert visitor.inner_text("#status") == "Stopped"
    visitor.unroute("**/cancel")  # they go on
    choose_steps(visitor, 2)
    visitor.click("#go")
    wait_until_done(visitor)


@pytest.mark.browser
def test_clip_and_settings_outlast_a_refresh(visit, clip):
    visitor = visit()
    upload(visitor, clip)
    visitor.get_by_label("harp").first.check()
    choose_steps(visitor, 7)
    visitor.wait_for_function("document.querySelector('#clip_facts')?.innerText.startsWith('Converts 0:00–0:01')")
    visitor.reload()
    visitor.wait_for_function("document.querySelector('#clip_facts')?.innerText.startsWith('Converts 0:00–0:01')")
    open_settings(visitor)
    assert visitor.input_value("#steps input") == "7"
    assert visitor.get_by_label("harp").first.is_checked()
    visitor.goto(f"{visitor.url}?steps=9")
    visitor.wait_for_selector("#player .ab:not([hidden])")
    open_settings(visitor)
    assert visitor.input_value("#steps input") == "9"


@pytest.mark.browser
def test_one_run_plays_several_instruments(visit, clip):
    visitor = visit()
    upload(visitor, clip)
    choose_steps(visitor, 2)
    visitor.click("#more button")
    for name in ("Harp", "Flute"):
        visitor.locator("#more").get_by_label(name, exact=True).check()
    visitor.click("#go")
    visitor.wait_for_function("document.querySelectorAll('#player .ab-takes button').length === 3")
    wait_until_done(visitor)
    takes = visitor.locator("#player .ab-takes button").all_inner_texts()
    assert takes == ["1 Violin", "2 Harp", "3 Flute"]


@pytest.mark.browser
def test_an_example_is_there_on_arrival_and_another_sets_what_made_it(visit):
    visitor = visit("?target=harp&steps=9")
    assert visitor.inner_text("#player .ab-title") == "Piano → Violin: fur elise"
    visitor.wait_for_selector("#source .waveform-container")
    visitor.wait_for_function("document.querySelector('#clip_facts').innerText === 'Converts 0:00–0:06 of 0:06'")
    visitor.get_by_role("button", name="Trumpet → Cello").click()
    visitor.wait_for_function("document.querySelector('#player .ab-title').innerText.startsWith('Trumpet → Cello')")
    visitor.wait_for_function("document.querySelector('#target input[value=cello]').checked")
    open_settings(visitor)
    visitor.wait_for_function("document.querySelector('#steps input').value === ''")
    visitor.wait_for_function("document.querySelector('#preset input[value=balanced]').checked")
    assert visitor.inner_text("#status") == ""


@pytest.mark.browser
def test_the_result_of_an_earlier_clip_is_marked(visit, clip):
    visitor = visit("?steps=1")
    assert not visitor.is_visible("#player .ab-old")
    upload(visitor, clip)
    visitor.wait_for_selector("#player .ab-old")
    visitor.click("#go")
    wait_until_done(visitor)
    assert not visitor.is_visible("#player .ab-old")


@pytest.mark.browser
def test_the_preset_follows_the_settings(visit):
    visitor = visit()
    choose_steps(visitor, 37)
    visitor.wait_for_function("!document.querySelector('#preset input:checked')")
    choose_steps(visitor, 20)
    visitor.wait_for_function("document.querySelector('#preset input[value=best]').checked")


@pytest.mark.browser
def test_silence_and_a_quiet_clip_are_reported_before_anything_is_converted(visit, tmp_path):
    visitor = visit()
    for level, sentence in ((0.0, "is silent or almost silent"), (0.004, "is very quiet")):
        path = tmp_path / f"level_{level}.wav"
        soundfile.write(path, level * np.sin(np.arange(44100) / 8), 22050)
        upload(visitor, path)
        visitor.wait_for_function(f"document.querySelector('#clip_facts').innerText.includes('{sentence}')")
        visitor.click("#source button[aria-label=Clear]")


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
    visitor = visit("?steps=1", locale="de-DE")
    visitor.wait_for_function("document.querySelector('#go').innerText === 'Umwandeln'")
    assert visitor.inner_text("#player .ab-title") == "Klavier → Geige: fur elise"
    visitor.click("#go")
    visitor.wait_for_function("document.querySelector('#status').innerText.startsWith('Fertig')", timeout=30_000)
    assert visitor.inner_text("#player .ab-title") == "piano fur elise → Geige"
    assert "Dynamik: 0.25" in facts_of(visitor)


@pytest.mark.browser
def test_another_take_is_chosen_shown_and_used(visit, clip):
    visitor = visit("?steps=2")
    upload(visitor, clip)
    open_settings(visitor)
    assert visitor.input_value("#seed input") == "0"
    visitor.click("#reroll")
    wait_until_done(visitor)
    seed = visitor.input_value("#seed input")
    assert seed != "0"
    assert visitor.locator(f"#player a[download='clip_to_violin_seed{seed}.wav']").count() == 1


@pytest.mark.browser
def test_convert_and_the_player_are_in_the_first_two_screens_of_a_phone(visit):
    visitor = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    button, play = visitor.locator("#go").bounding_box(), visitor.locator("#player .ab-play").bounding_box()
    assert button["y"] + button["height"] <= 844
    assert play["y"] + play["height"] <= 2 * 844
