"""Trainer of the mix detector, on a tiny cache with one band per instrument."""

import json

import numpy as np
import pytest
import soundfile
import torch

from stylediff import MixDetector, StyleEncoder
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.trainers.test_classifier import write_cache
from train.data.mel_cache import CacheError, read_cache
from train.data.recordings import HELD_OUT, TRAIN, RecordingError, split_of
from train.trainers.mix_detector import FOLD, SIZES, add_up, cached_clips, recorded_clips, sample_mixes, train
from train.trainers.settings import MixDetectorSettings

main = command("mix-detector")
MEL = MelConfig()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    StyleEncoder([f"{name}/Tiny-0" for name in INSTRUMENT_NAMES], 2, 16, 16).save_pretrained(folder)
    return folder


def settings(cache, encoder, out, **changes):
    values = {"steps": 2, "batch_size": 8, "width": 16, "log_every": 1} | changes
    return MixDetectorSettings(cache=cache, style_encoder=encoder, out=out, precision="no", **values)


def test_powers_of_instruments_add_up_at_the_loudness_of_one():
    tone = torch.full((1, 4, 5), -2.0)
    assert torch.allclose(add_up(torch.stack([tone, tone]), torch.zeros(2), MEL.log_floor), tone)
    silence = torch.full((1, 4, 5), MEL.log_floor)
    halved = add_up(torch.stack([tone, silence]), torch.zeros(2), MEL.log_floor)
    assert torch.allclose(halved, tone - 0.3466, atol=1e-3)  # half of the power
    assert torch.equal(add_up(silence[None], torch.zeros(1), MEL.log_floor), silence)


def test_mixes_have_different_instruments(cache):
    opened = read_cache(cache, MEL)
    mels, sizes = sample_mixes(cached_clips(opened, "train"), 40, MEL, torch.Generator().manual_seed(0))
    assert mels.shape[:3] == (40, 1, 256)
    assert set(sizes.tolist()) == set(SIZES)
    bands = (mels[:, 0, :, :64].mean(-1) > MEL.log_floor + 1).float()  # each instrument has 12 bands of its own
    assert torch.equal(bands.sum(1), 12.0 * sizes)


def test_it_learns_to_tell_mixes_and_keeps_to_its_false_alarms(cache, encoder, tmp_path):
    model = train(settings(cache, encoder, tmp_path, steps=150, learning_rate=1e-2, batch_size=32, false_alarms=0.1))
    assert isinstance(MixDetector.from_pretrained(tmp_path / "mix_detector"), MixDetector)
    shares = json.loads((tmp_path / "shares.json").read_text())["cache"]
    assert shares["1"] <= 0.11
    assert min(shares["3"], shares["4"]) > 0.6
    opened = read_cache(cache, MEL)
    mels, sizes = sample_mixes(cached_clips(opened, "test"), 64, MEL, torch.Generator().manual_seed(9))
    with torch.no_grad():
        named = model(StyleEncoder.from_pretrained(encoder).encode_reference(mels)) > 0
    assert float((named == (sizes > 1)).float().mean()) > 0.7


def test_too_few_instruments_are_reported(encoder, tmp_path, capsys):
    cache = write_cache(tmp_path / "cache", INSTRUMENT_NAMES[:2])
    with pytest.raises(CacheError, match="the train split of the cache has fewer than 4 instruments"):
        cached_clips(read_cache(cache, MEL), "train")
    arguments = ["--cache", cache, "--style-encoder", encoder, "--out", tmp_path / "out"]
    assert main([str(argument) for argument in arguments]) == 2
    assert "fewer than 4 instruments" in capsys.readouterr().err


@pytest.fixture
def recordings(tmp_path):
    """Tones of four instruments, an octave apart: five that may be trained on, and a held-out one."""
    names = [f"take {number}" for number in range(30)]
    of_split = {split: [name for name in names if split_of(name) == split] for split in (TRAIN, HELD_OUT)}
    for octave, instrument in enumerate(INSTRUMENT_NAMES[:4]):
        (tmp_path / "recordings" / instrument).mkdir(parents=True)
        for name in [*of_split[TRAIN][:FOLD], of_split[HELD_OUT][0]]:
            tone = 0.1 * np.sin(2 * np.pi * 220 * 2**octave * np.arange(4 * 22050) / 22050)
            soundfile.write(tmp_path / "recordings" / instrument / f"{name}.wav", tone, 22050)
    return tmp_path / "recordings"


def test_recordings_are_divided_and_held_out_ones_are_left_out(recordings, cache, encoder, tmp_path):
    to_train, to_validate = recorded_clips(recordings, MEL)
    assert [len(clips) for clips in to_train] == [FOLD - 1] * 4
    assert [len(clips) for clips in to_validate] == [1] * 4
    train(settings(cache, encoder, tmp_path, recordings=str(recordings)))
    assert json.loads((tmp_path / "shares.json").read_text()).keys() == {"cache", "recordings"}


def test_too_few_recordings_are_reported(recordings):
    for path in (recordings / INSTRUMENT_NAMES[0]).iterdir():
        path.unlink()
    with pytest.raises(RecordingError, match="fewer than 4 instruments with 5 clips"):
        recorded_clips(recordings, MEL)
