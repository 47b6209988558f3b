import numpy as np
import torch

from stylediff.mel import MelConfig
from stylediff.plotting import DYNAMIC_RANGE, colour_image, mels_to_image, spectrogram_figure


def test_low_bands_are_at_the_bottom():
    mel = torch.full((256, 10), -7.0)
    mel[0] = 0.0
    image = colour_image(mel, top=0.0)
    assert image.shape == (256, 10, 3)
    assert image[-1].min() > image[0].max()


def test_brightness_follows_level_down_to_the_dynamic_range():
    levels = torch.tensor([[0.0], [-2.0], [-5.0], [-DYNAMIC_RANGE], [-20.0]])
    brightness = colour_image(levels, top=0.0).astype(int).sum(2)[::-1, 0]
    assert (np.diff(brightness[:4]) < 0).all()
    assert brightness[3] == brightness[4]


def test_mels_share_one_scale_and_are_divided_by_a_line():
    loud, quiet = torch.full((256, 12), 1.0), torch.full((256, 12), -3.0)
    image = mels_to_image([loud, quiet], MelConfig())
    assert image.shape == (256 + 2 + 256, 12, 3)
    assert image.dtype == np.uint8
    assert (image[256:258] == 255).all()
    assert int(image[0].sum()) > int(image[-1].sum())


def test_silence_is_dark():
    config = MelConfig()
    image = mels_to_image([torch.full((256, 4), config.log_floor)], config)
    assert image.max() < 10


def test_a_title_is_on_the_requested_side():
    mel = torch.zeros(256, 40)
    for side, is_left in (("left", True), ("right", False)):
        figure = spectrogram_figure([mel], ("violin",), MelConfig(), title_side=side)
        columns = np.nonzero((np.asarray(figure.convert("L"))[4:14, 60:480] < 128).any(axis=0))[0]
        assert len(columns)
        assert (columns.max() < 200) == is_left
        assert (columns.min() > 220) == (not is_left)
