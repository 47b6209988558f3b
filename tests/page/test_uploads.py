import numpy as np
import pytest
import soundfile

from stylediff.audio import AudioError
from stylediff.mel import MelConfig
from stylediff.page.uploads import MAX_SECONDS, load_clip


@pytest.fixture
def ramp(tmp_path):
    """Ten seconds whose samples encode their position."""
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.stack([np.arange(80_000) / 80_000] * 2, axis=1), 8000, subtype="FLOAT")
    return path


def test_a_part_begins_and_ends_as_requested(ramp):
    clip = load_clip(ramp, 2.0, 3.0)
    assert clip.samples.shape == (2, 24_000)
    assert clip.samples[0, 0] == pytest.approx(0.2)
    assert (clip.name, clip.file_seconds, clip.seconds) == ("ramp", 10.0, 3.0)
    assert clip.describe(MelConfig()) == "8 kHz stereo → 22.05 kHz mono, seconds 2.0–5.0 (of 10.0 s)"


def test_a_short_file_is_used_whole(ramp):
    clip = load_clip(ramp, 0.0, 30.0)
    assert clip.seconds == 10.0
    assert clip.describe(MelConfig()).endswith("seconds 0.0–10.0 (whole clip)")


def test_the_length_is_limited_to_what_the_page_allows(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(int((MAX_SECONDS + 5) * 1000)), 1000)
    assert load_clip(path, 0.0, 1e9).seconds == MAX_SECONDS


def test_a_start_after_the_end_is_refused(ramp, tmp_path):
    with pytest.raises(AudioError, match=r"the clip is 10\.0 s long; it cannot start at second 10"):
        load_clip(ramp, 10.0, 5.0)
    with pytest.raises(AudioError, match=r"no such file: none\.wav"):
        load_clip(tmp_path / "none.wav", 0.0, 5.0)
