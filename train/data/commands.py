"""Commands that make data sets and caches, with their arguments."""

import argparse
from pathlib import Path

from train.common.cli import Command, add_out, add_workers


def render_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--midi", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--soundfont", nargs="+", required=True, help="training soundfonts, FILE or FILE:program,...")
    parser.add_argument("--test-soundfont", required=True, help="soundfont of the test sources, not used in training")
    add_out(parser)
    parser.add_argument("--clips", type=int, default=30000, help="fewest clips for training and validation")
    parser.add_argument("--test-excerpts", type=int, default=140)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip, rounded up to full frames")
    parser.add_argument("--slow-share", type=float, default=0.15, help="share of excerpts with notes held for seconds")
    add_workers(parser)
    parser.add_argument("--seed", type=int, default=0)


def full_band_clips(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--midi", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--soundfont", nargs="+", required=True, help="training soundfonts, FILE or FILE:program,...")
    parser.add_argument("--test-soundfont", required=True, help="soundfont of the test clips, not used in training")
    parser.add_argument("--recordings", type=Path, help="folder of recordings, named by instrument")
    add_out(parser)
    parser.add_argument("--excerpts", type=int, default=600, help="excerpts for training and validation")
    parser.add_argument("--test-excerpts", type=int, default=40)
    add_workers(parser)
    parser.add_argument("--seed", type=int, default=0)


def import_recordings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in", dest="folder", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--instrument", required=True, help="instrument that plays, such as violin")
    add_out(parser)
    parser.add_argument("--license", default="", help="licence of the recordings, stored with each clip")


def pair_recordings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recordings", type=Path, required=True, help="folder of recordings, named by instrument")
    parser.add_argument("--soundfont", nargs="+", required=True, help="soundfonts, FILE or FILE:preset,...")
    add_out(parser)
    parser.add_argument("--instrument", help="instrument of all recordings, such as violin")
    parser.add_argument("--voice", default="", help="voice of the recorded clips (INSTRUMENT/recorded)")
    parser.add_argument("--renders", type=int, default=6, help="rendered clips per recorded clip")
    add_workers(parser)
    parser.add_argument("--seed", type=int, default=0)


def cache_mels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with a manifest.jsonl")
    add_out(parser)
    add_workers(parser)


def cache_latents(parser: argparse.ArgumentParser) -> None:
    add_cache_and_autoencoder(parser)
    add_out(parser)
    parser.add_argument("--clips", type=int, help="number of clips to encode, the first of the cache")


def cache_equalized(parser: argparse.ArgumentParser) -> None:
    add_cache_and_autoencoder(parser)
    parser.add_argument("--latents", type=Path, required=True, help="folder of the latent cache")
    parser.add_argument("--clips", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=0)


def cache_transfers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="folder of the pipeline (default: the weights that ship)")
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--latents", type=Path, required=True, help="latent cache of the same clips")
    add_out(parser)
    parser.add_argument("--pairs", type=int, default=6000, help="number of training pairs")
    parser.add_argument("--held-out", type=int, default=64, help="number of validation pairs")
    parser.add_argument("--favoured-share", type=float, default=0.0, help="share of pairs from piano to violin")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 10, 20], help="numbers of DDIM steps")
    parser.add_argument("--batch-size", type=int, default=16, help="pairs per batch; on GPUs more are faster")
    parser.add_argument("--budget-minutes", type=float, default=0.0, help="time limit (0: none)")
    parser.add_argument("--seed", type=int, default=0)


def check_transfers(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if min(args.pairs, args.held_out) < 1:
        parser.error("--pairs and --held-out must be at least 1")
    if args.batch_size < 1:
        parser.error("--batch-size must be at least 1")


def make_examples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--soundfont", type=Path, required=True, help="soundfont to play the examples")
    add_out(parser)


def image_patches(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=Path, required=True, help="CIFAR-10's binary files, or a folder of pictures")
    add_out(parser)


def add_cache_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--data", type=Path, required=True, help="data set of the cache, or the folder of several")


def mel_patches(parser: argparse.ArgumentParser) -> None:
    add_cache_and_data(parser)
    add_out(parser)
    parser.add_argument("--patches", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)


def damaged_clips(parser: argparse.ArgumentParser) -> None:
    add_cache_and_data(parser)
    add_out(parser)
    parser.add_argument("--clips", type=int, default=3000, help="training clips; a tenth as many for validation")
    parser.add_argument("--seed", type=int, default=0)
    add_workers(parser)


def add_cache_and_autoencoder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder of a trained autoencoder")


def build_soundfont(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--notes", type=Path, required=True, help="table of the notes, .csv")
    parser.add_argument("--samples", type=Path, required=True, help="folder of the table's files")
    parser.add_argument("--out", type=Path, required=True, help="SoundFont to write, .sf2")
    parser.add_argument("--name", default="", help="name of the SoundFont, and of presets without a name")
    parser.add_argument("--kind", choices=["sustained", "struck"], default="sustained", help="kind of other notes")
    parser.add_argument("--reach", type=int, default=4, help="number of keys beyond the outermost notes that play them")
    parser.add_argument("--longest", type=float, default=7.0, help="longest struck note, in seconds")


COMMANDS = (
    Command(
        name="build-soundfont",
        summary="Build a SoundFont from recordings of single notes and a table of them.",
        function="data.build_soundfont:main",
        add_arguments=build_soundfont,
    ),
    Command(
        name="render-dataset",
        summary="Render aligned clips: the same excerpts of scores, played by many instruments and voices.",
        function="data.render_dataset:render_dataset",
        add_arguments=render_dataset,
    ),
    Command(
        name="full-band-clips",
        summary="Render clips at twice the rate, for training the upper band.",
        function="data.full_band:main",
        add_arguments=full_band_clips,
    ),
    Command(
        name="import-recordings",
        summary="Cut recordings of one instrument into clips: a data set without pairs.",
        function="data.import_recordings:main",
        add_arguments=import_recordings,
    ),
    Command(
        name="pair-recordings",
        summary="Pair recordings with renders of their notes, as sources and as targets.",
        function="data.pair_recordings:main",
        add_arguments=pair_recordings,
    ),
    Command(
        name="cache-mels",
        summary="Compute the log-mels of data sets once, for all trainers.",
        function="data.mel_cache:main",
        add_arguments=cache_mels,
    ),
    Command(
        name="cache-latents",
        summary="Encode a mel cache with a trained autoencoder once, for training the denoiser.",
        function="data.latent_cache:cache_latents",
        add_arguments=cache_latents,
    ),
    Command(
        name="cache-equalized",
        summary="Encode clips with random equaliser curves, which train the denoiser to follow references.",
        function="data.latent_cache:cache_equalized",
        add_arguments=cache_equalized,
    ),
    Command(
        name="cache-transfers",
        summary="Transfer random pairs of clips with a model, as latents, for training the enhancer.",
        function="data.transfer_cache:main",
        add_arguments=cache_transfers,
        check=check_transfers,
    ),
    Command(
        name="image-patches",
        summary="Read CIFAR-10 or a folder of pictures as labelled patches of 32 x 32 pixels.",
        function="data.image_patches:main",
        add_arguments=image_patches,
    ),
    Command(
        name="mel-patches",
        summary="Cut labelled patches of 32 bands x 32 frames from a mel cache.",
        function="data.mel_patches:main",
        add_arguments=mel_patches,
    ),
    Command(
        name="damaged-clips",
        summary="Damage clean clips with noise, crackle and codecs, for the restorer.",
        function="data.damaged_clips:main",
        add_arguments=damaged_clips,
    ),
    Command(
        name="make-examples",
        summary="Make the example clips: openings of classical melodies, played with a soundfont.",
        function="data.make_examples:main",
        add_arguments=make_examples,
    ),
)
