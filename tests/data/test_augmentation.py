import numpy as np
import pytest

from train.data.augmentation import Degradation, add_reverb, degrade, sample_degradation, tilt_spectrum

SAMPLE_RATE = 22050
NOISE = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 0.1


def band_db(waveform, low_hz, high_hz):
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    return 10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].mean())


def test_the_default_degradation_changes_nothing():
    out = degrade(NOISE, SAMPLE_RATE, Degradation(), np.random.default_rng(0))
    assert out.tobytes() == NOISE.tobytes()


def test_samples_are_reproducible_and_varied():
    draws = [sample_degradation(np.random.default_rng(seed)) for seed in range(300)]
    assert draws[7] == sample_degradation(np.random.default_rng(7))
    assert len(set(draws)) > 290
    for field, default in (("reverb_s", 0.0), ("noise_db", -120.0), ("lowpass_hz", 0.0), ("tilt_db", 0.0)):
        share = np.mean([getattr(draw, field) != default for draw in draws])
        assert 0.15 < share < 0.7, field


def test_every_sample_gives_finite_sound_of_the_same_length():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        out = degrade(NOISE, SAMPLE_RATE, sample_degradation(rng), rng)
        assert out.shape == NOISE.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()


def test_silence_stays_silent():
    how = Degradation(reverb_s=0.5, reverb_mix=0.3, tilt_db=6.0, noise_db=-30.0, lowpass_hz=4000.0, bits=8)
    out = degrade(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE, how, np.random.default_rng(0))
    assert np.abs(out).max() == 0.0


def test_noise_has_its_level_below_the_clip():
    how = Degradation(noise_db=-20.0)
    added = degrade(NOISE, SAMPLE_RATE, how, np.random.default_rng(1)) - NOISE
    assert 20 * np.log10(added.std() / NOISE.std()) == pytest.approx(-20, abs=0.5)


def test_lowpass_removes_higher_frequencies():
    out = degrade(NOISE, SAMPLE_RATE, Degradation(lowpass_hz=4000.0), np.random.default_rng(0))
    assert band_db(out, 100, 2000) == pytest.approx(band_db(NOISE, 100, 2000), abs=0.5)
    assert band_db(out, 8000, 11000) < band_db(NOISE, 8000, 11000) - 30


def test_tilt_is_a_straight_line_over_octaves():
    out = tilt_spectrum(NOISE, SAMPLE_RATE, -12.0)
    octaves = np.log2(SAMPLE_RATE / 2 / 50)
    for hz in (200, 800, 3200):
        change = band_db(out, 0.95 * hz, 1.05 * hz) - band_db(NOISE, 0.95 * hz, 1.05 * hz)
        assert change == pytest.approx(-12 * np.log2(hz / 50) / octaves, abs=0.3)


def test_reverb_decays_to_a_thousandth():
    click = np.zeros(2 * SAMPLE_RATE)
    click[0] = 1.0
    wet = add_reverb(click, SAMPLE_RATE, 1.0, 0.5, np.random.default_rng(0))
    assert wet[0] == pytest.approx(0.5, abs=0.05)
    early, late = wet[100:2100].std(), wet[SAMPLE_RATE - 2000 : SAMPLE_RATE].std()
    assert 20 * np.log10(late / early) == pytest.approx(-54, abs=4)
    assert np.abs(wet[SAMPLE_RATE:]).max() < 1e-9


def test_fewer_bits_give_fewer_values():
    out = degrade(NOISE, SAMPLE_RATE, Degradation(bits=8), np.random.default_rng(0))
    assert len(np.unique(out)) <= 257
    assert np.abs(out - NOISE).max() <= np.abs(NOISE).max() / 128


def test_pedal_and_expression_are_midi_controllers():
    assert Degradation(pedal=True, expression=90).controls == {11: 90, 64: 127}
    assert Degradation().controls == {11: 127}
