"""Codes through the API and on the page, around a tiny pipeline."""

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stylediff.codes import CodeSettings, code_clip, load_dictionary
from stylediff.page.codes_tab import band_name, describe_code, draw_sheet, percent
from stylediff.page.translations import words_for
from stylediff.settings import declarations
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline
from tests.helpers.visitors import open_tab

MINUET = ROOT / "examples" / "violin_minuet.flac"


def test_the_endpoint_gives_sound_and_codes(address):
    client = Client(address, verbose=False)
    file, facts = client.predict(handle_file(str(MINUET)), size="64", api_name="/codes")
    assert file.endswith("violin_minuet_64_codes.wav")
    assert soundfile.info(file).duration == pytest.approx(soundfile.info(MINUET).duration, abs=0.01)
    samples, rate = soundfile.read(MINUET, dtype="float32")
    expected = code_clip(tiny_pipeline(), samples, rate, load_dictionary(64))
    assert facts["codes"] == expected.codes.tolist()
    assert facts["used"] == expected.used
    assert facts["bits_per_second"] == pytest.approx(expected.bits_per_second, abs=0.1)


def test_every_setting_is_a_parameter(address):
    info = Client(address, verbose=False).view_api(return_format="dict")["named_endpoints"]["/codes"]
    names = [parameter["parameter_name"] for parameter in info["parameters"]]
    assert names == ["source", *declarations(CodeSettings)]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"source": None}, "Add a clip first"), ({"size": "7"}, "size must be one of 16, 64, 256, 1024")],
)
def test_what_cannot_be_used_is_a_sentence(address, wrong, sentence):
    arguments = {"source": handle_file(str(MINUET))} | wrong
    with pytest.raises(AppError, match=sentence):
        Client(address, verbose=False).predict(**arguments, api_name="/codes")


def test_a_card_says_what_a_code_stands_for_and_what_not():
    dictionary, words = load_dictionary(16), words_for("en")
    values = dictionary.meanings.values["instrument"]
    for code in range(16):
        lines = describe_code(code, 0.25, dictionary, words)
        assert lines[0].startswith("25% of this clip")
        assert lines[-1].startswith("Level: ")
        assert (words["code_no_instrument"] in lines) == (values[code] < 0)
        assert not any("{" in line for line in lines)
    assert band_name(0) == "43–441 Hz"
    assert (percent(0.0), percent(0.034), percent(0.5)) == ("0%", "3.4%", "50%")


def test_the_sheet_has_a_strip_for_each_code():
    assert draw_sheet(np.arange(16), load_dictionary(16)).startswith("data:image/webp;base64,")


@pytest.mark.browser
def test_a_visitor_on_a_phone_explores_the_codes_of_a_clip(visit):
    visitor = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, locale="en-US")
    open_tab(visitor, "Codes")
    visitor.click("#codes_go")
    visitor.wait_for_selector(".toast-body")
    assert "Add a clip first" in visitor.inner_text(".toast-body")
    visitor.set_input_files("#codes_source input[type=file]", str(MINUET))
    visitor.wait_for_selector("#codes_source .controls")
    visitor.locator("#codes_size input[value='64']").check()
    visitor.click("#codes_go")
    visitor.wait_for_selector("#code_map .cm:not([hidden])", timeout=60_000)
    assert "of 64 codes occur" in visitor.inner_text(".cm-facts")
    assert not visitor.is_visible(".cm-code")
    codes = visitor.locator(".cm-codes")
    codes.scroll_into_view_if_needed()
    codes.click(position={"x": 120, "y": 150})
    first = visitor.inner_text(".cm-title b")
    assert first.startswith("Code ")
    assert visitor.locator(".cm-code li").count() >= 3
    assert visitor.evaluate("document.querySelector('.cm-pictures').width") > 40
    seen = {first}
    for _ in range(12):
        codes.press("ArrowUp")
        seen.add(visitor.inner_text(".cm-title b"))
    assert len(seen) > 1
    visitor.wait_for_selector("#codes_player .ab-play")
    assert not visitor.evaluate("document.documentElement.scrollWidth > innerWidth")
