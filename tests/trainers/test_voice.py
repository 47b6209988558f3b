from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from stylediff.checkpoint import load_pipeline
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.mel_cache import CachedClip, CacheError, create_cache, finish_cache, read_cache
from train.trainers.base_settings import SettingsError
from train.trainers.loop import generator_at
from train.trainers.settings import VoiceSettings
from train.trainers.voice import (
    NewVoice,
    add_voice,
    check_voice,
    load_style_encoder,
    open_pairs,
    reference_row,
    save_model,
    start_rows,
    train,
)

VOICE = "violin/mine"
main = command("voice")
FRAMES = 64


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Folder of a tiny pipeline."""
    folder = tmp_path_factory.mktemp("base") / "model"
    tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """Caches of four pairs of a piano and the new voice, whose latents are the piano's plus 1."""
    folder = tmp_path_factory.mktemp("caches")
    rows = [
        CachedClip(
            file=f"{group}_{voice[:2]}.flac",
            group=group,
            split="train",
            paired=True,
            instrument=voice.split("/")[0],
            voice=voice,
            role="target",
            frames=FRAMES,
        )
        for group in range(4)
        for voice in ("piano/Pure-0", VOICE)
    ]
    mels = create_cache(folder / "mels", rows, MelConfig())
    mels[:] = np.random.default_rng(0).normal(-3, 1, mels.shape)
    mels.flush()
    finish_cache(folder / "mels")
    (folder / "latents").mkdir()
    latents = np.random.default_rng(1).standard_normal((8, 4, 16, 8)).astype(np.float16)
    latents[1::2] = latents[::2] + 1
    np.save(folder / "latents/latents.npy", latents)
    return folder


@pytest.fixture
def settings(base, caches, tmp_path):
    return VoiceSettings(
        cache=caches / "mels",
        latents=caches / "latents",
        voice=VOICE,
        initial=str(base),
        out=tmp_path / "run",
        steps=2,
        batch_size=2,
        precision="no",
    )


@pytest.mark.slow
def test_two_steps_change_only_the_new_row(settings, base):
    start = train(replace(settings, steps=1, learning_rate=0.0, out=settings.out / "still"))
    row = train(settings)
    assert row.shape == (32,)
    assert 1e-4 < float((row - start).abs().max()) < 0.1
    saved = safetensors.torch.load_file(settings.out / "voice.safetensors")
    assert torch.equal(saved["row"], row)
    checkpoint = torch.load(settings.out / "checkpoint.pt", weights_only=True)
    assert [list(part) for part in checkpoint["models"].values()] == [["row"]]  # the model is not saved with it


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_row(settings, tmp_path):
    parts = replace(settings, out=tmp_path / "parts")
    train(replace(parts, minutes=1e-9))
    assert torch.load(parts.out / "checkpoint.pt", weights_only=True)["step"] == 1
    assert torch.equal(train(parts), train(settings))


def test_the_gradient_reaches_the_row_through_the_frozen_network(settings, base):
    encoder, pipeline = load_style_encoder(base), load_pipeline(str(base))
    pipeline.unet.requires_grad_(False)
    shared, row = (torch.zeros(32), encoder.voice_embedding.weight[0])
    model = NewVoice(pipeline.unet, shared, row, tokens=2)
    generator = torch.Generator().manual_seed(0)
    noisy, source = (torch.randn(2, 4, 16, 8, generator=generator) for _ in range(2))
    model(noisy, source, torch.tensor([500, 900]), torch.tensor([0, 0])).square().mean().backward()
    assert [name for name, _ in model.named_parameters()] == ["row"]
    assert float(model.row.grad.abs().max()) > 0
    assert all(weight.grad is None for weight in pipeline.unet.parameters())


def test_the_new_voice_predicts_what_its_tokens_in_the_pipeline_predict(base):
    encoder, pipeline = load_style_encoder(base), load_pipeline(str(base))
    index = encoder.voice_index("violin")
    names = [voice.split("/")[0] for voice in encoder.config.voices]
    shared = encoder.instrument_embedding.weight[sorted_index(names[index])]
    model = NewVoice(pipeline.unet, shared, encoder.voice_embedding.weight[index], tokens=2)
    noisy, source = torch.randn(1, 4, 16, 8), torch.randn(1, 4, 16, 8)
    with torch.no_grad():
        ours = model(noisy, source, torch.tensor([700]), torch.tensor([0]))
        tokens = pipeline.encode_target("violin")
        theirs = pipeline.unet(torch.cat([noisy, source], dim=1), torch.tensor([700]), tokens).sample
    torch.testing.assert_close(ours, theirs)


def sorted_index(name: str) -> int:
    from stylediff.instruments import INSTRUMENT_NAMES

    return INSTRUMENT_NAMES.index(name)


def test_targets_are_the_new_voices_clips_and_sources_other_clips_of_the_same_music(settings, base):
    cache = read_cache(settings.cache, MelConfig())
    sampler = open_pairs(settings, cache, base)
    batch = sampler.batch(16, 8, generator_at(0, 0, 0, 0))
    torch.testing.assert_close(batch.target, batch.source + 1, atol=0.01, rtol=0)


def test_training_starts_from_the_best_candidate(settings, base, caches):
    encoder = load_style_encoder(base)
    cache = read_cache(settings.cache, MelConfig())
    rows = start_rows(encoder, cache, VOICE)
    violin = encoder.config.voices[encoder.voice_index("violin")]
    assert list(rows) == [violin, "the mean of 1 voices", "its own sound"]
    own = reference_row(encoder, cache, VOICE)
    shared = encoder.instrument_embedding.weight[sorted_index("violin")]
    clips = torch.stack([cache.tensor(number) for number in (1, 3, 5, 7)])
    with torch.no_grad():
        expected = encoder.encode_reference(clips).flatten(1).mean(0) - shared
    torch.testing.assert_close(own, expected)


@pytest.mark.slow
@pytest.mark.parametrize("as_default", [False, True])
def test_the_rest_of_the_saved_model_stays_the_same(base, tmp_path, as_default):
    row = torch.full((32,), 0.25)
    save_model(base, VOICE, row, tmp_path / "model", as_default)
    old, new = (load_pipeline(str(folder)) for folder in (base, tmp_path / "model"))
    known = old.style_encoder.config.voices
    assert sorted(new.style_encoder.config.voices) == sorted([*known, VOICE])
    for voice in known:
        assert torch.equal(old.encode_target(voice), new.encode_target(voice)), voice
    own = new.encode_target(VOICE).flatten()
    expected = new.style_encoder.instrument_embedding.weight[sorted_index("violin")] + row
    torch.testing.assert_close(own, expected.detach())
    assert torch.equal(new.encode_target("violin").flatten(), own) == as_default
    for name in ("unet", "autoencoder", "vocoder"):
        ours, theirs = (getattr(pipeline, name).state_dict() for pipeline in (new, old))
        assert all(torch.equal(weight, theirs[key]) for key, weight in ours.items())
    clip = torch.sin(torch.arange(30000) / 8)
    played = [
        pipeline(clip, 22050, target=target, generator=torch.Generator().manual_seed(0)).audio
        for pipeline, target in ((old, known[0]), (new, known[0]), (new, VOICE))
    ]
    assert torch.equal(played[0], played[1])
    assert not torch.equal(played[1], played[2])


def test_a_model_in_half_precision_stays_in_it(base, tmp_path):
    load_pipeline(str(base)).to(dtype=torch.float16).save_pretrained(tmp_path / "half")
    encoder = load_style_encoder(tmp_path / "half")
    assert encoder.voice_embedding.weight.dtype == torch.float16
    grown = add_voice(encoder, VOICE, torch.ones(32))
    assert grown.voice_embedding.weight.dtype == torch.float16
    save_model(tmp_path / "half", VOICE, torch.ones(32), tmp_path / "more", False)
    assert load_style_encoder(tmp_path / "more").null_tokens.dtype == torch.float16


@pytest.mark.parametrize(
    ("voice", "sentence"),
    [
        ("oboe/mine", "'oboe' is not an instrument of this model; choose the most similar of piano"),
        ("violin/", "name has 1 to 40 letters"),
        ("violin/my violin", "not 'my violin'"),
        ("violin/a/b", "not 'a/b'"),
        ("violin/cello", "'violin/cello' exists already"),
        ("violin/Old-40", "'violin/Old-40' exists already"),
    ],
)
def test_invalid_names_of_voices_are_refused(voice, sentence):
    with pytest.raises(SettingsError, match=sentence):
        check_voice(voice, ["violin/Old-40"])


def test_unusable_data_are_reported(settings, tmp_path, capsys):
    with pytest.raises(CacheError, match="no clip of violin/other together with another clip of the same music"):
        train(replace(settings, voice="violin/other"))
    flags = ["--cache", str(settings.cache), "--latents", str(settings.latents), "--out", str(tmp_path / "run")]
    assert main([*flags, "--voice", VOICE, "--initial", str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err
    assert main([*flags, "--voice", "kazoo/mine", "--initial", settings.initial]) == 2
    assert "'kazoo' is not an instrument of this model" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
