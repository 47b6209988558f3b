"""Commands that evaluate a model or any system's outputs, with their arguments."""

import argparse
from pathlib import Path

from train.common.cli import SHIPPED_CLASSIFIER, Command, add_model_arguments, add_out, add_workers

EMBEDDING_HELP = "of the Fréchet distances: classifier, pixels, vggish, clap, inception"


def evaluate(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="data set with the cases and the training clips")
    add_out(parser)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--pairs-main", type=int, default=60, help="clips of each main direction")
    parser.add_argument("--pairs-other", type=int, default=6, help="clips of each other pair of instruments")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 10, 20, 50], help="other than the default")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5, 2.0], help="guidance scales")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.0, 0.3, 0.5, 0.7, 1.0], help="of the noise")
    parser.add_argument("--dynamics", type=float, nargs="+", default=[0.0, 0.25, 0.5, 1.0], help="how far they follow")
    parser.add_argument("--sweep", type=int, default=12, help="clips of a main direction that every setting is run on")
    parser.add_argument("--embedding", nargs="+", default=["classifier", "pixels"], help=EMBEDDING_HELP)
    parser.add_argument("--baselines", type=Path, help="published report of other weights, to take baselines from")
    parser.add_argument("--renew", nargs="+", default=[], metavar="SYSTEM", help="baselines to make again")
    parser.add_argument("--regression", type=Path, help="folder of a pipeline trained as one-pass regression")
    parser.add_argument("--soundfont", nargs="+", default=[], help="of the targets, to replay what is transcribed")
    add_workers(parser)
    parser.add_argument("--limit", type=int, help="stop after that many clips, to try it out")


def check_limit(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.limit is not None and args.limit < 1:
        parser.error("--limit must be at least 1")


def score_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--audio-dir", type=Path, required=True, help="folder of a system's outputs")
    parser.add_argument("--reference-dir", type=Path, required=True, help="true targets, in files of the same names")
    parser.add_argument("--instrument", help="what they should be heard as, such as violin")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="folder of the classifier")
    parser.add_argument("--embedding", nargs="+", default=["classifier", "pixels"], help=EMBEDDING_HELP)
    add_out(parser)
    add_workers(parser)


def publish_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--report", type=Path, required=True, help="folder that the command evaluate wrote")


COMMANDS = (
    Command(
        name="evaluate",
        summary="Measure a model on unseen music in an unseen soundfont, beside baselines and bounds.",
        function="evaluation.evaluate:main",
        add_arguments=evaluate,
        check=check_limit,
    ),
    Command(
        name="score-folder",
        summary="Score a folder of audio files, from any system, against references of the same names.",
        function="evaluation.score_folder:main",
        add_arguments=score_folder,
    ),
    Command(
        name="publish-report",
        summary="Put a report into the repository: its files, and its tables into README and model card.",
        function="evaluation.publish_report:main",
        add_arguments=publish_report,
    ),
)
