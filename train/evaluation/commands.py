"""Commands that evaluate a model or any system's outputs, with their arguments."""

import argparse
from pathlib import Path

from train.common.cli import SHIPPED_CLASSIFIER, Command, add_model_arguments, add_out, add_workers

EMBEDDING_HELP = "features for Fréchet distances: classifier, pixels, vggish, clap, inception"


def evaluate(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="data set with the test cases and the training clips")
    add_out(parser)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--pairs-main", type=int, default=60, help="clips per main direction")
    parser.add_argument("--pairs-other", type=int, default=6, help="clips per other pair of instruments")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 10, 20, 50], help="numbers of steps")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5, 2.0], help="guidance scales")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.0, 0.3, 0.5, 0.7, 1.0], help="noise scales")
    parser.add_argument("--dynamics", type=float, nargs="+", default=[0.0, 0.25, 0.5, 1.0], help="values of dynamics")
    parser.add_argument("--sweep", type=int, default=12, help="clips per main direction for additional settings")
    parser.add_argument("--embedding", nargs="+", default=["classifier", "pixels"], help=EMBEDDING_HELP)
    parser.add_argument("--baselines", type=Path, help="published report whose baselines are reused")
    parser.add_argument("--renew", nargs="+", default=[], metavar="SYSTEM", help="baselines to recompute")
    parser.add_argument("--regression", type=Path, help="folder of a pipeline trained as one-step regression")
    parser.add_argument("--soundfont", nargs="+", default=[], help="soundfonts that replay transcriptions")
    add_workers(parser)
    parser.add_argument("--limit", type=int, help="number of clips to stop after, for a trial run")


def check_limit(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.limit is not None and args.limit < 1:
        parser.error("--limit must be at least 1")


def score_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--audio-dir", type=Path, required=True, help="folder of a system's outputs")
    parser.add_argument("--reference-dir", type=Path, required=True, help="true targets, in files with the same names")
    parser.add_argument("--instrument", help="target instrument, such as violin")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="folder of the classifier")
    parser.add_argument("--embedding", nargs="+", default=["classifier", "pixels"], help=EMBEDDING_HELP)
    add_out(parser)
    add_workers(parser)


def publish_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--report", type=Path, help="folder written by the command evaluate")
    parser.add_argument("--recordings", type=Path, help="folder written by the command real-recordings")


def check_published(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.report is None and args.recordings is None:
        parser.error("give --report, --recordings or both")


COMMANDS = (
    Command(
        name="evaluate",
        summary="Measure a model on unseen music in an unseen soundfont, with baselines and bounds.",
        function="evaluation.evaluate:main",
        add_arguments=evaluate,
        check=check_limit,
    ),
    Command(
        name="score-folder",
        summary="Score a folder of audio files from any system against references with the same names.",
        function="evaluation.score_folder:main",
        add_arguments=score_folder,
    ),
    Command(
        name="publish-report",
        summary="Publish a report: copy its files, and update the tables of the documents.",
        function="evaluation.publish_report:main",
        add_arguments=publish_report,
        check=check_published,
    ),
)
