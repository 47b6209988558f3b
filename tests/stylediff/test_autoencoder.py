import pytest
import torch

from stylediff.autoencoder import MelAutoencoder
from stylediff.mel import MelConfig


def build(**values) -> MelAutoencoder:
    torch.manual_seed(0)
    settings = {"latent_channels": 4, "block_out_channels": (16, 16), "layers_per_block": 1, **values}
    return MelAutoencoder(**settings).eval()


def random_mel(frames, batch=1):
    return torch.randn(batch, 1, 256, frames, generator=torch.Generator().manual_seed(1)) - 3


@pytest.mark.parametrize("fold", [(1, 1), (2, 2), (4, 4), (8, 2)])
def test_fold_then_unfold_is_identity(fold):
    model = build(fold_mels=fold[0], fold_frames=fold[1])
    mel = random_mel(64)
    folded = model.fold(mel)
    assert folded.shape == (1, fold[0] * fold[1], 256 // fold[0], 64 // fold[1])
    assert torch.allclose(model.unfold(folded), mel, atol=1e-5)


def test_fold_keeps_neighbours_together():
    model = build(fold_mels=2, fold_frames=2, mel_mean=0.0, mel_std=1.0)
    mel = torch.arange(256 * 8, dtype=torch.float32).reshape(1, 1, 256, 8)
    assert model.fold(mel)[0, :, 0, 0].tolist() == [0.0, 1.0, 8.0, 9.0]


def test_fold_pads_with_silence():
    model = build()
    folded = model.fold(random_mel(9))
    assert folded.shape[-1] * 4 == 16
    assert torch.allclose(model.unfold(folded)[..., 9:], torch.tensor(-7.0), atol=1e-5)


def test_strides_multiply_fold_and_levels():
    model = build(fold_mels=4, fold_frames=2, block_out_channels=(16, 16, 16))
    assert (model.mel_stride, model.frame_stride, model.latent_rows) == (16, 8, 16)
    assert [model.latent_columns(frames) for frames in (1, 8, 9)] == [1, 1, 2]


@pytest.mark.parametrize(("frames", "columns"), [(1, 1), (8, 1), (13, 2), (100, 13)])
def test_odd_lengths_are_rounded_up_to_whole_columns(frames, columns):
    model = build()
    with torch.no_grad():
        latents = model.encode(random_mel(frames, batch=2))
        decoded = model.decode(latents)
        reconstruction, divergence = model(random_mel(frames, batch=2))
    assert latents.shape == (2, 4, 32, columns)
    assert decoded.shape == (2, 1, 256, 8 * columns)
    assert reconstruction.shape == (2, 1, 256, frames)
    assert float(divergence) > 0


def test_decoded_mels_are_never_below_the_floor():
    model = build()
    with torch.no_grad():
        decoded = model.decode(torch.full((1, 4, 32, 4), -20.0))
    assert float(decoded.min()) >= model.mel.log_floor


def test_latents_are_normalised_on_the_way_out_and_restored_on_the_way_in():
    model = build()
    mel = random_mel(32)
    with torch.no_grad():
        raw, decoded = model.encode(mel), model.decode(model.encode(mel))
        model.latents_mean.copy_(torch.tensor([1.0, -2.0, 0.5, 0.0]))
        model.latents_std.copy_(torch.tensor([2.0, 0.5, 1.0, 4.0]))
        expected = (raw - model.latents_mean[:, None, None]) / model.latents_std[:, None, None]
        assert torch.allclose(model.encode(mel), expected, atol=1e-5)
        assert torch.allclose(model.decode(model.encode(mel)), decoded, atol=1e-4)


def test_the_divergence_is_that_of_one_latent_value():
    model = build()
    mel = random_mel(32, batch=3)
    with torch.no_grad():
        posterior = model.vae.encode(model.fold(mel)).latent_dist
        mean, variance = posterior.mean, posterior.var
        expected = 0.5 * (mean**2 + variance - 1 - variance.log()).mean()
        assert float(model(mel)[1]) == pytest.approx(float(expected), rel=1e-4)


def test_same_generator_same_reconstruction():
    model = build()
    with torch.no_grad():
        first, second = (model(random_mel(16), torch.Generator().manual_seed(5))[0] for _ in range(2))
    assert torch.equal(first, second)


def test_saving_and_loading_changes_nothing(tmp_path):
    model = build(mel=MelConfig(log_floor=-6.0).to_dict())
    model.latents_mean.fill_(0.3)
    model.latents_std.fill_(1.7)
    model.save_pretrained(tmp_path)
    loaded = MelAutoencoder.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded.encode(random_mel(24)), model.encode(random_mel(24)))
        assert torch.equal(loaded.decode(torch.ones(1, 4, 32, 3)), model.decode(torch.ones(1, 4, 32, 3)))
    assert loaded.mel == MelConfig(log_floor=-6.0)


@torch.no_grad()
def test_folding_latents_regroups_them_and_changes_nothing_else():
    plain, folded = build(), build(latent_fold=2)
    folded.load_state_dict(plain.state_dict())
    mel = random_mel(64)
    latents, regrouped = plain.encode(mel), folded.encode(mel)
    assert (plain.channels, folded.channels) == (4, 16)
    assert (folded.mel_stride, folded.frame_stride) == (2 * plain.mel_stride, 2 * plain.frame_stride)
    assert regrouped.shape == (1, 16, latents.shape[2] // 2, latents.shape[3] // 2)
    assert regrouped[0, :4, 0, 0].tolist() == latents[0, 0, :2, :2].flatten().tolist()
    assert torch.equal(folded.decode(regrouped), plain.decode(latents))


@torch.no_grad()
def test_folded_latents_round_odd_lengths_up_too():
    model = build(latent_fold=2)
    assert model.encode(random_mel(100)).shape == (1, 16, 16, model.latent_columns(100))
    assert model.latent_columns(100) == 7


def test_latents_with_levels_are_whole_and_reach_the_decoder_rounded():
    model = build(levels=5)
    with torch.no_grad():
        latents = model.encode(3 * random_mel(64))
        assert set(latents.unique().tolist()) <= {-2.0, -1.0, 0.0, 1.0, 2.0}
        assert model.decode(latents + 0.4).equal(model.decode(latents))
        assert not model.decode(latents + 0.6).equal(model.decode(latents))
        assert model.decode(latents + 9).equal(model.decode(torch.full_like(latents, 2.0)))


def test_levels_let_gradients_pass_and_have_no_divergence():
    model = build(levels=5).train()
    reconstruction, divergence = model(random_mel(64))
    (reconstruction.abs().mean() + divergence).backward()
    assert float(divergence) == 0
    assert float(model.vae.encoder.conv_in.weight.grad.abs().max()) > 0


def test_even_levels_are_refused():
    with pytest.raises(ValueError, match="levels must be odd, got 4"):
        build(levels=4)
