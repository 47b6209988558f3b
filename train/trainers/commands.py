"""Commands that train networks and put them together, with their arguments."""

import argparse
from functools import partial
from pathlib import Path

from train.common.cli import Command, add_out
from train.trainers.base_settings import TrainSettings, add_settings
from train.trainers.settings import (
    AutoencoderSettings,
    BandExtenderSettings,
    ClassifierSettings,
    DenoiserSettings,
    EnhancerSettings,
    InpainterSettings,
    MixDetectorSettings,
    RestorerSettings,
    VocoderSettings,
    VoiceSettings,
    VqvaeSettings,
)


def trainer(name: str, settings: type[TrainSettings], summary: str) -> Command:
    """Declare a trainer's command, with a flag for each setting."""
    function = f"trainers.{name.replace('-', '_')}:main"
    return Command(name=name, summary=summary, function=function, add_arguments=partial(add_settings, cls=settings))


def export_pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--denoiser", type=Path, required=True, help="folder of a denoiser's run")
    parser.add_argument("--vocoder", type=Path)
    parser.add_argument("--enhancer", type=Path)
    parser.add_argument("--band-extender", type=Path)
    parser.add_argument("--mix-detector", type=Path)
    parser.add_argument("--inpainter", type=Path)
    add_out(parser)


def plot_curves(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="folders of training runs")
    parser.add_argument("--name", nargs="+", help="names for the legend (the folders' names)")
    parser.add_argument("--scalar", nargs="+", required=True, help="logged scalars to plot, such as loss or validation")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")


def check_curves(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.name and len(args.name) != len(args.run):
        parser.error("give as many names as runs")


COMMANDS = (
    trainer("autoencoder", AutoencoderSettings, "Train the mel autoencoder."),
    trainer("denoiser", DenoiserSettings, "Train the denoiser: diffusion of target latents, given the source's."),
    trainer("vocoder", VocoderSettings, "Train the vocoder: first on magnitudes, then on sound, then on decoded mels."),
    trainer("inpainter", InpainterSettings, "Train a U-Net to fill gaps, from a pipeline's denoiser."),
    trainer("enhancer", EnhancerSettings, "Train the enhancer of generated mels."),
    trainer("voice", VoiceSettings, "Train the style tokens of one new voice of a saved pipeline."),
    trainer("classifier", ClassifierSettings, "Train the instrument classifier on renders."),
    trainer("band-extender", BandExtenderSettings, "Train the network that predicts the levels of the upper band."),
    trainer("restorer", RestorerSettings, "Train the restorer of noisy and badly coded clips."),
    trainer("mix-detector", MixDetectorSettings, "Train the detector of clips in which several instruments play."),
    trainer("vqvae", VqvaeSettings, "Train a VQ-VAE on patches: pictures or pieces of log-mels as discrete codes."),
    Command(
        name="export-pipeline",
        summary="Combine trained components in a pipeline folder, in half precision.",
        function="trainers.export_pipeline:main",
        add_arguments=export_pipeline,
    ),
    Command(
        name="plot-curves",
        summary="Plot logged scalars of training runs: a panel per scalar, a line per run.",
        function="trainers.plot_curves:main",
        add_arguments=plot_curves,
        check=check_curves,
    ),
)
