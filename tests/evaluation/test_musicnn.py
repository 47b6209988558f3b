import numpy as np
import pytest
import torch

from stylediff.audio import AudioError, resample
from train.evaluation.musicnn import FEATURES, PATCH_FRAMES, TAG_OF, TAGS, Musicnn

# outputs of the shipped weights with librosa 0.11: guitar, strings, piano, violin, flute, harp, cello
EXPECTED_TAGS = [0.1939, 0.0516, 0.2494, 0.017, 0.004, 0.0199, 0.005]
EXPECTED_FEATURES = [-0.08, -0.033, 2.078, -0.186, 0.996, -0.17]


@pytest.fixture(scope="module")
def musicnn() -> Musicnn:
    return Musicnn()


def struck_notes(seconds: float, rate: int = 16000) -> torch.Tensor:
    """Eight partials of 440 Hz, struck twice a second."""
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    tone = sum(torch.sin(2 * torch.pi * 440 * k * time) / k for k in range(1, 9))
    return (0.1 * tone * torch.exp(-3 * (time % 0.5))).float()


def test_a_known_signal_has_the_known_outputs(musicnn):
    tagging = musicnn(struck_notes(5), 16000)
    assert tagging.probabilities.shape == (3, TAGS)
    assert tagging.features.shape == (3, FEATURES)
    assert tagging.mean_features == pytest.approx(tagging.features.mean(0))
    found = [tagging.tag(name) for name in TAG_OF]
    assert found == pytest.approx(EXPECTED_TAGS, abs=2e-3)
    assert tagging.features[0, :6] == pytest.approx(EXPECTED_FEATURES, abs=2e-2)


def test_instruments_without_a_tag_have_no_probability(musicnn):
    tagging = musicnn(struck_notes(3), 16000)
    assert tagging.tag("trumpet") is None
    assert 0 < tagging.tag("piano") < 1


def test_level_does_not_matter(musicnn):
    loud, soft = (musicnn(gain * struck_notes(3), 16000).probabilities for gain in (3.0, 0.01))
    assert loud == pytest.approx(soft, abs=1e-4)


def test_other_sample_rates_give_nearly_the_same_tags(musicnn):
    wave = struck_notes(4, 44100)
    direct = musicnn(resample(wave, 44100, 16000), 16000).probabilities
    assert musicnn(wave, 44100).probabilities == pytest.approx(direct, abs=1e-6)
    assert musicnn(struck_notes(4), 16000).probabilities == pytest.approx(direct, abs=0.05)


def test_a_clip_of_less_than_a_patch_is_repeated(musicnn):
    patches = musicnn.patches(struck_notes(1.5), 16000)
    assert patches.shape == (1, PATCH_FRAMES, 96)
    assert patches[0] == pytest.approx(musicnn.patches(struck_notes(3), 16000)[0], abs=0.05)
    assert len(musicnn.patches(struck_notes(5.5), 16000)) == 3


def test_unusable_clips_are_refused(musicnn):
    with pytest.raises(AudioError, match=r"clip is 0\.50 s; musicnn needs at least 1\.0 s"):
        musicnn(struck_notes(0.5), 16000)
    with pytest.raises(AudioError, match="one channel"):
        musicnn(struck_notes(3)[None], 16000)
    with pytest.raises(AudioError, match="finite"):
        musicnn(struck_notes(3) * float("nan"), 16000)


def test_silence_has_finite_outputs(musicnn):
    tagging = musicnn(torch.zeros(3 * 16000), 16000)
    assert np.isfinite(tagging.features).all()
    assert 0 <= tagging.tag("violin") < 0.1


def test_missing_weights_are_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match="musicnn's weights are missing"):
        Musicnn(tmp_path / "none.onnx")
