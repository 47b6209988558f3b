import queue
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from stylediff import MelEnhancer, StyleTransferPipeline
from stylediff.audio import AudioError
from stylediff.page.conversions import (
    PREVIEWS,
    STREAMED_S,
    Converter,
    Heard,
    Reporter,
    Step,
    choose_style,
    convert,
    count_previews,
    run,
    warm_up,
)
from stylediff.page.inference_thread import CONCURRENCY, compute, work_off
from stylediff.page.settings import Choices
from stylediff.page.uploads import Clip
from stylediff.pipeline import StyleTransferOutput
from stylediff.settings import STEPS
from tests.helpers.tiny_pipeline import tiny_pipeline

CLIP = Clip(0.3 * np.sin(np.arange(30001) / 10, dtype=np.float32)[None], 22050, 0.0, 1.36, "clip")
CHOICES = Choices(target="harp", steps=8, seed=3)


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


def workers() -> set[threading.Thread]:
    """Threads that convert."""
    return {thread for thread in threading.enumerate() if getattr(thread, "_target", None) is work_off}


def test_steps_come_first_and_then_the_pipelines_result(pipeline):
    *steps, output = convert(pipeline, CLIP, CHOICES, previews=4)
    assert [step.number for step in steps] == list(range(1, 9))
    assert [step.number for step in steps if step.mel is not None] == [2, 4, 6]
    assert steps[1].mel.shape == output.mel.shape
    assert all(step.seconds_left >= 0 for step in steps)
    assert steps[-1].seconds_left == 0
    direct = pipeline(
        torch.from_numpy(CLIP.samples),
        22050,
        target="harp",
        num_inference_steps=8,
        generator=torch.Generator().manual_seed(3),
    )
    assert torch.equal(output.audio, direct.audio)
    assert torch.equal(output.source_mel, direct.source_mel)


@pytest.mark.slow
def test_there_are_never_more_previews_than_asked_for(pipeline):
    for total in range(1, 51):
        reporter = Reporter(total, 4, PREVIEWS, queue.Queue(), threading.Event(), 0.0)
        latents = torch.zeros(1, pipeline.autoencoder.channels, pipeline.autoencoder.latent_rows, 1)
        for step in range(total):
            reporter(pipeline, step, torch.tensor(0), {"latents": latents})
        shown = sum(event.mel is not None for event in reporter.events.queue)
        assert min(total, 3) - 1 <= shown <= PREVIEWS


def test_few_steps_show_no_picture_on_the_way_and_many_a_few():
    assert [count_previews(steps) for steps in (1, STEPS, 9, 20, 50)] == [0, 0, 0, 2, PREVIEWS]


def test_a_conversion_cancelled_before_its_turn_computes_nothing(pipeline):
    reporter = Reporter(8, 4, 0, queue.Queue(), threading.Event(), 0.0)
    reporter.stop.set()
    calls = []
    hook = pipeline.autoencoder.vae.encoder.register_forward_hook(lambda *_: calls.append(1))
    run(pipeline, CLIP, CHOICES, None, reporter)
    hook.remove()
    assert calls == []
    assert reporter.events.empty()


def test_a_closed_conversion_computes_no_further(pipeline):
    compute(int).result()
    before = workers()
    calls = []
    hook = pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    events = convert(pipeline, CLIP, Choices(steps=50), previews=0)
    assert next(events).number == 1
    events.close()
    done = len(calls)
    hook.remove()
    assert done <= 4
    assert workers() == before
    assert len(before) == CONCURRENCY
    assert isinstance([*convert(pipeline, CLIP, CHOICES, previews=0)][-1], StyleTransferOutput)


@pytest.mark.slow
def test_two_conversions_at_once_do_not_mix(pipeline):
    ours, theirs = (convert(pipeline, CLIP, Choices(steps=steps), previews=0) for steps in (6, 3))
    mixed = [next(ours), next(theirs), *ours, *theirs]
    outputs = [event for event in mixed if isinstance(event, StyleTransferOutput)]
    alone = [[*convert(pipeline, CLIP, Choices(steps=steps), previews=0)][-1] for steps in (6, 3)]
    assert all(torch.equal(mine.audio, once.audio) for mine, once in zip(outputs, alone, strict=True))


def test_an_unusable_clip_is_raised_to_the_caller(pipeline):
    short = Clip(CLIP.samples[:, :100], 22050, 0.0, 0.0, "short")
    with pytest.raises(AudioError, match=r"at least 0\.5 s is needed"):
        next(Converter(pipeline)(short, CHOICES))


def test_any_error_in_the_worker_is_raised_to_the_caller(pipeline):
    class Broken(type(pipeline.scheduler)):
        def __deepcopy__(self, memo):
            raise RuntimeError("no memory left")

    broken = StyleTransferPipeline(**(pipeline.components | {"scheduler": Broken()}))
    with pytest.raises(RuntimeError, match="no memory left"):
        next(convert(broken, CLIP, CHOICES, previews=0))


def test_a_strength_below_one_counts_the_steps_that_are_run(pipeline):
    events = [*convert(pipeline, CLIP, Choices(steps=8, strength=0.5), previews=0)]
    assert [event.total for event in events if isinstance(event, Step)] == [4] * 4


def test_a_reference_is_mixed_with_the_name(pipeline):
    reference = Clip(0.3 * np.sin(np.arange(50_000) / 5, dtype=np.float32)[None], 22050, 0.0, 2.3, "other")
    by_name, by_clip = (
        pipeline.encode_target("harp"),
        pipeline.encode_reference(torch.from_numpy(reference.samples), 22050),
    )
    assert choose_style(pipeline, CHOICES, None) == {"target": "harp"}
    half = choose_style(pipeline, Choices(target="harp", like=0.5), reference)
    torch.testing.assert_close(half["target"], (by_name + by_clip) / 2)
    assert half["brightness"] is None  # nothing above 11 kHz
    *_, by_name = convert(pipeline, CLIP, CHOICES, previews=0)
    *_, by_clip = convert(pipeline, CLIP, CHOICES, previews=0, reference=reference)
    assert not torch.equal(by_name.audio, by_clip.audio)


def test_recommended_settings_apply_while_the_named_instrument_counts(pipeline):
    advised = StyleTransferPipeline(**pipeline.components, recommended={"harp": {"temperature": 0.9, "steps": 3}})
    converter = Converter(advised)
    chosen = Choices(target="harp", steps=2)
    assert converter.resolve(chosen) == replace(chosen, temperature=0.9).resolve({})
    assert converter.resolve(replace(chosen, like=0.5), is_matching=True).temperature == 0.9
    assert converter.resolve(chosen, is_matching=True) == chosen.resolve({})
    *_, output = converter(CLIP, Choices(target="harp"))
    assert (output.settings.steps, output.settings.temperature) == (3, 0.9)


def test_a_recommended_voice_plays(pipeline):
    wide = tiny_pipeline(["harp/Tiny-46"])
    advised = StyleTransferPipeline(**wide.components, recommended={"harp": {"voice": "harp/Tiny-46"}})
    *_, plain = Converter(wide)(CLIP, CHOICES)
    *_, other = Converter(advised)(CLIP, CHOICES)
    assert (plain.voice, other.voice) == (wide.choose_voice("harp"), "harp/Tiny-46")
    assert not torch.equal(plain.audio, other.audio)


@pytest.mark.slow
def test_the_enhancer_can_be_left_out(pipeline):
    enhancer = MelEnhancer(widths=(16,)).eval()
    torch.nn.init.normal_(enhancer.unet.conv_out.weight, std=0.1)
    enhancing = StyleTransferPipeline(**(pipeline.components | {"enhancer": enhancer}))
    *_, plain = convert(pipeline, CLIP, CHOICES, previews=0)
    *_, enhanced = convert(enhancing, CLIP, CHOICES, previews=0)
    *_, left = convert(enhancing, CLIP, replace(CHOICES, enhance=False), previews=0)
    assert torch.equal(left.mel, plain.mel)
    assert not torch.allclose(enhanced.mel, plain.mel, atol=1e-3)


def test_warming_up_runs_every_network_once(pipeline):
    calls = []
    hooks = [part.register_forward_hook(lambda *_: calls.append(1)) for part in (pipeline.unet, pipeline.vocoder)]
    warm_up(pipeline)
    for hook in hooks:
        hook.remove()
    assert len(calls) == 2


BRIEF = replace(CHOICES, steps=2)


@pytest.fixture(scope="module")
def long_clip():
    """A tone of 25 s."""
    samples = 0.3 * np.sin(np.arange(25 * 22050) / 10, dtype=np.float32)[None]
    return Clip(samples, 22050, 0.0, 25.0, "long")


def test_a_long_clip_is_heard_before_it_is_ready_and_ends_the_same(pipeline, long_clip):
    converter = Converter(pipeline)
    *events, output = converter(long_clip, BRIEF, shows_previews=True)
    heard = [number for number, event in enumerate(events) if isinstance(event, Heard)]
    steps = [event for event in events if isinstance(event, Step)]
    assert heard
    assert heard[0] < len(events) / 2
    assert all(step.is_part and step.mel is None for step in steps)
    assert steps[-1].number == steps[-1].total > BRIEF.steps
    *plain, expected = converter(long_clip, BRIEF)
    assert not any(isinstance(event, Heard) for event in plain)
    assert output.audio.equal(expected.audio)


def test_a_short_clip_has_no_sound_of_parts(pipeline):
    assert CLIP.seconds < STREAMED_S
    assert not any(isinstance(event, Heard) for event in Converter(pipeline)(CLIP, BRIEF, shows_previews=True))


def test_sound_is_made_for_as_long_as_the_rest_takes(pipeline, long_clip, monkeypatch):
    monkeypatch.setattr("stylediff.page.conversions.LISTENED_S", 0.1)
    monkeypatch.setattr("stylediff.page.conversions.LISTENED_SHARE", 0.0)
    events = list(Converter(pipeline)(long_clip, BRIEF, shows_previews=True))
    assert sum(isinstance(event, Heard) for event in events) == 1


def test_a_stopped_conversion_of_a_long_clip_ends(pipeline, long_clip):
    events = Converter(pipeline)(long_clip, BRIEF, shows_previews=True)
    next(event for event in events if isinstance(event, Heard))
    events.close()
    assert compute(lambda: True).result(timeout=30)
