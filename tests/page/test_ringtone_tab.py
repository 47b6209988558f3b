"""Ringtones through the API and on the page, around a tiny pipeline."""

import inspect
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stylediff.audio import read_audio
from stylediff.page.ringtone_tab import RingtoneTab
from stylediff.ringtone import RingtoneSettings
from stylediff.settings import declarations
from stylediff.tone_files import read_title
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import with_detector
from tests.helpers.visitors import open_tab

ELISE = ROOT / "examples" / "piano_fur_elise.flac"


@pytest.mark.slow
def test_the_endpoint_gives_a_tone_and_the_part_that_was_chosen(address):
    client = Client(address, verbose=False)
    file, facts = client.predict(
        handle_file(str(ELISE)), to="harp", seconds=4, steps=1, format="ogg", api_name="/ringtone"
    )
    assert Path(file).name == "Piano fur elise (harp).ogg"
    samples, rate = read_audio(file)
    assert samples.shape[1] / rate == pytest.approx(facts["duration_s"], abs=0.001)
    assert facts["end_s"] - facts["start_s"] == pytest.approx(facts["duration_s"], abs=0.001)
    assert facts["duration_s"] <= 4
    assert (facts["to"], facts["title"]) == ("harp", "Piano fur elise")


@pytest.mark.slow
@pytest.mark.parametrize(("score", "warns"), [(1.0, True), (-1.0, False)])
def test_several_instruments_are_named_in_the_facts(score, warns):
    endpoint = RingtoneTab(with_detector(score)).endpoint()
    values = {name: parameter.default for name, parameter in inspect.signature(endpoint).parameters.items()}
    source = {"path": str(ELISE), "meta": {"_type": "gradio.FileData"}}
    values |= {"source": source, "to": "harp", "seconds": 3.0, "steps": 1}
    _, facts = endpoint(*values.values())
    assert ("warning" in facts) == warns


def test_every_setting_is_a_parameter(address):
    info = Client(address, verbose=False).view_api(return_format="dict")["named_endpoints"]["/ringtone"]
    names = {parameter["parameter_name"] for parameter in info["parameters"]}
    assert names == {"source", "format", "title", *declarations(RingtoneSettings)}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source": None}, "Add a clip first"),
        ({"format": "aiff"}, "format must be one of m4r, ogg, mp3, wav, got 'aiff'"),
        ({"seconds": 30}, "seconds must be 2 to 29.5, got 30"),
        ({"to": "kazoo"}, "to must be one of original"),
        ({"start_s": 500}, "start at second"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(address, wrong, sentence):
    arguments = {"source": handle_file(str(ELISE))} | wrong
    with pytest.raises(AppError, match=sentence):
        Client(address, verbose=False).predict(**arguments, api_name="/ringtone")


@pytest.mark.browser
def test_a_visitor_on_a_phone_makes_a_ringtone(visit, tmp_path):
    visitor = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, locale="en-US")
    open_tab(visitor, "Ringtone")
    visitor.click("#tone_go")
    visitor.wait_for_selector(".toast-body")
    assert "Add a clip first" in visitor.inner_text(".toast-body")
    visitor.set_input_files("#tone_source input[type=file]", str(ELISE))
    visitor.wait_for_selector("#tone_source .waveform-container")
    visitor.locator("#tone_to").get_by_label("harp").check()
    visitor.locator("#tone_loop input").check()
    visitor.click("#tone_go")
    visitor.wait_for_function("document.querySelector('#tone_status').innerText.startsWith('Done')", timeout=60_000)
    assert not visitor.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert "It is a loop." in visitor.inner_text("#tone_facts")
    visitor.wait_for_selector("#tone_part img")
    for ending in ("m4r", "ogg", "mp3", "wav"):
        with visitor.expect_download() as download:
            visitor.click(f"#tone_files a[download$={ending}]")
        assert download.value.suggested_filename == f"Piano fur elise (harp).{ending}"
        download.value.save_as(tmp_path / f"tone.{ending}")
        assert read_title(tmp_path / f"tone.{ending}") == "Piano fur elise"
