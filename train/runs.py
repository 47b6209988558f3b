"""One training run: its folder, exact resumption, logs, and the loop of steps that every trainer shares."""

import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn

from train.commands import exit_code
from train.mel_cache import CacheError
from train.settings import Settings, SettingsError, TrainSettings, is_due, parse_settings


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says at which step and why."""


def choose_precision(wanted: str) -> str:
    """accelerate's ``mixed_precision`` for a setting; "auto" takes bf16 where it is the faster one.

    That is a GPU that computes in it, or a CPU with matrix tiles (AMX) or AVX-512's bf16 products; others emulate bf16
    slowly.
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return "bf16" if any(getattr(torch.cpu, check, bool)() for check in checks) else "no"


def generator_at(seed: int, step: int, micro: int, process: int, stream: int = 0) -> torch.Generator:
    """A generator for one forward pass: the draws of a step depend on nothing that came before it.

    This is what makes a resumed run equal to an uninterrupted one without saving any random state.
    """
    mixed = np.random.SeedSequence([seed, step, micro, process, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> 1))


class Run:
    """The state of one training run.

    Args:
        settings: of the trainer.
        models: by name; those with an optimizer are trained.
        optimizers: by the name of the model they train.
        averages: exponential moving averages of weights, by name.
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
        self._resume()
        self.models = {name: self.accelerator.prepare(model) for name, model in models.items()}
        self.optimizers = {name: self.accelerator.prepare(optimizer) for name, optimizer in optimizers.items()}
        for average in self.averages.values():
            average.to(self.accelerator.device)
        self.accelerator.init_trackers("log")
        self.sums: dict[str, float | torch.Tensor] = {}
        self.counts: dict[str, int] = {}

    @property
    def checkpoint_path(self) -> Path:
        return self.settings.out / "checkpoint.pt"

    def _resume(self) -> None:
        if not self.checkpoint_path.is_file():
            return
        state = torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
        self.step = state["step"]
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
        """Writes everything a resumption needs, replacing the checkpoint before it only when all is on disk.

        Processes hold the same weights and each watches its own clock, so they do not wait for each other here.
        """
        if not self.accelerator.is_main_process:
            return
        self._means()  # weights are not saved after a value that is not finite
        state = {
            "step": self.step,
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
        """Numbers of the steps still to do. Sets learning rates before each; logs and checkpoints after it."""
        started = saved = time.monotonic()
        while self.step < self.settings.steps:
            for optimizer in self.plain_optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = self.settings.learning_rate_at(self.step)
            yield self.step
            self.step += 1
            if is_due(self.step, self.settings.log_every):
                self._log(time.monotonic() - started)
            if self._is_time_up(started):
                break
            if time.monotonic() - saved > 60 * self.settings.checkpoint_minutes:
                self.save_checkpoint()
                saved = time.monotonic()
        self.save_checkpoint()
        self._close()

    def _close(self) -> None:
        """Ends logging and leaves the process group.

        The wrapped models go first: one that outlives the group is its last owner, and when Python frees it, joins
        the group's thread while that thread waits for Python.
        """
        self.models, self.optimizers = {}, {}
        self.accelerator.free_memory()
        self.accelerator.end_training()

    def _is_time_up(self, started: float) -> bool:
        """Whether any process has used up its minutes; asked by all of them after the same step."""
        if not self.settings.minutes:
            return False
        if time.monotonic() - started > 60 * self.settings.minutes:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def backward(self, loss: torch.Tensor) -> None:
        """Adds one forward pass's share of the step's gradient.

        Raises:
            TrainingError: the loss is not finite. On a GPU, which would have to be waited for, ``record`` tells later.
        """
        if loss.device.type == "cpu":
            self._require_finite("loss", float(loss.detach()))
        self.accelerator.backward(loss / self.settings.accumulation)

    def update(self, name: str, clip: float = 1.0) -> None:
        """One optimizer step of a model, its gradient norm clipped, and of its moving average.

        Raises:
            TrainingError: the gradient is not finite, as for ``record``; with fp16 such a step is left out.
        """
        norm = self.accelerator.clip_grad_norm_(self.models[name].parameters(), clip)
        self.record({f"{name}_gradient": norm})
        self.optimizers[name].step()
        self.optimizers[name].zero_grad(set_to_none=True)
        if name in self.averages:
            self.averages[name].step(self.plain_models[name].parameters())

    def record(self, values: Mapping[str, torch.Tensor | float]) -> None:
        """Adds scalars to the means that are logged next.

        Raises:
            TrainingError: one is not finite. Those on a GPU are looked at when they are logged, or before a checkpoint.
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

    def _log(self, seconds: float) -> None:
        means = self._means()
        self.accelerator.log(means, step=self.step)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        self.accelerator.print(f"step {self.step}/{self.settings.steps}  {seconds:.0f} s  {shown}", flush=True)
        self.sums, self.counts = {}, {}

    def wants_images(self) -> bool:
        main = self.accelerator.is_main_process
        return main and is_due(self.step + 1, self.settings.image_every)

    def log_image(self, name: str, image: np.ndarray) -> None:
        """Shows a picture, (height, width, 3) uint8, in TensorBoard."""
        writer = self.accelerator.get_tracker("tensorboard", unwrap=True)
        writer.add_image(name, image, self.step + 1, dataformats="HWC")


def current_commit() -> str:
    """The repository's commit, or "" outside one or without git."""
    if shutil.which("git") is None:
        return ""
    folder = Path(__file__).parent
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def run_trainer(
    train: Callable[[Settings], object], cls: type[Settings], document: str | None, arguments: list[str] | None
) -> int:
    """A trainer's command line: its exit code, after a sentence for what cannot be trained.

    Args:
        document: the trainer's docstring, whose first line describes the command.
    """
    description = (document or "").split("\n")[0]
    refusals = (CacheError, SettingsError, TrainingError, OSError)
    return exit_code(lambda: train(parse_settings(cls, description, arguments)), *refusals)
