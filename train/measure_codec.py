"""Measures what mel, autoencoder and vocoder lose, stage by stage, for every instrument and voice.

    python -m train.measure_codec --data DATASET [RECORDINGS] --out DIR

Results are kept as they are made; an interrupted run goes on where it stopped.
"""

import argparse
import json
import statistics
import sys
import time
from functools import lru_cache, partial
from pathlib import Path

from tqdm import tqdm

from stylediff.checkpoint import SHIPPED, load_pipeline
from stylediff.mel import MelConfig
from train.assessment import Result, compare_with_score, compare_with_source, compare_with_target
from train.codec import Specimen, Stage, build_stages, choose_specimens
from train.codec_page import COLUMNS, write_markdown
from train.commands import exit_code
from train.embeddings import ClassifierEmbedding
from train.manifest import ManifestError, claim_folder, settled_arguments, write_atomically
from train.metrics import is_one_voice
from train.scoring import SHIPPED_CLASSIFIER, load_judges
from train.steadiness import hop_stripes, pitch_deviation, pitch_wobble
from train.tasks import read_results
from train.waveforms import load_waveform
from train.workers import results_of

TIMED_CLIPS = 3


@lru_cache(maxsize=1)
def load_stages(model: Path) -> dict[str, Stage]:
    return build_stages(load_pipeline(str(model)))


@lru_cache(maxsize=1)
def load_embedding(classifier: Path) -> ClassifierEmbedding:
    return ClassifierEmbedding(classifier)


def measure(task: tuple[Specimen, tuple[str, ...]], model: Path, classifier: Path) -> list[Result]:
    """One clip through some rows of the codec: their columns, and the classifier's features of what came out."""
    specimen, rows = task
    config, judges, original = MelConfig(), load_judges(classifier), load_waveform(specimen.path)
    notes = specimen.score(len(original) / config.sample_rate)
    source = judges.notes.listen(original)
    original_hz = judges.pitch.track(original)[1] if notes is not None and is_one_voice(notes) else None
    results = []
    for row in rows:
        output = load_stages(model)[row](original)
        heard = judges.notes.listen(output)
        result = compare_with_source(heard, source) | compare_with_target(output, original, config)
        if notes is not None:
            result |= compare_with_score(output, heard, notes, judges, config)
            if original_hz is not None:
                times, pitch = judges.pitch.track(output)
                result["wobble"] = pitch_wobble(notes, times, pitch)
                result["deviation"] = pitch_deviation(notes, times, pitch, original_hz)
        features = load_embedding(classifier)(output).round(4).tolist()
        result |= {"stripes": hop_stripes(output, config), "features": features}
        named = {"file": str(specimen.path), "voice": specimen.voice, "instrument": specimen.instrument, "row": row}
        kept = (*COLUMNS, "features")
        results.append(named | {name: result[name] for name in kept if result.get(name) is not None})
    return results


def measure_all(args: argparse.Namespace, specimens: list[Specimen], rows: list[str]) -> list[Result]:
    """Every specimen in every row; what the folder already holds is not made again."""
    path = args.out / "results.jsonl"
    results = read_results(path)
    done = {(result["file"], result["row"]) for result in results}
    left = [(s, tuple(row for row in rows if (str(s.path), row) not in done)) for s in specimens]
    left = [(specimen, missing) for specimen, missing in left if missing]
    job = partial(measure, model=args.model, classifier=args.classifier)
    with path.open("a") as file:
        for measured in tqdm(results_of(job, left, args.workers), total=len(left), unit="clip"):
            results += measured
            file.writelines(json.dumps(result) + "\n" for result in measured)
            file.flush()
    wanted = {(str(specimen.path), row) for specimen in specimens for row in rows}
    return [result for result in results if (result["file"], result["row"]) in wanted]


def time_stages(stages: dict[str, Stage], specimens: list[Specimen]) -> dict[str, float]:
    """Seconds of compute for a second of sound in every row, the median over a few clips after one to warm up."""
    seconds: dict[str, list[float]] = {row: [] for row in stages}
    for specimen in [specimens[0], *specimens[:TIMED_CLIPS]]:
        waveform = load_waveform(specimen.path)
        for row, stage in stages.items():
            began = time.perf_counter()
            stage(waveform)
            seconds[row].append((time.perf_counter() - began) * MelConfig().sample_rate / len(waveform))
    return {row: statistics.median(values[1:]) for row, values in seconds.items()}


def measure_codec(args: argparse.Namespace) -> None:
    """Measures what is missing, and writes and prints the page."""
    specimens, stages = choose_specimens(args.data, args.clips), load_stages(args.model)
    claim_folder(args.out, settled_arguments(args, ("model", "classifier")))
    seconds = time_stages(stages, specimens)
    page = write_markdown(measure_all(args, specimens, list(stages)), list(stages), seconds)
    write_atomically(args.out / "codec.md", page)
    print(page)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data sets, imported recordings among them")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the pipeline")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="its folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=6, help="clips of each voice")
    parser.add_argument("--workers", type=int, default=2, help="processes, each of which computes on one core")
    return exit_code(partial(measure_codec, parser.parse_args(arguments)), ManifestError, ValueError, OSError)


if __name__ == "__main__":
    sys.exit(main())
