import json

import numpy as np
import pytest
import torch

from stylediff.latents import MelAutoencoder
from stylediff.mel import MelConfig
from train.cache_latents import main
from train.mel_cache import read_cache


def export(folder, **values):
    torch.manual_seed(0)
    model = MelAutoencoder(latent_channels=4, block_out_channels=(16, 16), layers_per_block=1, **values).eval()
    model.latents_std.fill_(0.5)
    model.save_pretrained(folder)
    return model


def run(cache, autoencoder, out) -> int:
    return main(["--cache", str(cache), "--autoencoder", str(autoencoder), "--out", str(out)])


def test_every_clip_is_encoded_as_the_model_does(tiny_cache, tmp_path):
    model = export(tmp_path / "autoencoder")
    assert run(tiny_cache, tmp_path / "autoencoder", tmp_path / "out") == 0
    latents = np.load(tmp_path / "out" / "latents.npy")
    cache = read_cache(tiny_cache, MelConfig())
    assert latents.shape == (12, 4, 32, 8)
    assert latents.dtype == np.float16
    with torch.no_grad():
        expected = torch.cat([model.encode(cache.tensor(row)[None]) for row in range(12)])
    scale = float(expected.abs().max())
    assert np.abs(latents.astype(np.float32) - expected.numpy()).max() < 0.02 * scale
    assert json.loads((tmp_path / "out" / "autoencoder.json").read_text())["latent_channels"] == 4


@pytest.mark.parametrize(
    ("values", "complaint"),
    [({"mel": MelConfig(fmin_hz=50.0).to_dict()}, "was made with fmin_hz=30.0, but 50.0 is needed")],
)
def test_an_autoencoder_of_other_mels_is_refused(tiny_cache, tmp_path, capsys, values, complaint):
    export(tmp_path / "autoencoder", **values)
    assert run(tiny_cache, tmp_path / "autoencoder", tmp_path / "out") == 2
    assert complaint in capsys.readouterr().err


def test_what_is_missing_is_said(tiny_cache, tmp_path, capsys):
    assert run(tiny_cache, tmp_path / "nowhere", tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("error: ")
    export(tmp_path / "autoencoder")
    assert run(tmp_path / "empty", tmp_path / "autoencoder", tmp_path / "out") == 2
    assert "error: no finished mel cache in " in capsys.readouterr().err
