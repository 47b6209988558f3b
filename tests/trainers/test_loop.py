import json
import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers.training_utils import EMAModel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stylediff import StyleEncoder, Vocoder
from train.common.precision import choose_precision
from train.trainers import loop
from train.trainers.base_settings import SettingsError, TrainSettings, is_due
from train.trainers.loop import TrainingError, TrainingRun, count_steps, generator_at, load_initial_weights, run_trainer


@dataclass(frozen=True, kw_only=True)
class LineSettings(TrainSettings):
    steps: int = 6
    batch_size: int = 8
    learning_rate: float = 0.1
    warmup_steps: int = 1
    precision: str = "no"
    log_every: int = 2
    image_every: int = 3


def start(settings: LineSettings) -> tuple[TrainingRun, torch.nn.Linear]:
    """A run that fits a line, always from the same initial weights."""
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    return TrainingRun(
        settings, {"line": model}, {"line": optimizer}, {"line": EMAModel(model.parameters(), decay=0.9)}
    ), model


def train(settings: LineSettings, stop_after: int | None = None) -> tuple[TrainingRun, torch.nn.Linear]:
    run, model = start(settings)
    for done, step in enumerate(run.steps(), start=1):
        for micro in range(settings.accumulation):
            x = torch.randn(settings.batch_size, 1, generator=generator_at(settings.seed, step, micro, 0))
            loss = (run.models["line"](x) - 3 * x).square().mean()
            run.backward(loss)
            run.record({"loss": loss.detach()})
        run.update("line")
        if done == stop_after:
            run.step += 1
            run.save_checkpoint()
            break
    return run, model


def logged(settings: LineSettings, name: str) -> dict[int, float]:
    events = EventAccumulator(str(settings.out / "log")).Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def test_a_generator_depends_only_on_its_position():
    forwards = [torch.rand(3, generator=generator_at(1, step, 0, 0)).tolist() for step in range(5)]
    backwards = [torch.rand(3, generator=generator_at(1, step, 0, 0)).tolist() for step in reversed(range(5))]
    assert forwards == backwards[::-1]
    places = [(1, 2, 3, 4, 0), (2, 2, 3, 4, 0), (1, 3, 3, 4, 0), (1, 2, 4, 4, 0), (1, 2, 3, 5, 0), (1, 2, 3, 4, 1)]
    assert len({float(torch.rand(1, generator=generator_at(*place))) for place in places}) == len(places)


def test_precision_is_used_as_requested():
    assert [choose_precision(wanted) for wanted in ("no", "bf16", "fp16")] == ["no", "bf16", "fp16"]
    assert choose_precision("auto") in ("no", "bf16", "fp16")


@pytest.mark.slow
def test_a_resumed_run_reaches_the_same_weights(tmp_path):
    whole, model = train(LineSettings(out=tmp_path / "whole"))
    train(LineSettings(out=tmp_path / "parts"), stop_after=2)
    resumed, again = train(LineSettings(out=tmp_path / "parts"))
    assert whole.step == 6
    assert resumed.step == 6
    assert torch.equal(model.weight, again.weight)
    assert torch.equal(model.bias, again.bias)
    shadows = zip(whole.averages["line"].shadow_params, resumed.averages["line"].shadow_params, strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in shadows)


@pytest.mark.slow
def test_a_finished_run_makes_no_more_steps(tmp_path):
    train(LineSettings(out=tmp_path))
    run, _ = start(LineSettings(out=tmp_path))
    assert list(run.steps()) == []


def test_minutes_end_a_run_after_a_step_with_a_checkpoint(tmp_path):
    run, _ = train(LineSettings(out=tmp_path, minutes=1e-9))
    assert run.step == 1
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a test advances by setting ``now``."""
    stopped = SimpleNamespace(now=100.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: stopped.now))
    return stopped


def steps_of(run: TrainingRun, clock: SimpleNamespace, seconds: float) -> list[int]:
    """Numbers of a run's steps, each of the given duration."""
    done = []
    for step in run.steps():
        clock.now += seconds
        done.append(step)
    return done


@pytest.mark.slow
def test_a_budget_ends_a_run_with_any_number_of_steps(tmp_path, clock):
    run, _ = start(LineSettings(out=tmp_path, steps=2, budget_minutes=1))
    assert not run.is_past(0.1)
    assert steps_of(run, clock, 7.0) == list(range(9))
    assert run.is_past(1.0)
    assert run.seconds == pytest.approx(63)
    assert run.plain_optimizers["line"].param_groups[0]["lr"] == pytest.approx(0.1 * (1 - 56 / 60) / 0.3)
    assert count_steps(tmp_path) == 9
    again, _ = start(LineSettings(out=tmp_path, steps=2, budget_minutes=1))
    assert list(again.steps()) == []


@pytest.mark.slow
def test_a_budget_counts_the_time_before_a_resumption(tmp_path, clock):
    first, _ = start(LineSettings(out=tmp_path, budget_minutes=1, minutes=0.5))
    assert steps_of(first, clock, 16.0) == [0, 1]
    clock.now += 1000
    second, _ = start(LineSettings(out=tmp_path, budget_minutes=1))
    assert second.progress == pytest.approx(32 / 60)
    assert steps_of(second, clock, 10.0) == [2, 3, 4]
    assert second.seconds == pytest.approx(62)


def test_a_tiny_budget_makes_one_step_of_one_pass(tmp_path):
    run, _ = start(LineSettings(out=tmp_path, accumulation=16, budget_minutes=1e-9))
    assert [list(run.passes()) for _ in run.steps()] == [[0]]


def test_without_a_budget_shares_are_of_the_steps(tmp_path):
    run, _ = start(LineSettings(out=tmp_path, accumulation=3))
    past = [(run.is_past(0.5), list(run.passes())) for _ in run.steps()]
    assert past == [(step >= 3, [0, 1, 2]) for step in range(6)]


def test_accumulated_passes_make_one_step_of_their_mean(tmp_path):
    run, model = start(LineSettings(out=tmp_path, accumulation=2))
    x = torch.tensor([[1.0]])
    for scale in (1.0, 3.0):
        run.backward((scale * run.models["line"](x)).sum())
    assert model.weight.grad.item() == pytest.approx(2.0)


def test_means_are_over_the_recorded_values(tmp_path):
    settings = LineSettings(out=tmp_path, accumulation=2, steps=4)
    run, _ = start(settings)
    for step in run.steps():
        for micro in range(2):
            run.record({"value": 10.0 * step + micro})
        if step == 1:
            run.record({"rare": 7.0})
    run.accelerator.end_training()
    assert logged(settings, "value") == {2: pytest.approx(5.5), 4: pytest.approx(25.5)}
    assert logged(settings, "rare") == {2: 7.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path, bad):
    train(LineSettings(out=tmp_path), stop_after=3)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    run, model = start(LineSettings(out=tmp_path))
    steps = run.steps()
    next(steps)
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) at step 3; the last checkpoint is untouched"):
        run.backward(model.weight.sum() * bad)
    with pytest.raises(TrainingError, match="part is nan at step 3"):
        run.record({"part": torch.tensor(math.nan)})
    model.weight.grad = torch.full_like(model.weight, bad)
    weight = model.weight.detach().clone()
    with pytest.raises(TrainingError, match=r"_gradient is (nan|inf) at step 3"):
        run.update("line")
    assert torch.equal(model.weight, weight)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_checkpoints_are_written_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    train(LineSettings(out=tmp_path), stop_after=1)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["commit"] == ""


def test_a_folder_of_another_run_is_refused(tmp_path):
    train(LineSettings(out=tmp_path), stop_after=1)
    with pytest.raises(SettingsError, match="was started with batch_size=8, not 16"):
        start(LineSettings(out=tmp_path, batch_size=16))


def test_a_run_can_be_lengthened(tmp_path):
    train(LineSettings(out=tmp_path), stop_after=2)
    run, _ = start(LineSettings(out=tmp_path, steps=9, cooldown=0.5))
    assert list(run.steps()) == list(range(2, 9))
    assert json.loads((tmp_path / "settings.json").read_text())["steps"] == 9


def test_pictures_are_logged_at_their_steps(tmp_path):
    settings = LineSettings(out=tmp_path)
    run, _ = start(settings)
    for _ in run.steps():
        if run.wants_images():
            run.log_image("picture", np.full((4, 5, 3), 128, np.uint8))
    events = EventAccumulator(str(tmp_path / "log")).Reload()
    assert [(event.step, event.width, event.height) for event in events.Images("picture")] == [(3, 5, 4), (6, 5, 4)]


def test_training_starts_from_saved_weights_of_the_same_shape(tmp_path):
    torch.manual_seed(0)
    saved = Vocoder(blocks=1, width=16)
    saved.save_pretrained(tmp_path / "vocoder")
    model = Vocoder(blocks=1, width=16)
    load_initial_weights("", {"vocoder": model})
    assert not torch.equal(model.head.weight, saved.head.weight)
    load_initial_weights(str(tmp_path), {"vocoder": model})
    assert torch.equal(model.head.weight, saved.head.weight)
    with pytest.raises(SettingsError, match="vocoder: it has width=16, not 24"):
        load_initial_weights(str(tmp_path), {"vocoder": Vocoder(blocks=1, width=24)})
    with pytest.raises(SettingsError, match="missing"):
        load_initial_weights(str(tmp_path), {"missing": model})
    weights = tmp_path / "vocoder" / "diffusion_pytorch_model.safetensors"
    safetensors.torch.save_file({**saved.state_dict(), "head.weight": torch.zeros(3, 3)}, weights)
    with pytest.raises(SettingsError, match=r"cannot start from .*size mismatch for head.weight"):
        load_initial_weights(str(tmp_path), {"vocoder": model})
    saved.save_pretrained(tmp_path / "vocoder")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(SettingsError, match=r"cannot start from .*vocoder"):
        load_initial_weights(str(tmp_path), {"vocoder": model})


def test_new_parts_may_be_missing_but_not_dropped(tmp_path):
    deaf, listening = (StyleEncoder(["violin/A-40"], tokens=2, width=16, reference_width=width) for width in (0, 16))
    deaf.save_pretrained(tmp_path / "deaf")
    listening.save_pretrained(tmp_path / "listening")
    load_initial_weights(
        str(tmp_path), {"deaf": StyleEncoder(["violin/A-40"], tokens=2, width=16, reference_width=16)}, ("ref",)
    )
    with pytest.raises(SettingsError, match="it has reference_width=16, not 0"):
        load_initial_weights(str(tmp_path), {"listening": deaf}, ("ref",))


def test_an_interval_of_zero_is_never_due():
    assert [is_due(done, 2) for done in (1, 2, 3, 4)] == [False, True, False, True]
    assert not is_due(4, 0)


@pytest.mark.parametrize(
    ("failure", "code", "sentence"),
    [
        (FileNotFoundError("no such folder"), 2, "error: no such folder"),
        (TrainingError("loss is nan"), 2, "error: loss is nan"),
        (KeyboardInterrupt(), 130, "stopped; rerun the same command to continue"),
    ],
)
def test_errors_of_a_trainer_are_reported(tmp_path, capsys, failure, code, sentence):
    def fail(settings):
        raise failure

    assert run_trainer(fail, LineSettings(out=tmp_path)) == code
    assert capsys.readouterr().err == f"{sentence}\n"
