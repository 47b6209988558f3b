"""What buttons do with values that the page itself would not send, and what an example shows."""

import gradio as gr
import numpy as np
import pytest
import soundfile

from stylediff.mel import MelConfig
from stylediff.page.conversions import build_converter
from stylediff.page.handlers import OUTPUTS, Handlers
from stylediff.page.layout import take_result
from stylediff.page.player import build_player
from stylediff.page.settings import Choices
from tests.helpers.tiny_pipeline import tiny_pipeline, write_tone

REQUEST = gr.Request(headers={"accept-language": "en"})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"target": None}, "unknown instrument 'None'"),
        ({"steps": None}, "steps must be a number, got None"),
        ({"guidance": None}, "guidance must be a number, got None"),
        ({"strength": "all"}, "strength must be a number, got 'all'"),
        ({"start_s": float("inf")}, "start_s must be 0 to 86400, got inf"),
        ({"length_s": None}, "length_s must be a number, got None"),
        ({"like": None}, "like must be a number, got None"),
    ],
)
def test_settings_of_another_kind_give_a_sentence(clip, wrong, sentence):
    handlers = Handlers(build_converter(tiny_pipeline()), MelConfig(), build_player(), {})
    values = (Choices(steps=1).to_dict() | wrong).values()
    with pytest.raises(gr.Error, match=sentence):
        next(handlers.convert(str(clip), False, False, None, *values, REQUEST))


def test_a_result_that_is_gone_is_a_sentence(clip):
    assert take_result(str(clip)) == str(clip)
    with pytest.raises(gr.Error, match="Results are kept for an hour"):
        take_result(f"{clip}.gone")


def test_an_example_of_two_channels_is_shown_with_its_result(clip, tmp_path):
    result = write_tone(tmp_path / "clip_to_harp_seed3.flac", 60_002, 44100, channels=2)
    handlers = Handlers(build_converter(tiny_pipeline()), MelConfig(), build_player(), {"clip": result})
    shown = dict(zip(OUTPUTS, handlers.show_example(str(clip), REQUEST), strict=True))
    assert np.array_equal(soundfile.read(shown["output"])[0], soundfile.read(result)[0])
    assert shown["seed"] == 3
    served = {shown["player"][side].removeprefix("gradio_api/file=") for side in ("a", "b")}
    assert served <= handlers.player.temp_files  # or gradio would keep them for ever
    assert shown["side"].width > shown["side"].height
