"""The whole recipe in one command, resumable in its folder.

It renders, caches, trains every part and exports the pipeline.

    python -m train.recipe --midi DIR... --soundfont FILE... --test-soundfont FILE --out RUN [--minutes M]

Without a budget every trainer runs its default number of steps, those of the weights that ship. With one, each trainer
is timed for a moment and given as many steps as fit into its share. The device is accelerate's business.
"""

import argparse
import sys
from pathlib import Path

from train.common.cli import Command, add_out, run_command
from train.common.files import FolderError, lock_settings
from train.common.job_chain import Job, JobError, run_jobs

LOCKED = ("midi", "soundfont", "test_soundfont", "clips", "test_excerpts", "seed")  # of an interrupted recipe
BUDGET_SHARES = {
    "autoencoder": 0.08,
    "autoencoder, decoder": 0.05,
    "denoiser": 0.10,
    "denoiser, listening": 0.10,
    "denoiser, colours": 0.11,
    "denoiser, at length": 0.30,
    "vocoder": 0.08,
    "vocoder, any tuning": 0.07,
    "enhancer": 0.06,
    "classifier": 0.05,
}
# What the latents are, the encoder decides; the decoder can learn on from them.
DECODER = ["--decoder-only", "--steps=2000", "--learning-rate=6e-4", "--warmup-steps=50", "--cooldown=0.6"]
# How the denoiser is trained on once it knows instruments by name, to take clips of them as well.
LISTENING = ["--reference-width=96", "--reference-share=0.4", "--steps=8000", "--learning-rate=5e-4", "--cooldown=0.4"]
# And then to take the colour of its sound from them, to go on learning names, and piano to violin above all.
MIX = ["--reference-width=96", "--reference-share=0.25", "--favoured-share=0.25"]
COLOURS = ["--steps=9800", "--learning-rate=4e-4", "--warmup-steps=100", "--cooldown=0.6"]
# The same in large batches, which a GPU makes in a quarter of an hour: four and a half times as many pairs as before.
AT_LENGTH = ["--steps=6617", "--learning-rate=1e-3", "--warmup-steps=200", "--cooldown=0.36"]
AT_ONCE, IN_PARTS = ["--batch-size=1024"], ["--batch-size=64", "--accumulation=16"]  # on a GPU, and on CPUs
# The vocoder learns short crops in concert pitch first; its default settings are those of what comes after.
CONCERT_PITCH = [
    *["--steps=1480", "--batch-size=16", "--learning-rate=8e-4", "--cooldown=0.4", "--gan-start=0.766"],
    *["--decoded-start=0.9", "--crop-frames=64", "--context-frames=128", "--judged-crops=8", "--detune-cents=0"],
]


def build_jobs(args: argparse.Namespace) -> list[Job]:
    """The stages in their order; each reads what those before it wrote."""
    import torch  # slow, and --help needs none of it

    out: Path = args.out
    data, mels, latents = out / "dataset", out / "mels", out / "latents"
    parts = ("autoencoder", "decoder", "denoiser", "listening", "colours", "at_length", "vocoder", "any_tuning")
    autoencoder, decoder, denoiser, listening, colours, at_length, vocoder, any_tuning = (out / name for name in parts)
    scores = ["--midi", *map(str, args.midi), "--soundfont", *args.soundfont, "--test-soundfont", args.test_soundfont]
    scores += ["--clips", str(args.clips), "--test-excerpts", str(args.test_excerpts), "--seed", str(args.seed)]
    cache = ["--cache", str(mels)]
    encoder = ["--autoencoder", str(decoder / "autoencoder")]

    def trainer(name: str, run: Path, flags: list[str], result: str) -> Job:
        flags = [*cache, "--out", str(run), "--seed", str(args.seed), *flags]
        return Job(name, name.split(",")[0], flags, run / result / "config.json", run)

    pairs = ["--latents", str(latents), *encoder]
    coloured = [*cache, *pairs]
    heard = ["--data", str(data), *encoder]
    exporter = "export-pipeline"
    plain, generated, enhancer = (out / name for name in ("plain", "generated", "enhancer"))
    generate = ["--model", str(plain), *cache, "--latents", str(latents), "--out", str(generated)]
    generate += ["--favoured-share=0.25", "--pairs=3000"]
    long = [*AT_LENGTH, *(AT_ONCE if torch.cuda.is_available() else IN_PARTS)]
    export = [*encoder, "--denoiser", str(at_length), "--vocoder", str(any_tuning / "vocoder")]
    enhanced = [*export, "--enhancer", str(enhancer / "enhancer")]
    return [
        Job("data set", "render-dataset", [*scores, "--out", str(data)], data / "manifest.jsonl"),
        Job("mels", "cache-mels", ["--data", str(data), "--out", str(mels)], mels / "finished"),
        trainer("autoencoder", autoencoder, [], "autoencoder"),
        trainer("autoencoder, decoder", decoder, ["--initial", str(autoencoder), *DECODER], "autoencoder"),
        Job("latents", "cache-latents", [*cache, *encoder, "--out", str(latents)], latents / "latents.npy"),
        trainer("denoiser", denoiser, pairs, "unet"),
        trainer("denoiser, listening", listening, [*pairs, "--initial", str(denoiser), *LISTENING], "unet"),
        Job("coloured clips", "cache-equalized", coloured, latents / "colours.npz"),
        trainer("denoiser, colours", colours, [*pairs, "--initial", str(listening), *MIX, *COLOURS], "unet"),
        trainer("denoiser, at length", at_length, [*pairs, "--initial", str(colours), *MIX, *long], "unet"),
        trainer("vocoder", vocoder, [*heard, *CONCERT_PITCH], "vocoder"),
        trainer("vocoder, any tuning", any_tuning, [*heard, "--initial", str(vocoder)], "vocoder"),
        trainer("classifier", out / "classifier", [], "classifier"),
        Job("pipeline, not enhanced", exporter, [*export, "--out", str(plain)], plain / "model_index.json"),
        Job("generated pairs", "cache-transfers", generate, generated / "pairs.json"),
        trainer("enhancer", enhancer, ["--generated", str(generated), *encoder], "enhancer"),
        Job("pipeline", exporter, [*enhanced, "--out", str(out / "model")], out / "model" / "model_index.json"),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--midi", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--soundfont", nargs="+", required=True, help="training soundfonts, FILE or FILE:program,...")
    parser.add_argument("--test-soundfont", required=True, help="soundfont of the test sources")
    add_out(parser)
    parser.add_argument("--minutes", type=float, default=0.0, help="training time in all (0: the published steps)")
    parser.add_argument("--clips", type=int, default=49000)
    parser.add_argument("--test-excerpts", type=int, default=140)
    parser.add_argument("--seed", type=int, default=0)


def run_recipe(args: argparse.Namespace) -> int:
    minutes = {name: args.minutes * share for name, share in BUDGET_SHARES.items()}

    def work() -> None:
        if not (args.out / "finished.json").is_file():  # nothing made yet: what was mistyped may be mended
            (args.out / "settings.json").unlink(missing_ok=True)
        lock_settings(args.out, {name: getattr(args, name) for name in LOCKED})
        run_jobs(build_jobs(args), minutes, args.out)

    return run_command(work, JobError, FolderError, OSError)


COMMAND = Command(
    name="recipe",
    summary="The whole recipe: render, cache, train every part and export, in a folder that can be resumed.",
    function="recipe:run_recipe",
    add_arguments=add_arguments,
)


def main(arguments: list[str] | None = None) -> int:
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
