"""Repair through the API and on the page, around a tiny pipeline."""

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stylediff.page.repair_tab import split_gaps
from stylediff.repair import RepairSettings
from stylediff.settings import declarations
from tests.helpers.files import ROOT
from tests.helpers.visitors import open_tab

MINUET = ROOT / "examples" / "violin_minuet.flac"


@pytest.fixture
def damaged(tmp_path):
    samples, rate = soundfile.read(MINUET)
    samples[40000:44410] = 0
    soundfile.write(tmp_path / "my violin.wav", samples, rate)
    return tmp_path / "my violin.wav"


def test_gaps_are_read_as_people_write_them():
    for text in ("1.2-1.45, 3-3.1", "1.2 - 1.45; 3 – 3.1", "1.2-1.45 3-3.1"):
        assert [(gap.start_s, gap.end_s) for gap in split_gaps(text)] == [(1.2, 1.45), (3.0, 3.1)]
    assert split_gaps("") == split_gaps(None) == []


@pytest.mark.slow
def test_the_endpoint_finds_and_fills_and_says_what(address, damaged):
    client = Client(address, verbose=False)
    file, facts = client.predict(handle_file(str(damaged)), auto=True, steps=1, api_name="/repair")
    assert file.endswith("my_violin_repaired.wav")
    [part] = facts["parts"]
    assert part["kind"] == "dropout"
    assert part["start_s"] == pytest.approx(40000 / 22050, abs=0.001)
    before, after = soundfile.read(damaged)[0], soundfile.read(file)[0]
    assert np.array_equal(before[:40000], after[:40000])
    assert np.array_equal(before[44410:], after[44410:])
    assert np.abs(after[40000:44410]).max() > 0.001


def test_every_setting_is_a_parameter(address):
    info = Client(address, verbose=False).view_api(return_format="dict")["named_endpoints"]["/repair"]
    names = [parameter["parameter_name"] for parameter in info["parameters"]]
    assert names == ["source", "gaps", *declarations(RepairSettings)]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source": None}, "Add a clip first"),
        ({"gaps": "2-1"}, "a gap must be two seconds in order"),
        ({"gaps": "100-101"}, "is not in the clip"),
        ({"denoise": 3}, "denoise must be 0 to 1, got 3"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_used_is_a_sentence(address, wrong, sentence):
    arguments = {"source": handle_file(str(MINUET))} | wrong
    with pytest.raises(AppError, match=sentence):
        Client(address, verbose=False).predict(**arguments, api_name="/repair")


@pytest.mark.browser
def test_a_visitor_on_a_phone_marks_a_part_and_hears_it_repaired(visit, damaged):
    visitor = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, locale="en-US")
    open_tab(visitor, "Repair")
    visitor.click("#repair_go")
    visitor.wait_for_selector(".toast-body")
    assert "Add a clip first" in visitor.inner_text(".toast-body")
    visitor.set_input_files("#repair_source input[type=file]", str(damaged))
    picture = visitor.wait_for_selector("#repair_strip img")
    box = picture.bounding_box()
    for share in (0.5, 0.52):
        picture.click(position={"x": share * box["width"], "y": box["height"] / 2})
        visitor.wait_for_timeout(1000)
    visitor.wait_for_function("document.querySelector('#repair_gaps textarea, #repair_gaps input').value.includes('-')")
    visitor.click("#repair_go")
    visitor.wait_for_function("document.querySelector('#repair_status').innerText.startsWith('Done')", timeout=60_000)
    facts = visitor.inner_text("#repair_facts")
    assert "1 × dropout" in facts
    assert "1 × gap" in facts
    visitor.wait_for_selector("#repair_player .ab-play")
    visitor.wait_for_selector("#repair_parts img")
    assert not visitor.evaluate("document.documentElement.scrollWidth > innerWidth")
