"""Add your own instrument to a trained model, from recordings.

    python -m train finetune --recordings DIR --instrument violin --name mine --soundfont FILE... --out DIR

Recordings of one instrument are transcribed, and their notes are rendered with soundfonts. The renders are sources, the
recordings targets. Only the style tokens of the new voice are trained, so all other voices stay the same. The model
folder is ``DIR/model``, its voice ``violin/mine``. Rerun the command to resume. See docs/own_instrument.md.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from train.common.cli import SHIPPED_MODEL, Command, add_out, add_workers
from train.data import commands as data
from train.trainers import commands as trainers
from train.trainers.settings import VoiceSettings

STEPS = {command.name: command for command in (*data.COMMANDS, *trainers.COMMANDS)}


def list_steps(args: argparse.Namespace, model: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands that add the voice, with their flags.

    Args:
        model: folder of the pipeline.
    """
    pairs, mels, latents = (args.out / name for name in ("pairs", "mels", "latents"))
    voice = f"{args.instrument}/{args.name}"
    flags = ["--recordings", str(args.recordings), "--soundfont", *args.soundfont, "--out", str(pairs)]
    flags += ["--instrument", args.instrument, "--voice", voice, "--renders", str(args.renders)]
    workers = ["--workers", str(args.workers)]
    yield "pair-recordings", [*flags, *workers]
    yield "cache-mels", ["--data", str(pairs), "--out", str(mels), *workers]
    if not (latents / "latents.npy").is_file():
        flags = ["--cache", str(mels), "--autoencoder", str(model / "autoencoder"), "--out", str(latents)]
        yield "cache-latents", flags
    flags = ["--cache", str(mels), "--latents", str(latents), "--voice", voice, "--initial", str(model)]
    flags += ["--out", str(args.out / "voice"), "--minutes", str(args.minutes), "--steps", str(args.steps)]
    yield "voice", [*flags, "--batch-size", str(args.batch_size)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recordings", type=Path, required=True, help="folder of recordings, each of the same instrument playing alone"
    )
    parser.add_argument(
        "--instrument", required=True, help="the instrument, or the most similar one of the model, such as violin"
    )
    parser.add_argument("--name", required=True, help="name of the new voice")
    parser.add_argument(
        "--soundfont", nargs="+", required=True, help="soundfonts for the sources, FILE or FILE:preset,..."
    )
    add_out(parser)
    parser.add_argument("--model", default=str(SHIPPED_MODEL), help="folder or Hub id of the model")
    parser.add_argument("--as-default", action="store_true", help="make the new voice the default of its instrument")
    parser.add_argument("--renders", type=int, default=6, help="rendered sources per clip")
    parser.add_argument("--steps", type=int, default=VoiceSettings.steps)
    parser.add_argument("--batch-size", type=int, default=VoiceSettings.batch_size)
    parser.add_argument("--minutes", type=float, default=0.0, help="training time at most (0: all steps)")
    add_workers(parser)


def finetune(args: argparse.Namespace) -> int:
    """Run the unfinished steps, write the model, return an exit code."""
    import safetensors.torch

    from stylediff.hub import local_folder
    from train.trainers import voice as voice_trainer
    from train.trainers.base_settings import SettingsError

    voice = f"{args.instrument}/{args.name}"
    try:
        model = local_folder(args.model, {})
        voice_trainer.check_voice(voice, voice_trainer.load_style_encoder(model).config.voices)
    except (OSError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, flags in list_steps(args, model):
        print(f"== {name}", flush=True)
        if code := STEPS[name].run(flags):
            return code
    row = safetensors.torch.load_file(args.out / "voice/voice.safetensors")["row"]
    voice_trainer.save_model(model, voice, row, args.out / "model", args.as_default)
    print(f"{args.out / 'model'}: play it with --model {args.out / 'model'} --to {voice}")
    return 0


COMMAND = Command(
    name="finetune",
    summary="Add your own instrument: recordings in, a model with a new voice out.",
    function="finetune:finetune",
    add_arguments=add_arguments,
)
