import json
import math
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stylediff import StyleTransferPipeline
from stylediff.audio import AudioError
from stylediff.dynamics import frame_levels
from stylediff.room import add_room
from stylediff.settings import TEMPERATURE, TransferSettings
from stylediff.tuning import estimate_tuning
from stylediff.waveform import STEP_LIMIT, fade_edges_
from tests.helpers.tiny_pipeline import tiny_pipeline

RECOMMENDED = {
    "harp": {"voice": "harp/Tiny-46", "temperature": 0.9, "steps": 3, "room": "studio"},
    "piano": {"enhance": False},
}


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


def tone(seconds: float, sample_rate: int = 22050) -> torch.Tensor:
    time = torch.arange(round(seconds * sample_rate)) / sample_rate
    return 0.3 * torch.sin(2 * torch.pi * 440 * time)


def run(pipeline, waveform, sample_rate=22050, seed=0, steps=2, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    return pipeline(waveform, sample_rate, num_inference_steps=steps, generator=generator, **kwargs)


@pytest.mark.parametrize("samples", [11025, 22050, 33333, 114688])
def test_output_is_as_long_as_the_input_to_the_sample(pipeline, samples):
    assert run(pipeline, tone(6)[:samples]).audio.shape == (samples,)


def test_output_has_the_rate_and_length_of_a_44100_hz_stereo_input(pipeline):
    result = run(pipeline, tone(1.2345, 44100).repeat(2, 1), 44100)
    assert result.sample_rate == 44100
    assert result.audio.shape == (round(1.2345 * 44100),)


def test_same_seed_gives_the_same_samples_and_another_seed_others(pipeline):
    first, again, other = (run(pipeline, tone(1), seed=seed).audio for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_temperature_scales_the_noise_that_is_refined(pipeline):
    cold, same, warm = (
        run(pipeline, tone(1), seed=seed, temperature=temperature, output_type="latent").latents
        for seed, temperature in ((3, 0.0), (3, 0.0), (3, 0.5))
    )
    assert torch.equal(cold, same)
    assert not torch.allclose(cold, warm, atol=1e-4)


def test_one_step_does_not_depend_on_the_temperature(pipeline):
    cold, hot = (run(pipeline, tone(1), steps=1, temperature=t, output_type="latent").latents for t in (0.0, 1.0))
    assert torch.equal(cold, hot)


@pytest.mark.slow
def test_the_output_follows_the_dynamics_of_the_clip(pipeline):
    swelling = tone(6) * torch.linspace(0.05, 1, 6 * 22050)
    free, bound = (run(pipeline, swelling, dynamics=amount) for amount in (0.0, 1.0))
    assert torch.equal(free.latents, bound.latents)
    source, before, after = (frame_levels(mel) for mel in (free.source_mel, free.mel, bound.mel))
    distances = [float((source - source.mean() - (one - one.mean())).abs().mean()) for one in (before, after)]
    assert distances[1] < 0.85 * distances[0]


def test_below_full_strength_the_temperature_scales_the_noise_in_the_source(pipeline):
    source = torch.zeros(1, 4, 8, 24)
    hot, cool = (
        pipeline.prepare_latents(source, 2, 0.5, temperature, torch.Generator().manual_seed(0))[0]
        for temperature in (1.0, 0.4)
    )
    torch.testing.assert_close(cool, 0.4 * hot)


def test_output_follows_the_level_of_the_input(pipeline):
    loud, soft = (run(pipeline, tone(1) * gain).audio for gain in (0.1, 0.01))
    assert 0.1 < loud.abs().max() < 1
    torch.testing.assert_close(soft, loud * 0.1, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("sample_rate", [22050, 44100])
def test_a_room_is_added_at_the_end_at_the_rate_of_the_output(pipeline, sample_rate):
    clip = tone(1.5, sample_rate)
    dry, hall, longer = (
        run(pipeline, clip, sample_rate, **settings)
        for settings in ({}, {"room": "hall"}, {"room": "hall", "keep_tail": True})
    )
    assert dry.settings.room == "dry"
    assert torch.equal(hall.audio, fade_edges_(add_room(dry.audio, sample_rate, "hall"), sample_rate))
    assert hall.audio.shape == dry.audio.shape
    assert not torch.allclose(hall.audio, dry.audio, atol=0.01)
    assert float(hall.audio.square().sum()) == pytest.approx(float(dry.audio.square().sum()), rel=1e-2)
    assert len(longer.audio) == len(clip) + round(1.9 * sample_rate) - 1
    assert torch.equal(hall.mel, dry.mel)


@pytest.mark.parametrize("output_type", ["mel", "latent"])
def test_a_room_leaves_spectrograms_and_latents_alone(pipeline, output_type):
    dry, hall = (run(pipeline, tone(1), room=room, output_type=output_type) for room in ("dry", "hall"))
    assert hall.audio is None
    assert torch.equal(hall.latents, dry.latents)


def test_silence_is_accepted_and_the_result_is_finite(pipeline):
    assert torch.isfinite(run(pipeline, torch.zeros(22050)).audio).all()


def test_strength_zero_is_the_autoencoder_round_trip(pipeline):
    result = run(pipeline, tone(2.6), strength=0.0, dynamics=0.0, output_type="mel")
    source = pipeline.encode_mel(result.source_mel[None, None])
    torch.testing.assert_close(result.latents, source)
    expected = pipeline.decode_latents(source, result.source_mel.shape[-1])
    torch.testing.assert_close(result.mel, expected[0, 0])


def test_guidance_one_and_the_two_pass_formula_agree(pipeline):
    pair = torch.randn(1, 8, 32, 24, generator=torch.Generator().manual_seed(0))
    tokens, timestep = pipeline.encode_target("violin"), torch.tensor(500)
    single = pipeline.predict_velocity(pair, timestep, tokens, 1.0)
    null = pipeline.style_encoder(torch.tensor([-1]))
    without = pipeline.predict_velocity(pair, timestep, null, 1.0)
    guided = pipeline.predict_velocity(pair, timestep, tokens, 2.5)
    torch.testing.assert_close(guided, without + 2.5 * (single - without), rtol=1e-4, atol=1e-5)


def test_a_reference_clip_is_a_target_and_can_be_mixed_with_a_name(pipeline):
    tokens, clip_tokens = pipeline.encode_target("violin"), pipeline.encode_reference(tone(12, 44100), 44100)
    assert clip_tokens.shape == tokens.shape
    torch.testing.assert_close(
        clip_tokens, pipeline.encode_reference(0.1 * tone(10, 44100), 44100), rtol=1e-3, atol=1e-4
    )
    by_name, by_tokens, by_clip = (run(pipeline, tone(1), target=t).audio for t in ("violin", tokens, clip_tokens))
    assert torch.equal(by_name, by_tokens)
    assert not torch.allclose(by_name, by_clip, atol=1e-4)
    mixed = run(pipeline, tone(1), target=torch.lerp(tokens, clip_tokens, 0.5)).audio
    assert not torch.allclose(mixed, by_clip, atol=1e-4)


def test_an_unusable_reference_is_refused_with_a_message(pipeline):
    with pytest.raises(AudioError, match=r"the reference clip cannot be used: clip is 0\.20 s"):
        pipeline.encode_reference(torch.zeros(4410), 22050)
    with pytest.raises(AudioError, match="the reference clip is silent"):
        pipeline.encode_reference(torch.zeros(22050), 22050)
    with pytest.raises(ValueError, match=r"style tokens must be of shape \(1, 2, 16\), got \(2, 16\)"):
        run(pipeline, tone(1), target=torch.zeros(2, 16))


@pytest.mark.slow
def test_a_long_clip_keeps_its_length(pipeline):
    result = run(pipeline, tone(13.3))
    assert result.audio.shape == (round(13.3 * 22050),)
    assert result.mel.shape == result.source_mel.shape


def test_the_callback_sees_every_step_and_may_replace_latents(pipeline):
    seen = []

    def blank(_, step, timestep, tensors):
        seen.append(step)
        return {"latents": torch.zeros_like(tensors["latents"])}

    result = run(pipeline, tone(1), steps=3, output_type="latent", callback_on_step_end=blank)
    assert seen == [0, 1, 2]
    assert result.latents.abs().max() == 0
    assert result.audio is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"target": "kazoo"}, "unknown target 'kazoo'"),
        ({"steps": 0}, "steps must be 1 to 500, got 0"),
        ({"guidance_scale": 0.5}, "guidance must be at least 1, got 0.5"),
        ({"strength": 1.5}, "strength must be 0 to 1"),
        ({"temperature": 1.1}, "temperature must be 0 to 1, got 1.1"),
        ({"dynamics": -0.1}, "dynamics must be 0 to 1, got -0.1"),
        ({"room": "cave"}, "room must be one of dry, studio, room, hall, got 'cave'"),
        ({"output_type": "jpeg"}, "output_type must be"),
    ],
)
def test_bad_arguments_are_refused_with_a_message(pipeline, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(pipeline, tone(1), **arguments)


def test_an_unknown_argument_is_refused(pipeline):
    with pytest.raises(TypeError, match="unexpected argument 'colour'; settings are num_inference_steps"):
        run(pipeline, tone(1), colour="red")


def test_the_settings_used_come_with_the_result(pipeline):
    result = run(pipeline, tone(1), steps=3, dynamics=0.5)
    assert result.settings == TransferSettings(steps=3, dynamics=0.5).resolve({})
    assert result.settings.temperature == TEMPERATURE
    by_settings = pipeline(
        tone(1), 22050, generator=torch.Generator().manual_seed(0), **TransferSettings(steps=3, dynamics=0.5).kwargs()
    )
    assert torch.equal(by_settings.audio, result.audio)


@pytest.mark.parametrize("waveform", [torch.zeros(5000), torch.full((22050,), torch.nan), torch.zeros(1, 2, 22050)])
def test_bad_audio_is_refused_with_a_message(pipeline, waveform):
    with pytest.raises(AudioError):
        run(pipeline, waveform)


@pytest.mark.slow
def test_without_a_vocoder_griffin_lim_makes_the_sound(pipeline):
    bare = StyleTransferPipeline(
        pipeline.autoencoder, pipeline.unet, pipeline.scheduler, pipeline.style_encoder, vocoder=None
    )
    bare.set_progress_bar_config(disable=True)
    assert run(bare, tone(0.6)).audio.shape == (13230,)


FRESH = """
import sys, torch
from stylediff import StyleTransferPipeline
pipeline = StyleTransferPipeline.from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
waveform = 0.3 * torch.sin(torch.arange(22050) / 10)
result = pipeline(waveform, 22050, target="harp", num_inference_steps=2, generator=torch.Generator().manual_seed(1))
torch.save(result.audio, sys.argv[2])
"""


def test_a_saved_pipeline_keeps_its_recommendations(tmp_path):
    advised = StyleTransferPipeline(**tiny_pipeline(["harp/Tiny-46"]).components, recommended=RECOMMENDED)
    advised.save_pretrained(tmp_path)
    loaded = StyleTransferPipeline.from_pretrained(tmp_path)
    assert loaded.recommended == RECOMMENDED
    loaded.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index.pop("recommended") == RECOMMENDED
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert StyleTransferPipeline.from_pretrained(tmp_path).recommended == {}


def test_a_pipeline_without_recommendations_is_saved_without_them(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    assert "recommended" not in json.loads((tmp_path / "model_index.json").read_text())


def test_recommended_voice_and_settings_are_used_by_default():
    plain = tiny_pipeline(["harp/Tiny-46"])
    advised = StyleTransferPipeline(**plain.components, recommended=RECOMMENDED)
    for one in (plain, advised):
        one.set_progress_bar_config(disable=True)
    first = plain.choose_voice("harp")
    assert (advised.choose_voice("harp"), advised.choose_voice(first), first) == ("harp/Tiny-46", first, first)
    asked = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(0)}
    result = advised(tone(1), 22050, target="harp", **asked)
    assert (result.voice, result.settings.steps, result.settings.temperature) == ("harp/Tiny-46", 2, 0.9)
    by_hand = run(plain, tone(1), target="harp/Tiny-46", temperature=0.9, room="studio")
    assert torch.equal(result.audio, by_hand.audio)
    assert torch.equal(advised.encode_target("harp"), plain.encode_target("harp/Tiny-46"))
    assert not torch.equal(advised.encode_target("harp"), plain.encode_target("harp"))
    other = run(advised, tone(1), target="flute")
    assert torch.equal(other.audio, run(plain, tone(1), target="flute").audio)
    tokens = run(advised, tone(1), target=advised.encode_target("harp"))
    assert (tokens.voice, tokens.settings) == (None, TransferSettings(steps=2).resolve({}))


def test_a_recommended_voice_that_the_model_lacks_is_ignored(pipeline):
    advised = StyleTransferPipeline(**pipeline.components, recommended={"harp": {"voice": "harp/Unknown-46"}})
    assert advised.choose_voice("harp") == pipeline.choose_voice("harp")
    with pytest.raises(ValueError, match="unknown target 'kazoo'"):
        advised.choose_voice("kazoo")


@pytest.mark.slow
def test_a_saved_pipeline_sounds_the_same_in_a_new_process(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "model")
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert index["autoencoder"] == ["stylediff", "MelAutoencoder"]
    subprocess.run([sys.executable, "-c", FRESH, tmp_path / "model", tmp_path / "audio.pt"], check=True)
    expected = run(pipeline, 0.3 * torch.sin(torch.arange(22050) / 10), seed=1, target="harp").audio
    # Phase reconstruction amplifies rounding errors, in which two processes may differ.
    difference = torch.load(tmp_path / "audio.pt") - expected
    assert float(difference.square().mean().sqrt()) < 0.01 * float(expected.square().mean().sqrt())


def test_refinement_starts_at_the_chosen_noise_level(pipeline):
    seen = {}

    def record(name):
        seen[name] = []
        return lambda pipe, step, timestep, values: seen[name].append(int(timestep)) or {}

    for level in (None, 0.2):
        run(pipeline, tone(1), steps=3, refine_from=level, callback_on_step_end=record(level))
    assert seen == {None: [999, 499, 249], 0.2: [999, 199, 99]}


def test_a_result_neither_begins_nor_ends_with_a_step(pipeline):
    clip = tone(2)[5000:25_000]
    for room in ("dry", "hall"):
        assert float(run(pipeline, clip, room=room).audio[[0, -1]].abs().max()) <= STEP_LIMIT


def test_hiss_alone_comes_back_as_silence(pipeline):
    hiss = 1e-4 * torch.randn(44_100, generator=torch.Generator().manual_seed(0))
    assert float(run(pipeline, hiss).audio.abs().max()) < 1e-4


def test_arrays_are_taken_and_transposed_ones_named(pipeline):
    clip = tone(1)
    torch.testing.assert_close(run(pipeline, clip.numpy()).audio, run(pipeline, clip).audio)
    with pytest.raises(AudioError, match="looks transposed"):
        run(pipeline, torch.stack([clip, clip], 1).numpy())


def test_a_detuned_clip_is_played_in_tune_and_back(pipeline):
    time = torch.arange(44_100) / 22_050
    for cents in (-32.0, 32.0, 45.0):
        clip = 0.3 * torch.sin(2 * torch.pi * 440 * 2 ** (cents / 1200) * time)
        mono, rate = pipeline.tuned_mono(clip, 22_050)
        assert 1200 * math.log2(rate / 22_050) == pytest.approx(cents, abs=2)
        assert len(mono) == round(44_100 * rate / 22_050)
        assert run(pipeline, clip).audio.shape == clip.shape
    assert pipeline.tuned_mono(0.3 * torch.sin(2 * torch.pi * 440 * time), 22_050)[1] == 22_050


@pytest.mark.slow
def test_a_result_can_be_put_at_concert_pitch(pipeline):
    time = torch.arange(44_100) / 22_050
    clip = 0.3 * torch.sin(2 * torch.pi * 440 * 2 ** (40 / 1200) * time)
    mono, rate = pipeline.tuned_mono(clip, 22_050, "concert")
    assert (rate, len(mono)) == (22_050, 44_100)
    assert abs(estimate_tuning(mono, 22_050)) < 5
    assert run(pipeline, clip, tuning="concert").audio.shape == clip.shape
    with pytest.raises(ValueError, match="tuning must be one of clip, concert"):
        run(pipeline, clip, tuning="415")


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_the_result_has_the_rate_that_was_chosen(pipeline, rate):
    clip = torch.stack([tone(1), tone(1).flip(0)])
    result = run(pipeline, clip, rate=str(rate))
    assert result.sample_rate == rate
    assert result.audio.shape == (2, rate * clip.shape[1] // 22_050)
    assert run(pipeline, clip, rate=str(rate), mix=0.5).audio.shape == result.audio.shape
    with pytest.raises(ValueError, match="rate must be one of clip, 22050, 44100, 48000, got '96000'"):
        run(pipeline, clip, rate="96000")


def test_the_clip_sounds_along_where_it_is_mixed_in(pipeline):
    clip = tone(1)
    wet, dry, half = (run(pipeline, clip, mix=share).audio for share in (1, 0, 0.5))
    inner = slice(1000, -1000)  # ends may be faded
    assert torch.allclose(dry[inner], clip[inner], atol=1e-6)
    assert torch.allclose(half[inner], ((wet + clip) / 2)[inner], atol=1e-5)
    wide = torch.stack([clip, clip.flip(0)])
    assert torch.allclose(run(pipeline, wide, mix=0).audio[:, inner], wide[:, inner], atol=1e-6)
    assert run(pipeline, wide, mix=0, stereo=False).audio.shape == clip.shape


def test_a_stereo_clip_gives_a_stereo_result_with_the_same_mean(pipeline):
    left, right = tone(2), torch.randn(44_100, generator=torch.Generator().manual_seed(0)) / 20
    clip = torch.stack([left[: len(right)], right])
    wide, mono = run(pipeline, clip).audio, run(pipeline, clip, stereo=False).audio
    assert wide.shape == clip.shape
    assert mono.shape == clip.shape[1:]
    inner = slice(1000, -1000)  # ends may be faded
    assert torch.allclose(wide.mean(0)[inner], mono[inner], atol=1e-5)
    assert run(pipeline, clip[:1].repeat(2, 1)).audio.shape == mono.shape
    assert run(pipeline, clip, room="hall", keep_tail=True).audio.shape[0] == 2


@pytest.mark.slow
def test_notes_are_moved_before_the_transfer(pipeline):
    clip = tone(1)
    plain, higher = run(pipeline, clip), run(pipeline, clip, transpose=12)
    assert higher.audio.shape == clip.shape
    bands = [int(result.source_mel.mean(dim=1).argmax()) for result in (plain, higher)]
    assert bands[1] > bands[0]
    with pytest.raises(ValueError, match="transpose must be -24 to 24, got 25"):
        run(pipeline, clip, transpose=25)


def test_half_precision_is_refused(pipeline):
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match="computes in float32, not torch"):
            run(tiny_pipeline().to(dtype), tone(1))


class NoFloat64(TorchDispatchMode):
    """Fails on any tensor of 64-bit floats, which Apple's GPUs do not have."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        assert not (isinstance(result, torch.Tensor) and result.dtype == torch.float64), function
        return result


def test_nothing_on_the_path_is_a_float64(pipeline):
    pipeline.encode_target("violin")
    with NoFloat64():
        run(pipeline, tone(1), room="hall")
