"""Sound of a long clip while it is made: its files, and the button in the browser."""

import numpy as np
import pytest
import soundfile

from stylediff.page.conversions import Heard
from stylediff.page.live_sound import LiveSound
from stylediff.page.player import build_player
from stylediff.page.translations import words_for
from tests.helpers.tiny_pipeline import TONE_RATE, write_tone
from tests.helpers.visitors import choose_steps, clear_clip, upload

WORDS = words_for("en")


def test_parts_are_files_in_order_and_the_end_is_reported():
    live = LiveSound(build_player(), WORDS)
    assert live.value()["parts"] == []
    for level in (0.1, 0.2):
        live.add(Heard(np.full(1000, level, np.float32), TONE_RATE))
    value = live.value(has_ended=True)
    sounds = [soundfile.read(part.removeprefix("gradio_api/file="))[0] for part in value["parts"]]
    assert [sound[0] for sound in sounds] == pytest.approx([0.1, 0.2], abs=1e-3)
    assert value["has_ended"]
    assert value["id"] == live.value()["id"] != LiveSound(build_player(), WORDS).value()["id"]


def test_parts_after_a_loud_one_are_as_much_quieter():
    live = LiveSound(build_player(), WORDS)
    for level in (0.5, 2.0, 0.5):
        live.add(Heard(np.full(1000, level, np.float32), TONE_RATE))
    parts = live.value()["parts"]
    first, loud, last = (soundfile.read(part.removeprefix("gradio_api/file="))[0][0] for part in parts)
    assert first == pytest.approx(0.5, abs=1e-3)
    assert 0.9 < loud < 1
    assert last == pytest.approx(loud / 4, abs=1e-3)


@pytest.mark.browser
def test_a_visitor_listens_while_a_long_clip_is_made(visit, tmp_path):
    visitor = visit(locale="en-US")
    clear_clip(visitor)
    upload(visitor, write_tone(tmp_path / "long.wav", 180 * TONE_RATE))
    choose_steps(visitor, 40)
    assert not visitor.is_visible(".live-play")
    visitor.click("#go")
    visitor.wait_for_selector(".live-play", timeout=60_000)
    assert visitor.inner_text(".live-play") == "▶ Listen while it is made"
    visitor.click(".live-play")
    visitor.wait_for_function("document.querySelector('.live-play').dataset.state === 'playing'")
    assert "% done" in visitor.inner_text("#status")
    visitor.wait_for_function("document.querySelector('#status').innerText.startsWith('Done')", timeout=120_000)
    visitor.click("#player .ab-play")
    visitor.wait_for_function("document.querySelector('#player .ab-play').dataset.state === 'playing'")
    visitor.wait_for_selector(".live-play", state="hidden")
