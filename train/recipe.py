"""The whole recipe in one command: render, cache, train every part, export, in a folder that can be resumed.

    python -m train.recipe --midi DIR... --soundfont FILE... --test-soundfont FILE --out RUN [--minutes M]

Without a budget every trainer runs its default number of steps, those of the weights that ship. With one, each trainer
is timed for a moment and given as many steps as fit into its share. The device is accelerate's business.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from train.manifest import write_atomically

SHARES = {"autoencoder": 0.2, "denoiser": 0.2, "denoiser, listening": 0.3, "vocoder": 0.25, "classifier": 0.05}
# How the denoiser is trained on once it knows instruments by name, to take clips of them as well.
LISTENING = ["--reference-width=96", "--reference-share=0.4", "--steps=8000", "--learning-rate=5e-4", "--cooldown=0.4"]
TRIAL_MINUTES = 1.0


class RecipeError(RuntimeError):
    """A stage that failed; the message names it."""


@dataclass(frozen=True)
class Stage:
    """One command of the recipe.

    Attributes:
        name: what it makes.
        module: of ``train`` to run.
        flags: its arguments, but for the steps of a trainer.
        result: file that is there once the stage is finished.
        run: folder of a trainer's run, whose steps a budget decides; None for other stages.
    """

    name: str
    module: str
    flags: list[str]
    result: Path
    run: Path | None = None

    def command(self, extra: list[str]) -> list[str]:
        launcher = ["accelerate.commands.launch", "-m"] if self.run else []
        return [sys.executable, "-m", *launcher, f"train.{self.module}", *self.flags, *extra]


def build_stages(args: argparse.Namespace) -> list[Stage]:
    """The stages in their order; each reads what those before it wrote."""
    out: Path = args.out
    data, mels, latents = out / "dataset", out / "mels", out / "latents"
    parts = ("autoencoder", "denoiser", "listening", "vocoder")
    autoencoder, denoiser, listening, vocoder = (out / name for name in parts)
    scores = ["--midi", *map(str, args.midi), "--soundfont", *args.soundfont, "--test-soundfont", args.test_soundfont]
    scores += ["--clips", str(args.clips), "--test-excerpts", str(args.test_excerpts), "--seed", str(args.seed)]
    cache = ["--cache", str(mels)]
    encoder = ["--autoencoder", str(autoencoder / "autoencoder")]

    def trainer(name: str, run: Path, flags: list[str], result: str) -> Stage:
        flags = [*cache, "--out", str(run), "--seed", str(args.seed), *flags]
        return Stage(name, f"train_{name.split(',')[0]}", flags, run / result / "config.json", run)

    pairs = ["--latents", str(latents), *encoder]
    export = [*encoder, "--denoiser", str(listening), "--vocoder", str(vocoder / "vocoder")]
    export += ["--out", str(out / "model")]
    return [
        Stage("data set", "render_dataset", [*scores, "--out", str(data)], data / "manifest.jsonl"),
        Stage("mels", "cache_mels", ["--data", str(data), "--out", str(mels)], mels / "finished"),
        trainer("autoencoder", autoencoder, [], "autoencoder"),
        Stage("latents", "cache_latents", [*cache, *encoder, "--out", str(latents)], latents / "latents.npy"),
        trainer("denoiser", denoiser, pairs, "unet"),
        trainer("denoiser, listening", listening, [*pairs, "--initial", str(denoiser), *LISTENING], "unet"),
        trainer("vocoder", vocoder, ["--data", str(data), *encoder], "vocoder"),
        trainer("classifier", out / "classifier", [], "classifier"),
        Stage("pipeline", "export", export, out / "model" / "model_index.json"),
    ]


def execute(stage: Stage, extra: list[str]) -> None:
    """Runs a stage's command.

    Raises:
        RecipeError: it failed; run again, the recipe goes on there.
    """
    print(f"== {stage.name}", flush=True)
    if subprocess.run(stage.command(extra), check=False).returncode:
        raise RecipeError(f"the stage '{stage.name}' failed; mend what it says and run the same command again")


def steps_in(stage: Stage, minutes: float) -> int:
    """Steps that fit into that many minutes, from a short trial run in a scratch folder."""
    assert stage.run is not None
    scratch = stage.run.with_name(f"{stage.run.name}.trial")
    shutil.rmtree(scratch, ignore_errors=True)
    flags = [str(scratch) if flag == str(stage.run) else flag for flag in stage.flags]
    began = time.monotonic()
    trial = Stage(f"{stage.name}: timing", stage.module, flags, scratch, scratch)
    execute(trial, ["--minutes", str(min(TRIAL_MINUTES, minutes / 10))])
    steps = torch.load(scratch / "checkpoint.pt", map_location="cpu", weights_only=True)["step"]
    rate = steps / (time.monotonic() - began)
    shutil.rmtree(scratch)
    return max(1, int(rate * 60 * minutes))


def planned_steps(stage: Stage, budget: float, out: Path) -> list[str]:
    """The ``--steps`` flag of a trainer under a budget, decided once and kept for resumptions."""
    if not budget or stage.run is None:
        return []
    path = out / "steps.json"
    plan = json.loads(path.read_text()) if path.is_file() else {}
    if stage.name not in plan:
        plan[stage.name] = steps_in(stage, budget * SHARES[stage.name])
        write_atomically(path, json.dumps(plan))
    return ["--steps", str(plan[stage.name])]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--midi", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--soundfont", nargs="+", required=True, help="training soundfonts, FILE or FILE:program,...")
    parser.add_argument("--test-soundfont", required=True, help="soundfont of the test sources")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=0.0, help="training time in all (0: the published steps)")
    parser.add_argument("--clips", type=int, default=49000)
    parser.add_argument("--test-excerpts", type=int, default=140)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        for stage in build_stages(args):
            if stage.result.is_file():
                print(f"== {stage.name}: done", flush=True)
                continue
            execute(stage, planned_steps(stage, args.minutes, args.out))
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
