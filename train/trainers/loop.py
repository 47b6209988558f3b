"""Training loop shared by all trainers: resumption, logs, checkpoints."""

import json
import math
import os
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from diffusers import ModelMixin
from diffusers.training_utils import EMAModel
from torch import nn

from train.common.cli import run_command
from train.common.precision import choose_precision
from train.data.mel_cache import CacheError
from train.trainers.base_settings import Settings, SettingsError, TrainSettings, is_due


class TrainingError(RuntimeError):
    """Training that cannot continue.

    The message names the step and the reason.
    """


def generator_at(seed: int, step: int, micro: int, process: int, stream: int = 0) -> torch.Generator:
    """Random generator for one forward pass.

    Its numbers do not depend on earlier passes. This makes a resumed run equal to an uninterrupted one without saving
    any random state.
    """
    mixed = np.random.SeedSequence([seed, step, micro, process, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> 1))


class TrainingRun:
    """The state of one training run.

    Args:
        settings: settings of the trainer.
        models: models by name; those with an optimizer are trained.
        optimizers: optimizers by the name of their model.
        averages: exponential moving averages of weights, by the name of their model.
    """

    def __init__(
        self,
        settings: TrainSettings,
        models: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        averages: Mapping[str, EMAModel] | None = None,
    ) -> None:
        self.settings = settings
        self.accelerator = Accelerator(
            mixed_precision=choose_precision(settings.precision), log_with="tensorboard", project_dir=settings.out
        )
        if self.accelerator.is_main_process:
            settings.save()
        self.plain_models = models
        self.plain_optimizers = optimizers
        self.averages = averages or {}
        self.step = 0
        self.seconds_before = 0.0  # time that earlier processes of this run spent on steps
        self.started: float | None = None
        self._resume()
        self.models = {name: self.accelerator.prepare(model) for name, model in models.items()}
        self.optimizers = {name: self.accelerator.prepare(optimizer) for name, optimizer in optimizers.items()}
        for average in self.averages.values():
            average.to(self.accelerator.device)
        self.accelerator.init_trackers("log")
        self.progress = self._measure_progress()
        self.sums: dict[str, float | torch.Tensor] = {}
        self.counts: dict[str, int] = {}

    @property
    def checkpoint_path(self) -> Path:
        return self.settings.out / "checkpoint.pt"

    def _resume(self) -> None:
        if not self.checkpoint_path.is_file():
            return
        state = torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
        self.step, self.seconds_before = state["step"], state.get("seconds", 0.0)
        for name, model in self.plain_models.items():
            model.load_state_dict(state["models"][name])
        for name, optimizer in self.plain_optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])
        if self.accelerator.scaler is not None and state.get("scaler"):
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.accelerator.print(f"resumed {self.settings.out} at step {self.step}")

    def save_checkpoint(self) -> None:
        """Write a checkpoint with everything needed to resume.

        It replaces the previous one only once it is completely on disk.

        All processes hold the same weights and each has its own timer, so they do not wait for each other here.
        """
        if not self.accelerator.is_main_process:
            return
        self._means()  # raises after a value that is not finite, so that such weights are not saved
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "models": {name: model.state_dict() for name, model in self.plain_models.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.plain_optimizers.items()},
            "averages": {name: average.state_dict() for name, average in self.averages.items()},
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            "commit": current_commit(),
        }
        scratch = self.checkpoint_path.with_suffix(".part")
        torch.save(state, scratch)
        os.replace(scratch, self.checkpoint_path)

    def steps(self) -> Iterator[int]:
        """Yield the numbers of the remaining steps.

        Learning rates are set before each step; logs and checkpoints are written after it.
        """
        self.started = started = saved = time.monotonic()
        while not self._is_finished():
            for optimizer in self.plain_optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = self.settings.learning_rate_at(self.step, self.progress)
            yield self.step
            self.step += 1
            self.progress = self._measure_progress()
            if is_due(self.step, self.settings.log_every):
                self._log()
            if self._is_time_up(started):
                break
            if time.monotonic() - saved > 60 * self.settings.checkpoint_minutes:
                self.save_checkpoint()
                saved = time.monotonic()
        self.save_checkpoint()
        self.accelerator.print(f"steps: {self.step}, in {self.seconds:.0f} s", flush=True)
        self._close()

    def passes(self) -> Iterator[int]:
        """Yield the numbers of a step's forward passes.

        A single process ends a step early once the time budget is used up, so that large batches keep to it too.
        """
        for number in range(self.settings.accumulation):
            yield number
            if self.progress is not None and self.accelerator.num_processes == 1 and self.seconds > self.budget_seconds:
                return

    def is_past(self, share: float) -> bool:
        """Return True once a share of the steps or budget is used."""
        if self.progress is None:
            return self.step >= share * self.settings.steps
        return self.progress >= share

    @property
    def seconds(self) -> float:
        """Seconds spent on steps, including earlier processes of the run."""
        return self.seconds_before + (0.0 if self.started is None else time.monotonic() - self.started)

    @property
    def budget_seconds(self) -> float:
        """Time budget of the whole run; 0 for none."""
        return 60 * self.settings.budget_minutes

    def _is_finished(self) -> bool:
        if self.progress is None:
            return self.step >= self.settings.steps
        return self.step > 0 and self.progress >= 1

    def _measure_progress(self) -> float | None:
        """Return the share of the time budget used, or None without one.

        All processes get the same value.
        """
        if not self.budget_seconds:
            return None
        seconds = torch.tensor(self.seconds, device=self.accelerator.device)
        if self.accelerator.num_processes > 1:
            seconds = broadcast(seconds)
        return float(seconds) / self.budget_seconds

    def _close(self) -> None:
        """End logging and leave the process group.

        The wrapped models are deleted first. A model that outlives the group owns it, and freeing that model deadlocks:
        it joins the group's thread while that thread waits for Python.
        """
        self.models, self.optimizers = {}, {}
        self.accelerator.free_memory()
        self.accelerator.end_training()

    def _is_time_up(self, started: float) -> bool:
        """Return True if any process has used up its minutes.

        All processes call this after the same step.
        """
        if not self.settings.minutes:
            return False
        if time.monotonic() - started > 60 * self.settings.minutes:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of one forward pass to that of the step.

        Raises:
            TrainingError: the loss is not finite. On a GPU, where checking would mean waiting, ``record`` raises it
                later.
        """
        if loss.device.type == "cpu":
            self._require_finite("loss", float(loss.detach()))
        self.accelerator.backward(loss / self.settings.accumulation)

    def update(self, name: str, clip: float = 1.0) -> None:
        """Take an optimizer step of a model and update its EMA weights.

        The gradient norm is clipped.

        Raises:
            TrainingError: the gradient is not finite, as for ``record``; with fp16 such a step is skipped.
        """
        norm = self.accelerator.clip_grad_norm_(self.models[name].parameters(), clip)
        self.record({f"{name}_gradient": norm})
        self.optimizers[name].step()
        self.optimizers[name].zero_grad(set_to_none=True)
        if name in self.averages:
            self.averages[name].step(self.plain_models[name].parameters())

    def record(self, values: Mapping[str, torch.Tensor | float]) -> None:
        """Add scalars to the means that are logged next.

        Raises:
            TrainingError: a scalar is not finite. Scalars on a GPU are checked when they are logged, and before a
                checkpoint.
        """
        for name, value in values.items():
            number = torch.as_tensor(value).detach().float()
            if number.device.type == "cpu":
                self._require_finite(name, float(number))
            self.sums[name] = self.sums.get(name, 0.0) + number
            self.counts[name] = self.counts.get(name, 0) + 1

    def _require_finite(self, name: str, number: float) -> float:
        is_left_out = self.accelerator.scaler is not None and name.endswith("_gradient")
        if not math.isfinite(number) and not is_left_out:
            raise TrainingError(f"{name} is {number} at step {self.step}; the last checkpoint is untouched")
        return number

    def _means(self) -> dict[str, float]:
        return {name: self._require_finite(name, float(sum_) / self.counts[name]) for name, sum_ in self.sums.items()}

    def _log(self) -> None:
        means = self._means()
        self.accelerator.log(means, step=self.step)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        steps, seconds = f"{self.step}/{self.settings.steps}", f"{self.seconds:.0f} s"
        if self.progress is not None:
            steps, seconds = f"{self.step}", f"{self.seconds:.0f} of {self.budget_seconds:.0f} s"
        self.accelerator.print(f"step {steps}  {seconds}  {shown}", flush=True)
        self.sums, self.counts = {}, {}

    def wants_images(self) -> bool:
        main = self.accelerator.is_main_process
        return main and is_due(self.step + 1, self.settings.image_every)

    def log_image(self, name: str, image: np.ndarray) -> None:
        """Show a picture, (height, width, 3) uint8, in TensorBoard."""
        writer = self.accelerator.get_tracker("tensorboard", unwrap=True)
        writer.add_image(name, image, self.step + 1, dataformats="HWC")


def current_commit() -> str:
    """Commit of the repository, or "" outside one or without git."""
    if shutil.which("git") is None:
        return ""
    folder = Path(__file__).parent
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def run_trainer(train: Callable[[Settings], object], settings: Settings) -> int:
    """Train and return an exit code.

    An expected error is printed as a sentence.
    """
    return run_command(lambda: train(settings), CacheError, SettingsError, TrainingError, OSError)


@contextmanager
def ema_weights(model: nn.Module, average: EMAModel) -> Iterator[None]:
    """Context in which a model has the averaged weights."""
    parameters = list(model.parameters())
    average.store(parameters)
    average.copy_to(parameters)
    try:
        yield
    finally:
        average.restore(parameters)


def load_initial_weights(initial: str, parts: Mapping[str, ModelMixin], new: tuple[str, ...] = ()) -> None:
    """Load pretrained weights into models for further training.

    A style encoder may have more voices than the saved one: a new voice starts as the mean of its instrument's voices.

    Args:
        initial: folder of the pipeline; "" leaves the models unchanged.
        parts: models by the names of their folders in the pipeline.
        new: prefixes of settings and weights that may be missing or empty in the pipeline.

    Raises:
        SettingsError: a component is missing, damaged, or was built with other settings; the message names its folder.
    """
    for name, model in parts.items() if initial else ():
        folder = Path(initial) / name
        try:
            saved = json.loads((folder / "config.json").read_text())
            weights = safetensors.torch.load_file(folder / "diffusion_pytorch_model.safetensors")
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise SettingsError(f"cannot start from {folder}: {error}") from error
        built = json.loads(json.dumps(dict(model.config)))
        if "voices" in saved and set(saved["voices"]) <= set(built.get("voices", ())):
            name_of = "voice_embedding.weight"
            weights[name_of] = grow_embedding(weights[name_of], saved["voices"], built["voices"])
            saved = {**saved, "voices": built["voices"]}
        for key, value in saved.items():
            is_free = key.startswith("_") or (key.startswith(new) and not value)
            if not is_free and built.get(key) != value:
                raise SettingsError(f"cannot start from {folder}: it has {key}={value!r}, not {built.get(key)!r}")
        kept = {name: value for name, value in model.state_dict().items() if name.startswith(new)}
        try:
            model.load_state_dict(kept | weights)
        except RuntimeError as error:
            raise SettingsError(f"cannot start from {folder}: {textwrap.shorten(str(error), 300)}") from error


def saved_voices(initial: str) -> set[str]:
    """Voices of a saved pipeline, or none without a pipeline.

    Raises:
        SettingsError: the style encoder cannot be read.
    """
    if not initial:
        return set()
    path = Path(initial) / "style_encoder/config.json"
    try:
        return set(json.loads(path.read_text())["voices"])
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(f"cannot start from {path.parent}: {error}") from error


def grow_embedding(weight: torch.Tensor, known: list[str], voices: list[str]) -> torch.Tensor:
    """Embeddings of voices, (voices, features), from known ones.

    Args:
        weight: (known, features).
        known, voices: voice names, ``instrument/soundfont-program``.

    Returns:
        The row of a known voice, else the mean of its instrument's rows, else the mean of all rows.
    """
    rows = []
    for voice in voices:
        kin = [number for number, other in enumerate(known) if other.split("/")[0] == voice.split("/")[0]]
        chosen = [known.index(voice)] if voice in known else kin or list(range(len(known)))
        rows.append(weight[chosen].float().mean(0))
    return torch.stack(rows).to(weight.dtype)


def count_steps(run: Path) -> int:
    """Number of steps in a run's checkpoint.

    Raises:
        OSError: the folder has no checkpoint.
    """
    return torch.load(run / "checkpoint.pt", map_location="cpu", mmap=True, weights_only=True)["step"]
