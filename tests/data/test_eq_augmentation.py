import numpy as np
import pytest
import torch

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from train.data.eq_augmentation import DEVIATION, apply_eq, read_equalized, sample_eq_curves
from train.data.mel_cache import CacheError, read_cache

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
