"""All controls, on all kinds of screens."""

import zipfile

import gradio as gr
import pytest

from stylediff.page.controls import build_controls, build_part, build_style, build_transfer_controls, load_settings
from stylediff.page.settings import PRESETS, Choices, show_choices
from stylediff.page.translations import load_texts
from stylediff.page.uploads import MAX_SECONDS
from stylediff.settings import TransferSettings, declarations
from tests.helpers.tiny_pipeline import write_tone
from tests.helpers.visitors import choose_steps, download, open_settings, upload, wait_until_done

DESKTOP = {"viewport": {"width": 1280, "height": 1000}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.mark.browser
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_conversion_is_made_and_shown_on_every_screen(visit, clip, screen, theme):
    visitor = visit(f"?__theme={theme}", **screen)
    upload(visitor, clip)
    visitor.get_by_label("flute").first.check()
    open_settings(visitor)
    visitor.locator("#preset").get_by_label("Sketch").check()
    visitor.wait_for_function("document.querySelector('#steps input').value === '2'")
    for name, value in (("guidance", "1.5"), ("strength", "0.8")):
        visitor.fill(f"#{name} input[type=number]", value)
        visitor.press(f"#{name} input[type=number]", "Tab")
    choose_steps(visitor, 3)
    visitor.fill("#seed input", "77")
    visitor.press("#seed input", "Tab")
    visitor.click("#go")
    wait_until_done(visitor)
    assert visitor.locator("#player a[download='clip_to_flute_seed77.json']").count() == 1
    for lane in visitor.locator("#player .ab-lane img").all()[:2]:
        assert lane.evaluate("(picture) => picture.naturalWidth") > 200
    visitor.check("#player .ab-difference")
    assert visitor.is_visible("#player .ab-change")
    assert not visitor.evaluate("document.documentElement.scrollWidth > innerWidth")
    dark = visitor.evaluate("document.body.classList.contains('dark')")
    assert dark == (theme == "dark")


@pytest.mark.browser
def test_a_result_becomes_the_next_source(visit, clip):
    visitor = visit("?steps=1&target=harp")
    upload(visitor, clip)
    visitor.click("#go")
    wait_until_done(visitor)
    visitor.click("text=Use as source")
    visitor.wait_for_timeout(1500)  # wait until the clip is loaded
    visitor.get_by_label("piano").first.check()
    visitor.click("#go")
    visitor.wait_for_selector("#player a[download^='clip_to_harp_seed0_to_piano']", state="attached")


@pytest.mark.browser
def test_a_visitor_converts_several_files_and_gets_a_zip(visit, tmp_path):
    good = [write_tone(tmp_path / name) for name in ("harp_a.wav", "b.wav")]
    bad = tmp_path / "bad.wav"
    bad.write_text("these are not samples")
    visitor = visit()
    visitor.get_by_role("tab", name="Several files").click()
    visitor.set_input_files("#files input[type=file]", [str(path) for path in (good[0], bad, good[1])])
    visitor.wait_for_function("document.querySelectorAll('#files tr.file').length === 3")
    visitor.locator("#batch_target").get_by_label("trumpet").check()
    visitor.locator("#batch_preset").get_by_label("Sketch").check()
    visitor.click("#batch_go")
    visitor.wait_for_function("document.querySelector('#batch_status').innerText.startsWith('2 / 3')", timeout=60_000)
    assert "is not audio that can be read" in visitor.inner_text("#outcomes")
    assert visitor.locator("#outcomes audio").count() == 2
    playing = "document.querySelector('#outcomes audio').currentTime > 0.2"
    visitor.evaluate("document.querySelector('#outcomes audio').play()")
    visitor.wait_for_function(playing)
    with visitor.expect_download() as download:
        visitor.click("#zip a[download]")
    download.value.save_as(tmp_path / "results.zip")
    with zipfile.ZipFile(tmp_path / "results.zip") as packed:
        assert packed.namelist() == ["b_to_trumpet_seed0.wav", "harp_a_to_trumpet_seed0.wav"]


@pytest.mark.browser
def test_a_clip_of_an_instrument_is_matched(visit, clip, tmp_path):
    reference = write_tone(tmp_path / "my_flute.wav", 50_000)
    visitor = visit("?steps=2&like=0.5")
    upload(visitor, clip)
    visitor.get_by_role("tab", name="Match a clip").click()
    visitor.click("#go")
    visitor.wait_for_selector(".toast-body")
    assert "Add a clip of the instrument to match" in visitor.inner_text(".toast-body")
    visitor.set_input_files("#reference input[type=file]", str(reference))
    visitor.wait_for_selector("#reference .waveform-container")
    assert visitor.input_value("#like input[type=number]") == "0.5"
    visitor.click("#go")
    wait_until_done(visitor)
    assert visitor.inner_text("#player .ab-title") == "clip → like my flute"
    assert download(visitor, "Settings", tmp_path / "settings.json") == "clip_to_like_my_flute_seed0.json"
    assert '"reference": "my_flute"' in (tmp_path / "settings.json").read_text()
    visitor.get_by_role("tab", name="Instrument", exact=True).click()
    visitor.click("#go")
    visitor.wait_for_selector("#player a[download='clip_to_violin_seed0.wav']", state="attached")


@pytest.mark.parametrize("accepts_reference", [True, False])
def test_a_clip_can_be_matched_where_the_model_accepts_one(accepts_reference):
    with gr.Blocks() as page:
        build_style(str, accepts_reference)
    tabs = {block.id: block.visible for block in page.blocks.values() if isinstance(block, gr.Tab)}
    assert tabs == {"name": True, "clip": accepts_reference}


def test_every_setting_has_a_control_that_shows_and_keeps_its_default():
    with gr.Blocks():
        components = build_transfer_controls(str, has_enhancer=True)
        choices = build_controls(str, build_style(str, True), build_part(str), True).choices
    shown = [name for name, setting in declarations(TransferSettings).items() if setting.is_shown]
    assert list(components) == shown
    assert choices.keys() == {*shown, "target", "like", "start_s", "length_s", "seed"}
    for group in (components, choices):
        values = {
            name: component.preprocess(component.postprocess(component.value)) for name, component in group.items()
        }
        assert Choices.from_dict(values) == Choices()


@pytest.mark.parametrize("language", load_texts())
@pytest.mark.slow
def test_every_control_is_labelled_in_every_language(language):
    with gr.Blocks():
        components = build_transfer_controls(load_texts()[language].__getitem__, has_enhancer=True)
    labels = [component.label for component in components.values()]
    assert len(set(labels)) == len(labels)


def test_controls_show_what_is_loaded():
    shown = show_choices(Choices(steps=9, enhance=False).to_dict())
    assert (shown["steps"], shown["temperature"], shown["enhance"], shown["room"]) == ("9", "", "false", "auto")
    assert show_choices(PRESETS["balanced"]) == {"steps": "", "guidance": 1.0}
    assert Choices.from_dict(shown) == Choices(steps=9, enhance=False)


def test_a_settings_file_is_limited_to_what_the_page_converts(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{"length_s": 5000, "start_s": 1200}')
    loaded = load_settings(str(file))
    assert (loaded["length_s"], loaded["start_s"]) == (MAX_SECONDS, 1200)


@pytest.mark.parametrize("has_enhancer", [True, False])
def test_the_enhancer_can_be_turned_off_where_there_is_one(has_enhancer):
    with gr.Blocks():
        controls = build_controls(str, build_style(str, False), build_part(str), has_enhancer)
    enhance = controls.choices["enhance"]
    assert (enhance.value, enhance.visible) == ("auto", has_enhancer)
    assert [value for _, value in enhance.choices] == ["auto", "true", "false"]


@pytest.mark.browser
def test_the_keyboard_chooses_an_instrument_and_starts_a_conversion(visit, clip):
    visitor = visit("?steps=1")
    upload(visitor, clip)
    seen = set()
    visitor.focus("#target input:checked")
    visitor.keyboard.press("ArrowRight")
    for _ in range(10):
        seen.add(visitor.evaluate("document.activeElement.closest('[id]:not(input):not(label)')?.id"))
        if "go" in seen:
            break
        visitor.keyboard.press("Tab")
    assert {"target", "hear", "go"} <= seen
    visitor.keyboard.press("Enter")
    wait_until_done(visitor)
    assert visitor.inner_text("#player .ab-title") == "clip → Cello"


@pytest.mark.browser
def test_every_button_has_a_name(visit, clip):
    visitor = visit("?steps=1")
    upload(visitor, clip)
    visitor.click("#go")
    wait_until_done(visitor)
    nameless = visitor.evaluate("""
      [...document.querySelectorAll("button, input:not([type=file]), [role=slider]")]
        .filter((e) => e.offsetParent)
        .filter((e) => !(e.innerText?.trim() || e.ariaLabel || e.title || e.labels?.length || e.placeholder
                         || e.getAttribute("aria-labelledby") || e.querySelector("img")?.alt))
        .map((e) => e.outerHTML.slice(0, 120))""")
    assert nameless == []


@pytest.mark.browser
def test_the_page_describes_itself(visit):
    visitor = visit()
    assert "≤ 200 MB" in visitor.inner_text("#limits")
    visitor.get_by_role("tab", name="About").click()
    visitor.wait_for_selector("text=Data and licences")
    assert visitor.locator(".flow-box").count() == 9
    assert visitor.get_by_role("heading", name="How it works").is_visible()
    assert visitor.get_by_text("Sound above 11 kHz is an estimate").is_visible()
