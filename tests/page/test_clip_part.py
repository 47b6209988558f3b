"""The strip on which a part of the clip is chosen."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from stylediff.page import clip_part
from stylediff.page.clip_part import choose_part, peaks_of
from stylediff.page.uploads import MAX_SECONDS
from tests.helpers.visitors import upload

WHOLE = (0.0, float(MAX_SECONDS))


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        ({"first": 1.04, "last": 3.3}, (1.0, 2.5)),
        ({"first": 1.0, "last": 1.1}, (1.0, 0.5)),
        ({"first": -3, "last": 2}, (0.0, 2.0)),
        ({"first": 0, "last": 10_000}, WHOLE),
        ({"first": "0", "last": 3}, WHOLE),
        ({"first": float("nan"), "last": 3}, WHOLE),
        ({}, WHOLE),
    ],
)
def test_a_drag_becomes_a_start_and_a_length(sent, part):
    assert choose_part(SimpleNamespace(**sent)) == part


def test_the_waveform_is_drawn_of_files_that_are_not_long(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.repeat([0.1, 0.4, 0.0], 8000), 8000)
    peaks = peaks_of(str(path))
    assert len(peaks) == clip_part.PEAKS
    assert (peaks[10], peaks[150], peaks[290]) == pytest.approx((0.25, 1.0, 0.0), abs=0.01)
    monkeypatch.setattr(clip_part, "DRAWN_S", 2.0)
    peaks_of.cache_clear()
    assert peaks_of(str(path)) == ()


@pytest.mark.browser
def test_a_part_is_chosen_by_dragging_and_all_by_a_click(visit, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(10 * 22050) / 8), 22050)
    visitor = visit("?steps=1")
    upload(visitor, path)
    visitor.wait_for_selector("#clip_facts >> text='Converts 0:00–0:10 of 0:10'")
    strip = visitor.locator("#clip_facts .part")
    box = strip.bounding_box()

    def point_at(share):  # waits until the strip no longer moves, which a loading player above it may cause
        strip.hover(position={"x": share * box["width"], "y": box["height"] / 2})

    point_at(0.2)
    visitor.mouse.down()
    point_at(0.4)
    point_at(0.6)
    visitor.mouse.up()
    visitor.wait_for_selector("#clip_facts >> text='Converts 0:02–0:06 of 0:10'")
    box, chosen = strip.bounding_box(), visitor.locator("#clip_facts .part-chosen").bounding_box()
    assert chosen["x"] - box["x"] == pytest.approx(0.2 * box["width"], abs=4)
    assert chosen["width"] == pytest.approx(0.4 * box["width"], abs=6)
    visitor.click("#go")
    visitor.wait_for_selector("#status >> text=/^Done/")
    assert "Converts 0:02–0:06 of 0:10" in visitor.text_content("#player .ab-facts ul")
    visitor.click("#clip_facts .part")
    visitor.wait_for_selector("#clip_facts >> text='Converts 0:00–0:10 of 0:10'")
