"""Levels, channels and ends of waveforms as recordings have them."""

import math

import numpy as np
import pytest
import soundfile
import torch

from stylediff.audio import AudioError, limit_clicks, loudness_gain, read_audio, to_mono
from stylediff.mel import MelConfig, normalized_mel
from stylediff.waveform import STEP_LIMIT, fade_edges_, high_pass, mix_channels, remove_rumble
from tests.helpers.files import ROOT

RATE = 22050


@pytest.fixture(scope="module")
def music() -> torch.Tensor:
    samples, _ = read_audio(ROOT / "examples" / "piano_fur_elise.flac")
    return torch.from_numpy(samples[0])


def db(ratio: float) -> float:
    return 20 * math.log10(ratio)


def sine(hz: float, like: torch.Tensor) -> torch.Tensor:
    return torch.sin(2 * math.pi * hz * torch.arange(len(like)) / RATE)


def test_a_clean_take_stays_as_it_is_to_the_bit(music):
    mono = to_mono(music, RATE, RATE)
    assert torch.equal(mono, music)
    assert torch.equal(limit_clicks(mono), music)


@pytest.mark.parametrize("level", [1.0, 0.1, 0.03])
@pytest.mark.parametrize("offset", [0.02, -0.05, 0.1])
def test_an_offset_does_not_change_the_gain(music, level, offset):
    clean, taken = (loudness_gain(to_mono(level * music + extra, RATE, RATE)) for extra in (0.0, offset))
    assert abs(db(taken / clean)) < 0.5


@pytest.mark.parametrize("hz", [10, 15, 18])
@pytest.mark.parametrize("level", [1.0, 0.1])
def test_rumble_does_not_change_the_gain(music, level, hz):
    taken = level * music + 0.05 * sine(hz, music)
    assert abs(db(loudness_gain(to_mono(taken, RATE, RATE)) / loudness_gain(level * music))) < 0.5


@pytest.mark.parametrize("level", [1.0, 0.3, 0.1, 0.03])
@pytest.mark.parametrize("samples", [1, 3, 10])
@pytest.mark.parametrize("places", [[22050], [22050, 44100, 66150, 80000]])
def test_clicks_do_not_turn_the_music_down(music, level, samples, places):
    taken = level * music
    for place in places:
        taken[place : place + samples] = 0.98
    mono = to_mono(taken, RATE, RATE)
    gain = loudness_gain(mono)
    assert abs(db(gain / loudness_gain(level * music))) < 2
    config = MelConfig()
    clean, _ = normalized_mel(level * music, config)
    heard, _ = normalized_mel(mono, config)
    assert float((clean - heard).abs()[..., 200:240].mean()) < 0.25


@pytest.mark.parametrize("level", [0.1, 0.03])
@pytest.mark.parametrize("seconds", [0.1, 0.2])
def test_a_bump_does_not_turn_the_music_down(music, level, seconds):
    taken, end = level * music, RATE + round(seconds * RATE)
    taken[RATE:end] += 0.8 * sine(60, taken[RATE:end])
    assert abs(db(loudness_gain(to_mono(taken, RATE, RATE)) / loudness_gain(level * music))) < 2


def test_a_short_note_beside_hiss_is_no_bump():
    note = torch.zeros(10 * RATE)
    note[RATE : RATE + 6000] = 0.3 * sine(440, note[RATE : RATE + 6000])
    hiss = torch.from_numpy(np.random.default_rng(0).normal(0, 3e-4, 10 * RATE).astype(np.float32))
    assert abs(db(loudness_gain(note + hiss) / loudness_gain(note))) < 0.5


def test_hiss_alone_is_not_turned_up():
    hiss = torch.from_numpy(np.random.default_rng(0).normal(0, 1e-4, 4 * RATE).astype(np.float32))
    mel, gain = normalized_mel(hiss, MelConfig())
    assert gain == 1.0
    assert float(mel.max()) == MelConfig().log_floor


def test_the_quietest_take_is_turned_up(music):
    assert db(loudness_gain(0.02 * music) / loudness_gain(music)) == pytest.approx(34, abs=0.1)


@pytest.mark.parametrize("lag", [0, 1, 5, 12])
def test_an_inverted_side_does_not_cancel(music, lag):
    mono = to_mono(torch.stack([music, -music.roll(lag)]), RATE, RATE)
    torch.testing.assert_close(mono, music)


def test_one_side_alone_keeps_its_level(music):
    for sides in ([music, 0 * music], [0 * music, music], [music, 1e-4 * music]):
        assert abs(db(float(mix_channels(torch.stack(sides)).abs().max() / music.abs().max()))) < 0.1


def test_the_centre_of_5_1_keeps_its_level_and_bass_alone_is_kept(music):
    channels = torch.zeros(6, len(music))
    channels[2], channels[3] = music, 0.5 * sine(50, music)
    torch.testing.assert_close(mix_channels(channels), music)
    channels[2] = 0
    torch.testing.assert_close(mix_channels(channels), channels[3])


def test_usual_stereo_is_averaged(music):
    other = 0.7 * music.roll(300)
    torch.testing.assert_close(mix_channels(torch.stack([music, other])), (music + other) / 2)


def test_no_channel_and_a_transposed_array_are_refused(music):
    with pytest.raises(AudioError, match=r"got \(0, 22050\)"):
        to_mono(torch.zeros(0, RATE), RATE, RATE)
    with pytest.raises(AudioError, match=r"must be \(channels, samples\), got \(22050, 2\), which looks transposed"):
        to_mono(np.zeros((RATE, 2), np.float32), RATE, RATE)


def test_arrays_are_taken_as_tensors_are(music, tmp_path):
    soundfile.write(tmp_path / "stereo.wav", torch.stack([music, music], 1).numpy(), RATE, subtype="FLOAT")
    samples, rate = soundfile.read(tmp_path / "stereo.wav")
    torch.testing.assert_close(to_mono(samples.T, rate, RATE), music)
    with pytest.raises(AudioError, match="got list"):
        to_mono([0.0] * RATE, RATE, RATE)


def test_low_notes_are_no_rumble():
    for hz in (27.5, 30.9, 41.2):
        tone = 0.3 * sine(hz, torch.zeros(4 * RATE))
        kept = remove_rumble(tone, RATE)
        assert abs(db(float(kept[RATE:-RATE].square().mean().sqrt() / tone[RATE:-RATE].square().mean().sqrt()))) < 1


def test_ends_that_would_click_are_faded_and_others_stay():
    loud = 0.5 * torch.cos(torch.arange(5000) / 5)
    faded = fade_edges_(loud.clone(), RATE)
    assert float(faded[[0, -1]].abs().max()) <= STEP_LIMIT
    assert torch.equal(faded[150:-150], loud[150:-150])
    quiet = loud * torch.hann_window(5000, periodic=False)
    assert torch.equal(fade_edges_(quiet.clone(), RATE), quiet)


def test_a_long_waveform_is_filtered_in_pieces_and_is_the_same(monkeypatch):
    rate = 2000
    samples = torch.randn(20 * rate + 77, generator=torch.Generator().manual_seed(0)) * 0.1
    samples += 0.3 * torch.sin(torch.arange(len(samples)) * 2 * torch.pi * 5 / rate)
    whole = high_pass(samples, rate)
    monkeypatch.setattr("stylediff.waveform.FILTERED_S", 4)
    pieces = high_pass(samples, rate)
    assert pieces.shape == whole.shape
    torch.testing.assert_close(pieces[rate:-rate], whole[rate:-rate], atol=2e-5, rtol=0)
    torch.testing.assert_close(pieces, whole, atol=1e-3, rtol=0)
