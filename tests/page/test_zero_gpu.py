import numpy as np

from stylediff.page.choices import Choices
from stylediff.page.clips import Clip
from stylediff.page.zero_gpu import on_gpu, seconds_needed, spaces


def clip(seconds: float) -> Clip:
    return Clip(np.zeros((1, round(22050 * seconds)), np.float32), 22050, 0.0, seconds, "clip")


def test_the_time_asked_for_grows_with_the_work_and_stays_short():
    usual = seconds_needed(clip(5), Choices(), previews=4)
    assert 8 < usual <= 15
    assert seconds_needed(clip(60), Choices()) > seconds_needed(clip(5), Choices())
    assert seconds_needed(clip(5), Choices(steps=50)) > usual
    assert seconds_needed(clip(5), Choices(guidance=2.0)) > seconds_needed(clip(5), Choices())
    assert seconds_needed(clip(60), Choices(steps=50, guidance=4.0)) <= 60 * 3


def test_where_no_gpu_is_lent_a_function_stays_itself():
    def function() -> None: ...

    assert spaces is not None or on_gpu(function) is function
