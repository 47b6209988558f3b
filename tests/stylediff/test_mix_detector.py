import pytest
import torch

from stylediff import StyleTransferPipeline
from stylediff.audio import AudioError
from stylediff.mel import MelConfig
from stylediff.mix_detector import MOST_WINDOWS, cut_windows
from tests.helpers.tiny_pipeline import tiny_pipeline, with_detector

RATE, MEL = 22050, MelConfig()


def test_a_long_clip_is_heard_in_windows_with_sound():
    mel = torch.full((1, 1, 256, 4300), -3.0)
    assert cut_windows(mel, MEL).shape == (MOST_WINDOWS, 1, 256, 430)
    mel[..., 1000:] = MEL.log_floor
    assert len(cut_windows(mel, MEL)) == 2
    assert cut_windows(mel[..., :600], MEL).shape[0] == 2
    assert cut_windows(mel[..., :100], MEL).shape == (1, 1, 256, 100)
    assert len(cut_windows(mel[..., :8], MEL)) == 0


def test_the_score_decides():
    tone = 0.3 * torch.sin(0.1 * torch.arange(3 * RATE))
    assert with_detector(1.0).is_mix(tone, RATE)
    assert not with_detector(-1.0).is_mix(tone, RATE)
    assert with_detector(1.0).is_mix(torch.stack([tone, tone]).numpy(), RATE)
    assert with_detector(1.0).to(torch.bfloat16).is_mix(tone, RATE)


def test_silence_and_models_without_a_detector_are_no_mix():
    tone = 0.3 * torch.sin(0.1 * torch.arange(3 * RATE))
    assert not tiny_pipeline().is_mix(tone, RATE)
    assert not with_detector(1.0).is_mix(torch.zeros(RATE), RATE)
    with pytest.raises(AudioError):
        with_detector(1.0).is_mix(torch.full((RATE,), float("nan")), RATE)


def test_a_saved_pipeline_keeps_its_detector(tmp_path):
    with_detector(1.0).save_pretrained(tmp_path)
    loaded = StyleTransferPipeline.from_pretrained(tmp_path)
    assert loaded.is_mix(0.3 * torch.sin(0.1 * torch.arange(RATE)), RATE)
