"""Command line: play audio files with another instrument.

python -m stylediff piano.wav --to violin -o violin.wav
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylediff.containers import KINDS, LOSSLESS, LOSSY, UNEXPECTED, AudioError, check_format
from stylediff.instruments import INSTRUMENT_NAMES, MIX_WARNING, get_instrument
from stylediff.lazy_imports import import_lazily, without_compiler
from stylediff.process import prepare_process
from stylediff.settings import SettingError, TransferSettings, add_flags, read_flags
from stylediff.sources import find_sources, make_output_printable, result_paths

if TYPE_CHECKING:  # slow to import, and arguments are checked first
    import numpy as np

    from stylediff.pipeline import StyleTransferPipeline

UNUSED_BY_US = ("scipy.integrate", "scipy.stats")  # imported by other schedulers of diffusers
FORMATS = tuple(ending[1:] for ending in (*LOSSLESS, *LOSSY))
DEVICES = ("auto", "cpu", "cuda", "mps")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pdf")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stylediff", description="Play audio files with another instrument.")
    parser.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help=f"files, folders or patterns: {KINDS}")
    parser.add_argument("--to", metavar="INSTRUMENT", help=", ".join(INSTRUMENT_NAMES))
    parser.add_argument("--like", type=Path, metavar="CLIP", help="sound like the instrument in this clip")
    parser.add_argument("--like-weight", type=float, default=1.0, help="weight of --like against --to (1)")
    parser.add_argument("-o", "--out", type=Path, help="output file, for one source; its ending is the format")
    parser.add_argument("--out-dir", type=Path, help="output folder, for several sources")
    parser.add_argument("--format", choices=FORMATS, help="format of the files in --out-dir (wav)")
    parser.add_argument("--subtype", choices=LOSSLESS[".wav"], help="bits of a sample in wav (16) and flac (16)")
    add_flags(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="replace results that are there")
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where the model runs (auto: a GPU if it works)"
    )
    parser.add_argument("--model", help="folder or Hub id of other weights")
    parser.add_argument("--spectrogram", type=Path, help="picture of the spectrograms before and after, for one source")
    parser.add_argument("--midi", type=Path, help="MIDI file of the source's notes (.mid), for one source")
    parser.add_argument("--quantize", action="store_true", help="put the notes of --midi on the beats")
    args = parser.parse_args(arguments)
    args.sources = find_sources(args.sources)
    check_arguments(parser, args)
    try:
        args.settings = read_flags(args, TransferSettings)
    except SettingError as error:
        parser.error(str(error))
    return args


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with a sentence and code 2 if arguments cannot be used.

    This happens before anything is loaded.
    """
    if (args.out is None) == (args.out_dir is None):
        parser.error("give either -o FILE or --out-dir DIR")
    if args.to is None and args.like is None:
        parser.error("name an instrument with --to, or give a clip of one with --like")
    if not 0 <= args.like_weight <= 1 or (args.like_weight < 1 and None in (args.to, args.like)):
        parser.error("--like-weight must be 0 to 1, and below 1 it needs both --to and --like")
    if not args.sources:
        parser.error(f"no audio file in the folders and patterns given ({KINDS})")
    if len(args.sources) > 1 and (args.out or args.spectrogram or args.midi):
        parser.error("several sources need --out-dir DIR, and --spectrogram and --midi take one")
    if args.quantize and not args.midi:
        parser.error("--quantize is for --midi FILE")
    if not -(2**63) <= args.seed < 2**64:
        parser.error(f"--seed must be -2^63 to 2^64 - 1, got {args.seed}")
    check_outputs(parser, args)


def check_outputs(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with a sentence and code 2 if outputs cannot be written."""
    if args.out and args.format:
        parser.error("the ending of -o FILE is its format; --format is for --out-dir DIR")
    try:
        check_format(args.out.name if args.out else f"results.{args.format or FORMATS[0]}", args.subtype)
    except AudioError as error:
        parser.error(str(error))
    if args.spectrogram and args.spectrogram.suffix.lower() not in PICTURE_ENDINGS:
        parser.error(f"cannot write {args.spectrogram.name}: name it {', '.join(PICTURE_ENDINGS)}")
    if args.midi and args.midi.suffix.lower() not in (".mid", ".midi"):
        parser.error(f"cannot write {args.midi.name}: name it .mid")
    for path in filter(None, (args.out, args.spectrogram, args.midi)):
        if not path.parent.is_dir():
            parser.error(f"cannot write {path.name}: no such folder: {path.parent}")
        if path.exists() and not args.force:
            parser.error(f"{path.name} exists; --force replaces it")


def output_paths(args: argparse.Namespace) -> list[Path]:
    """Return the output path of each source."""
    if args.out:
        return [args.out]
    style = args.to if args.like is None else args.like.stem
    return result_paths(args.sources, args.out_dir, style, args.seed, f".{args.format or FORMATS[0]}")


def read_style(pipeline: "StyleTransferPipeline", args: argparse.Namespace) -> dict[str, Any]:
    """Return target and brightness as arguments of the pipeline.

    The target is a name, or style tokens if a clip takes part.

    Raises:
        AudioError: the clip cannot be used.
        ValueError: an unknown instrument, or a model that takes no clip.
    """
    if args.like is None:
        return {"target": args.to}
    import torch

    from stylediff.audio import read_audio
    from stylediff.reference_style import mix_styles

    samples, sample_rate = read_audio(args.like)
    return mix_styles(pipeline, args.to, torch.from_numpy(samples), sample_rate, args.like_weight)


def resolve_settings(pipeline: "StyleTransferPipeline", args: argparse.Namespace) -> TransferSettings:
    """Return settings with a value for each.

    Recommendations for an instrument apply while the target is that instrument.
    """
    counts = args.like is None or args.like_weight < 1
    return args.settings.resolve(pipeline.recommended_settings(args.to) if counts else {})


def convert(
    pipeline: "StyleTransferPipeline", args: argparse.Namespace, style: dict[str, Any], source: Path, path: Path
) -> None:
    """Convert the file ``source`` to the file ``path``.

    Raises:
        AudioError, OSError: a source that cannot be used, or a place that cannot be written.
    """
    import torch

    from stylediff.audio import read_sound
    from stylediff.output_files import describe_result, write_result

    sound = read_sound(source)
    if sound.note:
        print(f"{source.name}: {sound.note}", file=sys.stderr)
    if pipeline.is_mix(sound.samples, sound.sample_rate):
        print(f"{source.name}: {MIX_WARNING}", file=sys.stderr)
    result = pipeline(
        torch.from_numpy(sound.samples),
        sound.sample_rate,
        generator=torch.Generator().manual_seed(args.seed),
        **style,
        **args.settings.kwargs(),
    )
    report_notes(args, sound.samples, sound.sample_rate, result.settings, source)
    style_name = args.to if args.like is None else f"like {args.like.name}"
    tags = describe_result(source.name, result.voice or style_name, args.settings.describe())
    write_result(path, result.audio, result.sample_rate, args.subtype, tags)
    if args.spectrogram:
        from PIL import Image

        from stylediff.plotting import mels_to_image

        image = mels_to_image([result.source_mel.cpu(), result.mel.cpu()], pipeline.mel)
        Image.fromarray(image).save(args.spectrogram)


def report_notes(
    args: argparse.Namespace, samples: "np.ndarray", sample_rate: int, used: TransferSettings, source: Path
) -> None:
    """Say what the instrument cannot play, and write the MIDI file."""
    from stylediff.midi_files import write_clip_midi
    from stylediff.notes import describe_fit
    from stylediff.transcription import transcribe

    notes = transcribe(samples, sample_rate)
    instrument = args.to.split("/")[0] if args.to else ""
    if instrument in INSTRUMENT_NAMES and (sentence := describe_fit(notes, get_instrument(instrument), used.transpose)):
        print(f"{source.name}: {sentence}", file=sys.stderr)
    if args.settings.fit and used.transpose != args.settings.transpose:
        print(f"{source.name}: moved by {used.transpose:+g} semitones", file=sys.stderr)
    if args.midi:
        write_clip_midi(args.midi, notes, samples, sample_rate, args.quantize, instrument, source.stem)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    prepare_process()
    for module in UNUSED_BY_US:
        import_lazily(module)
    with without_compiler():
        return convert_all(args)


def convert_all(args: argparse.Namespace) -> int:
    """Convert all sources and return the exit status."""
    from diffusers.utils import logging
    from tqdm import tqdm

    from stylediff.checkpoint import CheckpointError, load_pipeline

    make_output_printable()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failed = False
    try:
        pipeline = load_pipeline(args.model, args.device)
        pipeline.set_progress_bar_config(desc="denoising", leave=False)
        style = read_style(pipeline, args)
        pipeline.check_inputs(style["target"])
        args.settings = resolve_settings(pipeline, args)
        if args.out_dir:
            args.out_dir.mkdir(parents=True, exist_ok=True)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    voice = f"like {args.like.name}" if args.like else pipeline.choose_voice(args.to)
    print(f"{voice}, {args.settings.describe()}", file=sys.stderr)
    pairs = list(zip(args.sources, output_paths(args), strict=True))
    for source, path in tqdm(pairs, unit="file", disable=len(pairs) == 1):
        try:
            if path.exists() and not args.force:
                raise FileExistsError(f"{path.name} exists; --force replaces it")
            convert_anywhere(pipeline, args, style, source, path)
            tqdm.write(str(path))
        except (ValueError, *UNEXPECTED) as error:
            tqdm.write(f"error: {explain(error, source.name)}", file=sys.stderr)
            failed = True
    return 2 if failed else 0


def convert_anywhere(
    pipeline: "StyleTransferPipeline", args: argparse.Namespace, style: dict[str, Any], source: Path, path: Path
) -> None:
    """Convert a file, on the CPU if the GPU fails.

    Errors are those of ``convert``.
    """
    try:
        convert(pipeline, args, style, source, path)
    except RuntimeError as error:
        if pipeline.device.type == "cpu":
            raise
        reason = str(error).partition("\n")[0]
        print(f"the {pipeline.device.type} device failed ({reason}); continuing on the CPU", file=sys.stderr)
        pipeline.to("cpu")
        on_cpu = {name: value.cpu() if hasattr(value, "cpu") else value for name, value in style.items()}
        convert(pipeline, args, on_cpu, source, path)


def explain(error: Exception, name: str) -> str:
    """Return a sentence about an error that names the file."""
    sentence = "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
    return sentence if name in sentence else f"{name}: {sentence}"


if __name__ == "__main__":
    sys.exit(main())
