import numpy as np
import pytest
import soxr
import torch

from stylediff.audio import PEAK_LIMIT
from stylediff.room import ROOMS, add_room, convolve, energy, get_room, impulse_response

RATE = 22050
NAMES = [name for name, room in ROOMS.items() if room is not None]


def decay_time(response: np.ndarray) -> float:
    """RT60 from the slope between -5 and -25 dB of the backward-integrated energy (Schroeder 1965)."""
    energy = np.cumsum(response[::-1] ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    first, last = (int(np.argmax(level < bound)) for bound in (-5, -25))
    return 3 * (last - first) / RATE


@pytest.mark.parametrize("name", NAMES)
def test_a_room_has_its_decay_time(name):
    room = get_room(name)
    assert decay_time(impulse_response(room, RATE)) == pytest.approx(room.decay_s, rel=0.4)


def test_high_frequencies_decay_faster():
    response = impulse_response(get_room("hall"), RATE)
    quarter = len(response) // 4
    early, late = (
        np.abs(np.fft.rfft(part * np.hanning(quarter)))
        for part in (response[:quarter], response[quarter : 2 * quarter])
    )
    hz = np.fft.rfftfreq(quarter, 1 / RATE)
    lost = [np.mean(early[band] ** 2) / np.mean(late[band] ** 2) for band in (hz < 1500, hz > 4000)]
    assert lost[1] > 2 * lost[0]


@pytest.mark.parametrize("name", NAMES)
def test_energy_and_length_stay(name):
    clip = torch.randn(RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    made = add_room(clip, RATE, name)
    assert made.shape == clip.shape
    assert made.dtype == clip.dtype
    assert float(made.square().sum()) == pytest.approx(float(clip.square().sum()), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_room_is_the_same_at_every_rate(name):
    slow, fast = (impulse_response(get_room(name), rate) for rate in (22050, 44100))
    assert len(fast) == pytest.approx(2 * len(slow), abs=1)
    gains = [np.abs(np.fft.rfft(response, 2 * rate)) for response, rate in ((slow, 22050), (fast, 44100))]
    np.testing.assert_allclose(gains[0][100:20000], gains[1][100:20000], rtol=0.02, atol=0.01)  # 50 Hz to 10 kHz
    halved = 2 * soxr.resample(fast, 44100, 22050, quality="VHQ")
    assert decay_time(halved) == pytest.approx(decay_time(slow), rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_sounds_the_same_in_a_room_at_every_rate(name):
    noise = np.random.default_rng(0).normal(size=16000) * np.linspace(0.1, 0, 16000)  # nothing above 8 kHz
    clips = [torch.from_numpy(soxr.resample(noise, 16000, rate, quality="VHQ")) for rate in (RATE, 2 * RATE)]
    slow, fast = (add_room(clip, rate, name) for clip, rate in zip(clips, (RATE, 2 * RATE), strict=True))
    error = soxr.resample(fast.numpy(), 2 * RATE, RATE, quality="VHQ") - slow.numpy()
    assert np.square(error).mean() < 1e-3 * np.square(slow.numpy()).mean()


def test_a_loud_clip_becomes_quieter_instead_of_clipping():
    rng = np.random.default_rng(0)
    bursts = np.where(np.arange(RATE) % 200 < 20, rng.choice([-1.0, 1.0], RATE), 0)
    made = add_room(torch.from_numpy(bursts), RATE, "hall")
    assert float(made.abs().max()) == pytest.approx(PEAK_LIMIT)


def test_a_dry_room_and_silence_change_nothing():
    clip = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(add_room(clip, RATE, "dry"), clip)
    assert torch.equal(add_room(torch.zeros(RATE), RATE, "hall"), torch.zeros(RATE))


def test_the_tail_is_kept_on_request():
    click = torch.zeros(RATE)
    click[-1] = 1.0
    made = add_room(click, RATE, "hall", keep_tail=True)
    assert len(made) == RATE + round(1.9 * RATE) - 1
    assert float(made[RATE:].abs().max()) > 1e-3


def test_an_onset_stays_where_it_is():
    click = torch.zeros(RATE)
    click[1000] = 1.0
    made = add_room(click, RATE, "room")
    assert int(made.abs().argmax()) == 1000
    assert float(made[:1000].abs().max()) < 1e-9


def test_an_unknown_room_is_named():
    with pytest.raises(ValueError, match="unknown room 'cave'; choose one of dry, studio, room, hall"):
        add_room(torch.ones(RATE), RATE, "cave")


def test_each_channel_has_its_own_reflections():
    click = torch.zeros(2, 22_050)
    click[:, 100] = 0.5
    wet = add_room(click, 22_050, "room", keep_tail=True)
    assert wet.shape[0] == 2
    assert torch.allclose(wet[0], add_room(click[0], 22_050, "room", keep_tail=True), atol=0.01)
    tails = wet[:, 2000:].numpy()
    assert abs(np.corrcoef(tails)[0, 1]) < 0.1


def test_a_long_sound_in_pieces_is_the_same():
    rng = np.random.default_rng(0)
    signal, response = rng.normal(size=5000).astype(np.float32), rng.normal(size=300)
    expected = np.convolve(signal.astype(float), response)
    for length in (5299, 5000, 5100):
        made = np.empty(length, np.float32)
        convolve(signal, response, 700, made)
        np.testing.assert_allclose(made, expected[:length], atol=1e-4)
    assert energy(signal) == pytest.approx(float((signal.astype(float) ** 2).sum()))
