"""Commands of the experiments, with their arguments."""

import argparse
from pathlib import Path

from train.common.cli import SHIPPED_CLASSIFIER, SHIPPED_MODEL, Command, add_model_arguments, add_out, add_workers

EXAMPLE = Path("examples/piano_fur_elise.flac")
SHAPES = ["4x32x56", "8x32x56", "16x32x56", "16x16x28", "32x16x28", "64x16x28"]


def sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    add_model_arguments(parser)
    add_out(parser)
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 10, 20, 50])
    parser.add_argument("--start", type=float, nargs="+", help="shares of the noise levels (default: the pipeline's)")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    parser.add_argument("--dynamics", type=float, nargs="+", help="values of dynamics (default: the pipeline's)")
    parser.add_argument("--listen", action="store_true", help="also compare transcribed notes; takes longer")


def check_sampling(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if not all(0 < start <= 1 for start in args.start or []):
        parser.error("--start must be above 0 and at most 1")
    if min(args.steps) < 1:
        parser.error("--steps must be at least 1")


def bandwidth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--midi", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--test-soundfont", required=True, help="soundfont that was not used in training")
    parser.add_argument("--recordings", type=Path, required=True, help="folder of recordings, named by instrument")
    parser.add_argument("--extender", type=Path, help="folder of the network (default: the one that ships)")
    add_out(parser)
    parser.add_argument("--clips", type=int, default=40, help="number of renders")


def latent_shapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, required=True, help="mel cache")
    parser.add_argument("--data", type=Path, required=True, help="data set of the cache")
    parser.add_argument("--vocoder", type=Path, required=True, help="folder of the vocoder for all shapes")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="folder of the classifier")
    add_out(parser)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="CHANNELSxROWSxCOLUMNS[qLEVELS] of a clip")
    parser.add_argument("--minutes", type=float, default=10.0, help="training time of each autoencoder and denoiser")
    parser.add_argument("--clips", type=int, default=12000, help="number of clips to train denoisers on")
    parser.add_argument("--pairs", type=int, default=48, help="number of clips and pairs to measure")


def codec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data sets, with imported recordings")
    add_model_arguments(parser)
    add_out(parser)
    parser.add_argument("--clips", type=int, default=6, help="clips per voice")
    add_workers(parser)


def references(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data set with test cases")
    add_model_arguments(parser, classifier=False)
    add_out(parser)
    parser.add_argument("--clips", type=int, default=6, help="transfers to each instrument")
    parser.add_argument("--retrieved", type=int, default=20, help="test clips per instrument for retrieval")
    add_workers(parser)


def robustness(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data set with cases of the split")
    add_model_arguments(parser, classifier=False)
    add_out(parser)
    parser.add_argument("--clips", type=int, default=110, help="number of cases, spread over all pairs of instruments")
    parser.add_argument("--split", default="test", help="split of the cases: test, or validation to make choices")
    add_workers(parser)


def transcription(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data set with test pieces")
    add_out(parser)
    parser.add_argument("--clips", type=int, default=6, help="clips per voice")


def metric_sensitivity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data set with test cases")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="folder of the classifier")
    add_out(parser)
    parser.add_argument("--clips", type=int, default=24)
    add_workers(parser)


def real_recordings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recordings", type=Path, required=True, help="sources, in folders named by instrument")
    parser.add_argument("--references", type=Path, help="recordings of the targets, if not the same folder")
    parser.add_argument(
        "--split", choices=["train", "held_out", "all"], default="held_out", help="split of the sources"
    )
    parser.add_argument("--sources", nargs="+", default=[], help="source instruments (default: all)")
    parser.add_argument("--targets", nargs="+", default=[], help="target instruments (default: all)")
    parser.add_argument("--limit", type=int, help="clips per source instrument")
    parser.add_argument("--examples", type=int, default=48, help="recordings per target and split")
    add_model_arguments(parser, classifier=False)
    add_out(parser)
    parser.add_argument("--soundfonts", nargs="+", default=[], help="soundfonts with the default voices")
    parser.add_argument("--voices", nargs="+", default=[], help="voices of the targets, or all")
    parser.add_argument("--steps", type=int, nargs="+", default=[])
    parser.add_argument("--noise", type=float, nargs="+", default=[], help="noise scales")
    parser.add_argument("--start", type=float, nargs="+", default=[], help="noise levels at which refinement starts")
    parser.add_argument("--enhance", nargs="+", choices=["yes", "no"], default=[])
    parser.add_argument("--dynamics", type=float, nargs="+", default=[])
    parser.add_argument("--room", nargs="+", choices=["dry", "studio", "room", "hall"], default=[])
    parser.add_argument("--like", action="store_true", help="also take the style from recordings of the target")
    add_workers(parser)


def voices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--soundfonts", nargs="+", required=True)
    parser.add_argument("--recordings", type=Path, help="recordings to compare with")
    parser.add_argument("--instruments", nargs="+", default=[], help="instruments (default: all)")
    parser.add_argument("--phrases", type=int, default=8)
    add_out(parser)


def loop_joints(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recordings", type=Path, required=True, help="recordings, in folders named by instrument")
    parser.add_argument("--clips", type=int, default=20, help="loops, each of another recording")
    add_model_arguments(parser, classifier=False)
    add_out(parser)
    add_workers(parser)


def mixes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recordings", type=Path, required=True, help="recordings, in folders named by instrument")
    parser.add_argument("--clips", type=int, default=200, help="clips for each number of instruments")
    add_model_arguments(parser, classifier=False)
    add_out(parser)


def repair(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recordings", type=Path, required=True, help="recordings, in folders named by instrument")
    parser.add_argument("--data", type=Path, help="data set, for renders of its test split")
    parser.add_argument("--clips", type=int, default=2, help="clips of each instrument and origin")
    parser.add_argument("--inpainter", type=Path, help="another U-Net of the command inpainter, to compare")
    parser.add_argument("--gaps", type=int, nargs="+", default=[10, 50, 100, 200, 300, 750, 2000], help="milliseconds")
    add_model_arguments(parser, classifier=False)
    add_out(parser)
    add_workers(parser)


def denoise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recordings", type=Path, required=True, help="recordings, in folders named by instrument")
    parser.add_argument("--clips", type=int, default=1, help="held-out clips of each instrument")
    add_model_arguments(parser, classifier=False)
    add_out(parser)


def speed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", type=Path, default=EXAMPLE, help="clip to convert")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the clip")
    parser.add_argument("--target", default="violin")
    parser.add_argument("--steps", type=int, help="denoising steps (those recommended for the target)")
    parser.add_argument("--times", type=int, default=7, help="timed runs, after one that is not")
    parser.add_argument("--long", type=float, nargs="*", default=[], help="lengths of long clips, in seconds")
    parser.add_argument("--soundfont", nargs="*", default=[], help="soundfonts that replay the transcription")
    add_model_arguments(parser, classifier=False)
    add_out(parser)


def codebooks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patches", type=Path, nargs="+", required=True, help="folders of patches")
    add_out(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 64, 256, 512, 1024, 4096])
    parser.add_argument("--compared", type=int, nargs="*", default=[512], help="sizes of the other codebooks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=330.0, help="time of the whole study, roughly")
    parser.add_argument("--steps", type=int, default=0, help="training steps of every run, instead of --minutes")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--width", type=int, default=64, help="channels of the networks")
    parser.add_argument("--residual-width", type=int, default=32)
    parser.add_argument("--prior-steps", type=int, default=600, help="training steps of priors (0: no prior)")
    parser.add_argument("--tested", type=int, default=10_000, help="most test patches")
    parser.add_argument("--cache", type=Path, help="mel cache, to compare notes of whole clips")
    parser.add_argument("--clips", type=int, default=22, help="number of whole clips")
    add_model_arguments(parser, classifier=False)


def public_vqvae(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patches", type=Path, required=True, help="folder of patches")
    add_out(parser)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--size", type=int, default=512, help="number of codes")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--width", type=int, default=64, help="channels of the networks")
    parser.add_argument("--residual-width", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tested", type=int, default=10_000, help="most test patches")


def code_dictionary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of trained VQ-VAEs")
    parser.add_argument("--patches", type=Path, required=True, help="folder of their patches")
    add_out(parser)
    parser.add_argument("--patch-limit", type=int, default=10_000, help="most patches")
    parser.add_argument("--permutations", type=int, default=20)


def code_meanings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained VQ-VAE")
    parser.add_argument("--patches", type=Path, required=True, help="folder of its patches")
    add_out(parser)
    parser.add_argument("--patch-limit", type=int, default=10_000, help="most patches of a split")
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--cache", type=Path, help="mel cache, to swap codes in whole clips")
    parser.add_argument(
        "--swaps", nargs="+", default=["piano:violin", "violin:piano", "flute:trumpet"], help="SOURCE:TARGET ..."
    )
    parser.add_argument("--clips", type=int, default=20, help="clips per swap")
    parser.add_argument("--played", type=int, default=2, help="clips per swap to write as audio")
    parser.add_argument("--transfer-model", type=Path, default=SHIPPED_MODEL, help="pipeline with the vocoder")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="folder of the classifier")


def check_meanings(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    from stylediff.instruments import INSTRUMENT_NAMES

    for pair in args.swaps:
        names = pair.split(":")
        if len(names) != 2 or not set(names) <= set(INSTRUMENT_NAMES):
            parser.error(f"--swaps {pair}: write SOURCE:TARGET with names of {', '.join(INSTRUMENT_NAMES)}")


COMMANDS = (
    Command(
        name="bandwidth",
        summary="Compare upper bands with those of unseen renders and recordings.",
        function="experiments.bandwidth:main",
        add_arguments=bandwidth,
    ),
    Command(
        name="real-recordings",
        summary="Transfers of recordings, compared with recordings of the target by musicnn: do they sound real?",
        function="experiments.real_recordings:main",
        add_arguments=real_recordings,
    ),
    Command(
        name="voices",
        summary="All voices of some soundfonts, rated by musicnn and by attack: which should be the default?",
        function="experiments.voices:main",
        add_arguments=voices,
    ),
    Command(
        name="sampling",
        summary="Steps, start levels, temperatures and dynamics on validation pairs: which defaults are best?",
        function="experiments.sampling:main",
        add_arguments=sampling,
        check=check_sampling,
    ),
    Command(
        name="latent-shapes",
        summary="An autoencoder and a small denoiser for each shape of latents: which shape is best?",
        function="experiments.latent_shapes:main",
        add_arguments=latent_shapes,
    ),
    Command(
        name="codec",
        summary="Stages of the codec for every instrument and voice: what do mel, autoencoder and vocoder lose?",
        function="experiments.codec:main",
        add_arguments=codec,
    ),
    Command(
        name="references",
        summary="Clips of an unseen soundfont as references: which instruments does the style encoder recognise?",
        function="experiments.references:main",
        add_arguments=references,
    ),
    Command(
        name="robustness",
        summary="Rooms, noise, MP3 and the like in the source: how many notes survive a transfer?",
        function="experiments.robustness:main",
        add_arguments=robustness,
    ),
    Command(
        name="transcription",
        summary="Notes of test pieces, found by three decoders: how many are right?",
        function="experiments.transcription:main",
        add_arguments=transcription,
    ),
    Command(
        name="metric-sensitivity",
        summary="Known corruptions of true renders at growing strengths: which metrics detect them?",
        function="experiments.metric_sensitivity:main",
        add_arguments=metric_sensitivity,
    ),
    Command(
        name="loop-joints",
        summary="Looped ringtones of recordings, played twice: does the joint stand out from other beats?",
        function="experiments.loop_joints:main",
        add_arguments=loop_joints,
    ),
    Command(
        name="mixes",
        summary="Sums of held-out recordings: how many are recognised as mixes?",
        function="experiments.mixes:main",
        add_arguments=mixes,
    ),
    Command(
        name="repair",
        summary="Gaps in held-out recordings, filled by several systems: how well?",
        function="experiments.repair:main",
        add_arguments=repair,
    ),
    Command(
        name="denoise",
        summary="Noise added to held-out recordings: how much is removed, and what stays?",
        function="experiments.denoise:main",
        add_arguments=denoise,
    ),
    Command(
        name="speed",
        summary="Time of a transfer by stage, against transcribing and replaying.",
        function="experiments.speed:main",
        add_arguments=speed,
    ),
    Command(
        name="codebooks",
        summary="VQ-VAEs with codebooks of many sizes and kinds: how many codes are needed, which collapse?",
        function="experiments.codebooks:main",
        add_arguments=codebooks,
    ),
    Command(
        name="public-vqvae",
        summary="The VQ-VAE here and MONAI's, trained alike: is the error the same?",
        function="experiments.public_vqvae:main",
        add_arguments=public_vqvae,
    ),
    Command(
        name="code-meanings",
        summary="Codes of a VQ-VAE against labels: which codes stand for an instrument, a pitch, a colour?",
        function="experiments.code_meanings:main",
        add_arguments=code_meanings,
        check=check_meanings,
    ),
    Command(
        name="code-dictionary",
        summary="The codebooks that ship, made from trained VQ-VAEs.",
        function="experiments.code_dictionary:main",
        add_arguments=code_dictionary,
    ),
)
