import numpy as np
import pytest
import torch

from stylediff import MelAutoencoder, Vocoder
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import cached_clip
from train.data.latent_cache import clips_digest, load_autoencoder, read_latents
from train.data.mel_cache import CacheError, read_cache

main = command("cache-latents")


def test_every_clip_is_encoded_by_the_autoencoder(tiny_cache, tiny_autoencoder, tmp_path):
    model = MelAutoencoder.from_pretrained(tiny_autoencoder)
    arguments = ["--cache", str(tiny_cache), "--autoencoder", str(tiny_autoencoder)]
    assert main([*arguments, "--out", str(tmp_path / "latents")]) == 0
    latents = np.load(tmp_path / "latents" / "latents.npy")
    cache = read_cache(tiny_cache, MelConfig())
    assert latents.shape == (len(cache.clips), 3, 32, 8)
    with torch.no_grad():
        expected = model.encode(cache.tensor(5)[None])[0]
    # float16 storage, and bfloat16 products on processors that are faster with them
    torch.testing.assert_close(torch.from_numpy(latents[5]).float(), expected, rtol=0.1, atol=0.05)

    assert main([*arguments, "--out", str(tmp_path / "part"), "--clips", "4"]) == 0
    part = np.load(tmp_path / "part" / "latents.npy")
    assert len(part) == 4
    np.testing.assert_allclose(part[0], latents[0], rtol=0.1, atol=0.05)


def test_a_missing_cache_is_reported(tmp_path, capsys):
    arguments = ["--cache", str(tmp_path), "--autoencoder", str(tmp_path), "--out", str(tmp_path / "latents")]
    assert main(arguments) == 2
    assert "run the command cache-mels first" in capsys.readouterr().err


def test_an_autoencoder_that_is_missing_or_of_other_mels_is_refused(tiny_cache, tmp_path, capsys):
    arguments = ["--cache", str(tiny_cache), "--autoencoder", str(tmp_path / "other"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert str(tmp_path / "other") in capsys.readouterr().err
    mel = MelConfig(fmin_hz=50.0).to_dict()
    model = MelAutoencoder(mel=mel, block_out_channels=(16, 16), layers_per_block=1, latent_channels=3)
    model.save_pretrained(tmp_path / "other")
    assert main(arguments) == 2
    assert "it was made with fmin_hz=50.0, but 30.0 is needed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_model_is_refused(tmp_path):
    Vocoder(blocks=1, width=16).save_pretrained(tmp_path)
    with pytest.raises(CacheError, match=r"cannot use the autoencoder in .*: it is a Vocoder"):
        load_autoencoder(tmp_path, MelConfig())


def test_latents_know_their_autoencoder_in_any_precision(tiny_cache, tiny_autoencoder, tmp_path):
    arguments = ["--cache", str(tiny_cache), "--autoencoder", str(tiny_autoencoder)]
    assert main([*arguments, "--out", str(tmp_path / "latents")]) == 0
    model, rows = load_autoencoder(tiny_autoencoder, MelConfig()), read_cache(tiny_cache, MelConfig()).clips
    load_autoencoder(tiny_autoencoder, MelConfig()).half().save_pretrained(tmp_path / "exported")
    exported = load_autoencoder(tmp_path / "exported", MelConfig())
    assert exported.dtype == torch.float32
    for one in (None, model, exported):
        assert len(read_latents(tmp_path / "latents", rows, one)) == 12
    torch.nn.init.zeros_(model.vae.post_quant_conv.weight)
    torch.nn.init.zeros_(model.vae.decoder.conv_in.weight)
    assert len(read_latents(tmp_path / "latents", rows, model)) == 12  # latents do not depend on the decoder
    torch.nn.init.zeros_(model.vae.encoder.conv_in.weight)
    with pytest.raises(CacheError, match="another autoencoder made the latents in "):
        read_latents(tmp_path / "latents", rows, model)
    model = load_autoencoder(tiny_autoencoder, MelConfig())
    model.latents_mean += 0.1
    with pytest.raises(CacheError, match="another autoencoder made the latents in "):
        read_latents(tmp_path / "latents", rows, model)
    record = tmp_path / "latents" / "autoencoder.json"
    record.write_text('{"latent_channels": 3}')  # a cache without a record
    assert len(read_latents(tmp_path / "latents", rows, model)) == 12
    record.unlink()
    assert len(read_latents(tmp_path / "latents", rows, model)) == 12


def test_latents_know_their_clips(tiny_cache, tiny_autoencoder, tmp_path):
    arguments = ["--cache", str(tiny_cache), "--autoencoder", str(tiny_autoencoder), "--out", str(tmp_path)]
    assert main([*arguments, "--clips", "4"]) == 0
    rows = read_cache(tiny_cache, MelConfig()).clips
    assert len(read_latents(tmp_path, rows)) == len(read_latents(tmp_path, rows[:4])) == 4
    with pytest.raises(CacheError, match="belong to other clips"):
        read_latents(tmp_path, rows[1:])


def test_older_caches_have_the_same_digest_of_clips():
    clip = cached_clip(0, "piano/Pure-0", 64, file="a.flac")
    assert clips_digest([clip]) == "78e4a754819623d41d9e53ddbb62116d7b22cb4978273f236b4467a4277d1b93"
