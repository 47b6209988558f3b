import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stylediff.autoencoder import MelAutoencoder
from stylediff.denoiser import build_scheduler
from stylediff.mel import MelConfig
from stylediff.style_encoder import StyleEncoder
from tests.helpers.commands import command
from train.data.latent_cache import record_origin
from train.data.mel_cache import CacheError, read_cache
from train.data.pairs import PairBatch
from train.trainers.base_settings import SettingsError
from train.trainers.denoiser import build_model, denoiser_loss, train
from train.trainers.loop import generator_at, grow_embedding
from train.trainers.settings import DenoiserSettings

main = command("denoiser")

VOICES = ["piano/Pure-0", "violin/Pure-40"]


@pytest.fixture(scope="module")
def tiny_latents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    rng = np.random.default_rng(0)
    np.save(folder / "latents.npy", rng.standard_normal((12, 4, 8, 8)).astype(np.float16))
    return folder


@pytest.fixture
def settings(tiny_cache, tiny_latents, tmp_path):
    return DenoiserSettings(
        cache=tiny_cache,
        latents=tiny_latents,
        out=tmp_path / "run",
        steps=2,
        batch_size=2,
        widths=(16, 32),
        head_width=16,
        tokens=2,
        token_width=16,
        shortest_columns=4,
        precision="no",
    )


def random_batch(size: int = 64) -> PairBatch:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(size, 4, 8, 4, generator=generator) for _ in range(2))
    return PairBatch(source, target, torch.randint(2, (size,), generator=generator))


class Recorder(torch.nn.Module):
    """Predicts zero velocity and stores its inputs."""

    def forward(self, noisy, source, timesteps, voices, references):
        self.timesteps, self.voices = timesteps, voices
        return torch.zeros_like(noisy)


def load(folder) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    return unet.state_dict(), StyleEncoder.from_pretrained(folder / "style_encoder").state_dict()


@pytest.mark.slow
def test_two_steps_train_and_export_averaged_weights(settings):
    before = build_model(settings, 4, VOICES).state_dict()
    model = train(settings)
    assert not torch.equal(model.unet.conv_out.weight, before["unet.conv_out.weight"])
    unet, style = load(settings.out)
    average = torch.load(settings.out / "checkpoint.pt", weights_only=True)["averages"]["denoiser"]["shadow_params"]
    parameters = [name for name, _ in model.named_parameters()]
    for name, shadow in zip(parameters, average, strict=True):
        part, _, rest = name.partition(".")
        assert torch.equal((unet if part == "unet" else style)[rest], shadow), name
    assert StyleEncoder.from_pretrained(settings.out / "style_encoder").config.voices == VOICES


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_weights(settings, tmp_path):
    train(settings)
    parts = replace(settings, out=tmp_path / "parts")
    train(replace(parts, minutes=1e-9))
    assert torch.load(parts.out / "checkpoint.pt", weights_only=True)["step"] == 1
    train(parts)
    for ours, theirs in zip(load(parts.out), load(settings.out), strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.slow
def test_the_log_shows_a_sample_beside_its_source_and_target(settings, tmp_path):
    torch.manual_seed(0)
    MelAutoencoder(latent_channels=4, block_out_channels=(16,), layers_per_block=1).save_pretrained(tmp_path / "vae")
    train(replace(settings, autoencoder=str(tmp_path / "vae"), image_every=2))
    events = EventAccumulator(str(settings.out / "log"), size_guidance={"images": 0}).Reload()
    [event] = events.Images("source, output, target")
    assert event.step == 2
    assert event.height == 3 * 8 * 4 + 2 * 2  # the tiny latents cover 32 bands; two lines separate the pictures


@pytest.mark.slow
def test_validation_uses_averaged_weights_and_changes_nothing(settings, tmp_path):
    measured = replace(settings, out=tmp_path / "measured", log_every=1, validate_every=2)
    train(measured)
    train(replace(settings, validate_every=1000))
    for ours, theirs in zip(load(measured.out), load(settings.out), strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    events = EventAccumulator(str(measured.out / "log")).Reload()
    [event] = events.Scalars("validation")
    assert event.step == 2
    assert 0.3 < event.value < 3  # the loss of an untrained model is about the variance of the target, 1


def test_the_last_timestep_is_pure_noise():
    scheduler = build_scheduler()
    assert float(scheduler.alphas_cumprod[-1]) == 0.0
    clean, noise = torch.ones(1, 4), torch.full((1, 4), 0.5)
    last = torch.tensor([999])
    assert torch.equal(scheduler.add_noise(clean, noise, last), noise)
    assert torch.equal(scheduler.get_velocity(clean, noise, last), -clean)
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]


@pytest.mark.slow
def test_the_exported_scheduler_is_the_one_trained_with(settings):
    train(settings)
    loaded = DDIMScheduler.from_pretrained(settings.out / "scheduler")
    assert torch.equal(loaded.alphas_cumprod, build_scheduler().alphas_cumprod)
    assert loaded.config.prediction_type == "v_prediction"


def test_the_loss_is_the_squared_velocity_error_split_by_noise(settings):
    batch, model = random_batch(), Recorder()
    loss, parts = denoiser_loss(model, build_scheduler(), batch, settings, generator_at(0, 0, 0, 0))
    # Velocity mixes noise and targets, which both have unit variance here.
    assert float(loss) == pytest.approx(1.0, abs=0.1)
    assert set(parts) == {"loss", "high", "low"}
    again, _ = denoiser_loss(model, build_scheduler(), batch, settings, generator_at(0, 0, 0, 0))
    assert torch.equal(loss, again)


def test_a_regression_sees_only_noise_and_has_an_absolute_error(settings):
    batch, model = random_batch(), Recorder()
    loss, parts = denoiser_loss(
        model, build_scheduler(), batch, replace(settings, regression=True), generator_at(0, 0, 0, 0)
    )
    assert set(model.timesteps.tolist()) == {999}
    assert float(loss) == pytest.approx(float(batch.target.abs().mean()))
    assert set(parts) == {"loss", "high"}


def test_styles_are_dropped_at_the_given_share(settings):
    batch, model = random_batch(1000), Recorder()
    denoiser_loss(model, build_scheduler(), batch, settings, generator_at(0, 0, 0, 0))
    dropped = model.voices == -1
    assert float(dropped.float().mean()) == pytest.approx(settings.style_dropout, abs=0.03)
    assert torch.equal(model.voices[~dropped], batch.voices[~dropped])


def test_noise_power_prefers_high_noise(settings):
    model = Recorder()
    means = []
    for power in (1.0, 0.5):
        chosen = replace(settings, noise_power=power)
        denoiser_loss(model, build_scheduler(), random_batch(1000), chosen, generator_at(0, 0, 0, 0))
        assert int(model.timesteps.min()) >= 0
        assert int(model.timesteps.max()) <= 999
        means.append(float(model.timesteps.float().mean()))
    assert means == pytest.approx([500, 667], abs=25)


def test_source_and_style_both_reach_the_prediction(settings):
    model = build_model(settings, 4, VOICES).eval()
    batch = random_batch(1)
    steps = torch.tensor([500])
    with torch.no_grad():
        plain = model(batch.target, batch.source, steps, torch.tensor([0]))
        assert plain.shape == batch.target.shape
        assert not torch.equal(plain, model(batch.target, batch.source + 1, steps, torch.tensor([0])))
        assert not torch.equal(plain, model(batch.target, batch.source, steps, torch.tensor([1])))
        assert not torch.equal(plain, model(batch.target, batch.source, steps, torch.tensor([-1])))


def test_a_reference_replaces_the_name_unless_the_style_is_dropped(settings):
    model = build_model(replace(settings, reference_width=16), 4, VOICES).eval()
    batch = random_batch(3)
    steps, voices = torch.full((3,), 500), torch.tensor([0, -1, 1])
    references = torch.randn(2, 1, 256, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        by_name = model(batch.target, batch.source, steps, voices)
        by_clip = model(batch.target, batch.source, steps, voices, references)
        assert not torch.allclose(by_name[0], by_clip[0], atol=1e-4)
        torch.testing.assert_close(by_name[1:], by_clip[1:])


@pytest.mark.slow
def test_reference_encoding_is_trained_and_can_start_from_a_model_without_it(settings, tmp_path):
    train(settings)
    listening = replace(settings, out=tmp_path / "more", initial=str(settings.out), reference_width=16)
    before = build_model(listening, 4, VOICES).style_encoder.state_dict()
    train(listening)
    _, style = load(listening.out)
    assert not torch.equal(style["reference.head.weight"], before["reference.head.weight"])
    with pytest.raises(SettingsError, match="it has tokens=2, not 3"):
        train(replace(listening, out=tmp_path / "other", tokens=3))


@pytest.mark.slow
def test_voices_of_the_initial_weights_are_kept_and_new_ones_start_from_their_instruments(settings, tmp_path):
    train(settings)
    model = build_model(settings, 4, VOICES)
    names = ["flute/Old-73", *VOICES]
    model.style_encoder = StyleEncoder(names, 2, settings.token_width, mel=MelConfig().to_dict())
    saved = tmp_path / "saved"
    model.unet.save_pretrained(saved / "unet")
    model.style_encoder.save_pretrained(saved / "style_encoder")
    grown = train(replace(settings, out=tmp_path / "more", initial=str(saved), steps=1, learning_rate=0.0))
    assert set(grown.style_encoder.config.voices) == set(names)
    weight = grown.style_encoder.voice_embedding.weight.detach()
    for number, name in enumerate(grown.style_encoder.config.voices):
        known = model.style_encoder.voice_embedding.weight[names.index(name)]
        torch.testing.assert_close(weight[number], known.detach())


def test_an_unknown_voice_starts_as_the_mean_of_its_instruments_voices():
    known = ["piano/A-0", "piano/B-0", "violin/A-40"]
    weight = torch.tensor([[1.0, 0.0], [3.0, 2.0], [10.0, 10.0]])
    grown = grow_embedding(weight, known, ["piano/C-0", "violin/A-40", "harp/A-46"])
    torch.testing.assert_close(grown, torch.tensor([[2.0, 1.0], [10.0, 10.0], [14 / 3, 4.0]]))


def test_unusable_inputs_are_reported(tiny_cache, tiny_latents, tmp_path, capsys):
    def refusal(cache, latents, *more: str) -> str:
        folders = ["--cache", str(cache), "--latents", str(latents), "--out", str(tmp_path / "run")]
        assert main([*folders, *more]) == 2
        assert not (tmp_path / "run").exists()
        return capsys.readouterr().err

    missing, other = tmp_path / "none", tmp_path / "other"
    assert "error: no finished mel cache in " in refusal(missing, missing)
    assert f"error: no latents in {missing}: run the command cache-latents first" in refusal(tiny_cache, missing)
    vae = ["--autoencoder", str(missing)]
    assert f"error: cannot use the autoencoder in {missing}: " in refusal(tiny_cache, tiny_latents, *vae)
    mel = MelConfig(fmin_hz=50.0).to_dict()
    MelAutoencoder(mel=mel, latent_channels=4, block_out_channels=(16,), layers_per_block=1).save_pretrained(other)
    vae = ["--autoencoder", str(other)]
    assert "it was made with fmin_hz=50.0, but 30.0 is needed" in refusal(tiny_cache, tiny_latents, *vae)


@pytest.mark.slow
def test_pictures_need_the_autoencoder_of_the_latents(settings, tmp_path):
    models = [MelAutoencoder(latent_channels=4, block_out_channels=(16,), layers_per_block=1) for _ in range(2)]
    models[1].save_pretrained(tmp_path / "vae")
    shutil.copytree(settings.latents, tmp_path / "latents")
    rows = read_cache(settings.cache, MelConfig()).clips[: len(np.load(settings.latents / "latents.npy"))]
    record_origin(tmp_path / "latents", models[0], rows)
    settings = replace(settings, latents=tmp_path / "latents", autoencoder=str(tmp_path / "vae"))
    with pytest.raises(CacheError, match="another autoencoder made the latents in "):
        train(settings)
    record_origin(tmp_path / "latents", models[1], rows)
    train(settings)
