"""Augmentation of clips and of log-mels."""

import numpy as np
import pytest
import torch

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from train.data.augmentation import (
    DEVIATION,
    Degradation,
    add_reverb,
    apply_eq,
    degrade,
    read_equalized,
    sample_degradation,
    sample_eq_curves,
    tilt_spectrum,
)
from train.data.mel_cache import CacheError, read_cache

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


main = command("cache-equalized")
encode = command("cache-latents")

FLOOR = MelConfig().log_floor


def energy(mel):
    return float(mel.double().mul(2).exp().sum())


def test_curves_are_smooth_and_as_strong_as_stated():
    curves = sample_eq_curves(2000, seed=0, mels=256)
    assert curves.shape == (2000, 256)
    assert curves.std() == pytest.approx(DEVIATION, rel=0.15)
    assert np.abs(np.diff(curves)).max() < DEVIATION / 2
    np.testing.assert_array_equal(curves, sample_eq_curves(2000, seed=0, mels=256))
    assert not np.allclose(curves, sample_eq_curves(2000, seed=1, mels=256))


def test_equalisation_changes_the_balance_of_the_bands_and_neither_energy_nor_silence():
    mel = torch.from_numpy(np.random.default_rng(0).normal(-2, 0.5, (256, 40)).astype(np.float32))
    mel[:, 30:] = FLOOR
    curve = torch.from_numpy(sample_eq_curves(1, seed=0, mels=256)[0])
    equalized = apply_eq(mel, curve, FLOOR)
    assert energy(equalized) == pytest.approx(energy(mel), rel=1e-3)
    assert (equalized[:, 30:] == FLOOR).all()
    change = (equalized - mel)[:, :30]
    np.testing.assert_allclose(change - change.mean(), (curve - curve.mean())[:, None] * np.ones((1, 30)), atol=1e-4)
    assert (apply_eq(mel, curve - 20, FLOOR) >= FLOOR).all()


@pytest.fixture
def latents(tiny_cache, tiny_autoencoder, tmp_path):
    arguments = ["--cache", str(tiny_cache), "--autoencoder", str(tiny_autoencoder)]
    assert encode([*arguments, "--out", str(tmp_path / "latents")]) == 0
    model = MelAutoencoder.from_pretrained(tiny_autoencoder)
    return model, [*arguments, "--latents", str(tmp_path / "latents")], tmp_path / "latents"


def test_equalized_clips_are_encoded_training_targets(tiny_cache, latents):
    model, arguments, folder = latents
    assert read_equalized(folder) is None
    assert main([*arguments, "--clips", "3"]) == 0
    clips, cache = read_equalized(folder), read_cache(tiny_cache, MelConfig())
    assert clips.latents.shape == (3, 3, 32, 8)
    assert clips.curves.shape == (3, 256)
    assert len(set(clips.rows.tolist())) == 3
    assert all((cache.clips[row].split, cache.clips[row].role) == ("train", "target") for row in clips.rows)
    mel = apply_eq(torch.from_numpy(cache.mels[clips.rows[1]]), torch.from_numpy(clips.curves[1]), FLOOR)
    with torch.no_grad():
        expected = model.encode(mel[None, None])[0]
    torch.testing.assert_close(torch.from_numpy(clips.latents[1].astype(np.float32)), expected, rtol=0.1, atol=0.05)


def test_missing_latents_are_reported(tiny_cache, latents, tmp_path, capsys):
    _, arguments, _ = latents
    assert main([*arguments[:-1], str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_latents_of_another_autoencoder_are_refused(latents, tmp_path, capsys):
    model, arguments, folder = latents
    model.latents_mean += 1
    model.save_pretrained(tmp_path / "other")
    arguments[arguments.index("--autoencoder") + 1] = str(tmp_path / "other")
    assert main(arguments) == 2
    assert "another autoencoder made the latents in " in capsys.readouterr().err
    assert read_equalized(folder) is None


def test_damaged_equalized_clips_are_reported_and_unfinished_ones_ignored(latents):
    _, arguments, folder = latents
    assert main([*arguments, "--clips", "3"]) == 0
    whole = (folder / "coloured.npy").read_bytes()
    (folder / "coloured.npy").write_bytes(whole[:-7])
    with pytest.raises(
        CacheError, match=r"the EQ-augmented clips in .* are damaged: rerun the command cache-equalized"
    ):
        read_equalized(folder)
    (folder / "coloured.npy").write_bytes(whole)
    (folder / "colours.npz").write_bytes((folder / "colours.npz").read_bytes()[:100])
    with pytest.raises(CacheError, match="are damaged"):
        read_equalized(folder)
    (folder / "colours.npz").unlink()
    assert read_equalized(folder) is None


def test_equalized_clips_are_deleted_when_latents_are_made_again(latents, tiny_cache, tmp_path):
    model, arguments, folder = latents
    assert main([*arguments, "--clips", "3"]) == 0
    model.latents_mean += 1
    model.save_pretrained(tmp_path / "other")
    assert encode(["--cache", str(tiny_cache), "--out", str(folder), "--autoencoder", str(tmp_path / "other")]) == 0
    assert read_equalized(folder) is None
