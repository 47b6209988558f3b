"""Teach a trained model your own instrument: recordings in, a model folder with a new named voice out.

    python -m train.finetune --recordings DIR --instrument violin --name mine --soundfont FILE... --out DIR

Recordings of one instrument are transcribed, and their notes rendered on soundfonts: the renders are sources, the
recordings targets (``train.pair_recordings``). Then the voice's style tokens are trained, and nothing else, so that all
other voices stay as they are (``train.trainers.voice``). The model folder is ``DIR/model``, its voice ``violin/mine``.
The same command again goes on where it stopped. See docs/own_instrument.md.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import safetensors.torch

from stylediff.checkpoint import SHIPPED
from stylediff.hub import local_folder
from stylediff.instruments import INSTRUMENT_NAMES
from train import cache_latents, cache_mels, pair_recordings
from train.settings import SettingsError
from train.trainers import voice as voice_trainer

Command = Callable[[list[str]], int]


def list_commands(args: argparse.Namespace, model: Path) -> Iterator[tuple[str, Command, list[str]]]:
    """The commands that make the voice, each with its title and flags; what is there already is left out.

    Args:
        model: folder of the pipeline.
    """
    pairs, mels, latents = (args.out / name for name in ("pairs", "mels", "latents"))
    voice = f"{args.instrument}/{args.name}"
    flags = ["--recordings", str(args.recordings), "--soundfont", *args.soundfont, "--out", str(pairs)]
    flags += ["--instrument", args.instrument, "--voice", voice, "--renders", str(args.renders)]
    workers = ["--workers", str(args.workers)]
    yield "pairs of recordings and renders", pair_recordings.main, [*flags, *workers]
    yield "spectrograms", cache_mels.main, ["--data", str(pairs), "--out", str(mels), *workers]
    if not (latents / "latents.npy").is_file():
        flags = ["--cache", str(mels), "--autoencoder", str(model / "autoencoder"), "--out", str(latents)]
        yield "latents", cache_latents.main, flags
    flags = ["--cache", str(mels), "--latents", str(latents), "--voice", voice, "--initial", str(model)]
    flags += ["--out", str(args.out / "voice"), "--minutes", str(args.minutes), "--steps", str(args.steps)]
    yield "voice", voice_trainer.main, [*flags, "--batch-size", str(args.batch_size)]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recordings", type=Path, required=True, help="folder of recordings of one instrument alone")
    parser.add_argument(
        "--instrument", choices=INSTRUMENT_NAMES, required=True, help="what plays, or the nearest to it"
    )
    parser.add_argument("--name", required=True, help="of the new voice")
    parser.add_argument("--soundfont", nargs="+", required=True, help="that play the sources, FILE or FILE:preset,...")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=str(SHIPPED), help="folder or Hub id of the model (the one that ships)")
    parser.add_argument("--as-default", action="store_true", help="let the instrument's name stand for the new voice")
    parser.add_argument("--renders", type=int, default=6, help="sources of each clip")
    parser.add_argument("--steps", type=int, default=voice_trainer.VoiceSettings.steps)
    parser.add_argument("--batch-size", type=int, default=voice_trainer.VoiceSettings.batch_size)
    parser.add_argument("--minutes", type=float, default=0.0, help="train no longer than that (0: all steps)")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    voice = f"{args.instrument}/{args.name}"
    try:
        model = local_folder(args.model, {})
        voice_trainer.check_voice(voice, voice_trainer.load_style_encoder(model).config.voices)
    except (OSError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for title, command, flags in list_commands(args, model):
        print(f"== {title}", flush=True)
        if code := command(flags):
            return code
    row = safetensors.torch.load_file(args.out / "voice/voice.safetensors")["row"]
    voice_trainer.save_model(model, voice, row, args.out / "model", args.as_default)
    print(f"{args.out / 'model'}: play it with --model {args.out / 'model'} --to {voice}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
