import pytest
import torch

from stylediff.style_encoder import StyleEncoder

VOICES = ["piano/FluidR3-0", "violin/OPEN_small-40", "violin/TimGM-40"]


@pytest.fixture
def encoder() -> StyleEncoder:
    torch.manual_seed(0)
    return StyleEncoder(voices=VOICES, tokens=3, width=8)


def test_an_instrument_means_its_first_voice(encoder):
    assert encoder.voice_index("violin") == 1
    assert encoder.voice_index("violin/TimGM-40") == 2
    assert encoder.voice_index("piano") == 0


@pytest.mark.parametrize("target", ["banjo", "flute", "violin/Nowhere-1", ""])
def test_an_unknown_target_lists_the_known_instruments(encoder, target):
    with pytest.raises(ValueError, match=r"unknown target .*; choose one of piano, violin$"):
        encoder.voice_index(target)


def test_each_voice_has_its_own_tokens(encoder):
    tokens = encoder(torch.tensor([0, 1, 2]))
    assert tokens.shape == (3, 3, 8)
    assert torch.unique(tokens, dim=0).shape[0] == 3


def test_voices_of_an_instrument_differ_only_by_their_voice_embeddings(encoder):
    tokens = encoder(torch.tensor([1, 2]))
    voices = encoder.voice_embedding(torch.tensor([1, 2])).reshape(2, 3, 8)
    assert torch.allclose(tokens[0] - tokens[1], voices[0] - voices[1], atol=1e-6)


def test_no_style_gives_the_null_tokens(encoder):
    with torch.no_grad():
        encoder.null_tokens.fill_(0.25)
    tokens = encoder(torch.tensor([-1, 0]))
    assert torch.equal(tokens[0], encoder.null_tokens)
    assert torch.equal(tokens[1], encoder(torch.tensor([0]))[0])


def test_null_tokens_are_learned_only_from_dropped_styles(encoder):
    encoder(torch.tensor([0, 1])).sum().backward()
    assert float(encoder.null_tokens.grad.abs().max()) == 0.0
    encoder(torch.tensor([-1])).sum().backward()
    assert torch.equal(encoder.null_tokens.grad, torch.ones(3, 8))


def test_saving_and_loading_changes_nothing(encoder, tmp_path):
    encoder.save_pretrained(tmp_path)
    loaded = StyleEncoder.from_pretrained(tmp_path)
    assert list(loaded.config.voices) == VOICES
    assert torch.equal(loaded(torch.tensor([0, 1, 2, -1])), encoder(torch.tensor([0, 1, 2, -1])))


def test_a_reference_of_any_length_becomes_tokens_and_saving_keeps_them(tmp_path):
    listening = StyleEncoder(voices=VOICES, tokens=3, width=8, reference_width=16).eval()
    listening.save_pretrained(tmp_path)
    loaded = StyleEncoder.from_pretrained(tmp_path)
    for frames in (32, 173, 900):
        mel = torch.randn(2, 1, 256, frames)
        tokens = listening.encode_reference(mel)
        assert tokens.shape == (2, 3, 8)
        assert torch.equal(loaded.encode_reference(mel), tokens)
    assert not torch.allclose(tokens[0], tokens[1], atol=1e-3)


def test_sound_matters_more_than_timing():
    torch.manual_seed(0)
    listening = StyleEncoder(voices=VOICES, tokens=3, width=8, reference_width=16).eval()
    mel = torch.full((1, 1, 256, 512), -7.0)
    mel[:, :, 60:64] = mel[:, :, 120:124] = -1.0
    mel[:, :, :, 256:] = -7.0
    tokens, later, other = (listening.encode_reference(m) for m in (mel, mel.roll(128, -1), mel.roll(30, 2)))
    assert (later - tokens).abs().mean() < 0.2 * (other - tokens).abs().mean()


def test_a_model_without_references_and_too_short_references_are_refused(encoder):
    with pytest.raises(ValueError, match="does not accept reference clips"):
        encoder.encode_reference(torch.zeros(1, 1, 256, 200))
    listening = StyleEncoder(voices=VOICES, tokens=3, width=8, reference_width=16)
    with pytest.raises(ValueError, match="a reference needs 32 frames, got 31"):
        listening.encode_reference(torch.zeros(1, 1, 256, 31))
