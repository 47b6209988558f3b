"""Codes of log-mels: tiles, the model, and what is saved."""

import pytest
import torch

from stylediff.code_model import CodeModel, nearest_codes, tile, untile
from stylediff.mel import MelConfig

TINY = {"width": 8, "residual_width": 4, "blocks": 1, "code_dim": 4, "size": 16}


@pytest.fixture
def model() -> CodeModel:
    torch.manual_seed(0)
    model = CodeModel(**TINY).eval()
    mel = torch.full((1, 1, 32, 32), -7.0)
    mel[..., 4:12, 16:] = 0.0
    with torch.no_grad():
        latents = model.encoder(mel)[0].flatten(1).T
    model.vectors.data = latents[torch.linspace(0, 63, 16).long()]
    return model


def test_tiles_are_put_together_again() -> None:
    mel = torch.rand(256, 100)
    tiles = tile(mel)
    assert tiles.shape == (24, 1, 32, 32)
    assert tiles[1, 0].equal(mel[:32, 32:64])
    assert untile(tiles, 256).equal(mel[:, :96])


def test_the_nearest_vector_is_found() -> None:
    vectors = torch.randn(5, 3)
    codes = torch.randint(5, (2, 4, 6))
    latents = vectors[codes].movedim(-1, 1) + 1e-4
    assert nearest_codes(latents, vectors).equal(codes)


@pytest.mark.parametrize("frames", [4, 32, 100])
def test_codes_lie_where_their_values_are(model: CodeModel, frames: int) -> None:
    mel = torch.full((256, frames), -7.0)
    mel[64:96, -4:] = 0.0  # a tone in the third row of patches
    codes, silent = model.encode(mel), model.encode(torch.full_like(mel, -7.0))
    assert codes.shape == (64, 8 * -(-frames // 32))
    rows = (codes != silent).any(1).nonzero()[:, 0]
    assert len(rows)
    assert set(rows.tolist()) <= set(range(16, 24))


def test_decoding_depends_on_the_codes_of_a_patch_alone(model: CodeModel) -> None:
    codes = torch.zeros(64, 24, dtype=torch.long)
    before = model.decode(codes, 90)
    codes[9, 17] = 3
    changed = (model.decode(codes, 90) != before).nonzero()
    assert before.shape == (256, 90)
    assert float(before.min()) >= MelConfig().log_floor
    assert changed.numel()
    assert changed[:, 0].min() >= 32
    assert changed[:, 0].max() < 64
    assert changed[:, 1].min() >= 64


def test_a_saved_model_gives_the_same_codes(model: CodeModel, tmp_path) -> None:
    model.save_pretrained(tmp_path)
    again = CodeModel.from_pretrained(tmp_path)
    mel = torch.rand(256, 40) * 7 - 7
    assert again.encode(mel).equal(model.encode(mel))
    assert again.mel == MelConfig()
