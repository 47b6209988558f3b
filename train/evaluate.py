"""Measures a model on clips of unseen music in an unseen soundfont, beside baselines and bounds.

    python -m train.evaluate --data DATASET --out DIR

Results are kept as they are made; an interrupted evaluation goes on where it stopped.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.audio import AudioError, read_audio
from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.plotting import mels_to_image
from train.classifier import InstrumentClassifier
from train.equaliser import average_spectrum
from train.judges import NoteJudge
from train.manifest import SPLITS, ClipGroup, ManifestError, read_manifest, write_atomically
from train.metrics import frame_prf, log_mel_error, note_f1, score_roll
from train.report import Result, draw_confusion, draw_contact_sheet, summarize, write_markdown
from train.rows import GRIFFIN_LIM, Output, Row, build_rows, ours
from train.runs import current_commit
from train.trials import MAIN_PAIRS, Example, Trial, TrialError, choose_trials

HEADLINE_STEPS = 20
SHIPPED_MODEL, SHIPPED_CLASSIFIER = Path("stylediff/pretrained"), Path("train/pretrained/classifier")
SPECTRUM_CLIPS = 40  # training clips behind a voice's average spectrum
SHEET_PANELS = 12


def load_waveform(path: Path) -> torch.Tensor:
    """Samples (samples,) of a mono file."""
    samples, _ = read_audio(path)
    return torch.from_numpy(samples[0])


def load_example(trial: Trial, folder: Path) -> Example:
    source, target = (load_waveform(folder / clip.file) for clip in (trial.source, trial.target))
    return Example(source, target, trial.target.voice, trial.group.index)


def load_spectra(groups: list[ClipGroup], voices: set[str], folder: Path, mel: MelConfig) -> dict[str, torch.Tensor]:
    """Average spectrum of each voice over clean clips of the training split.

    Raises:
        TrialError: a voice has no such clip.
    """
    spectra = {}
    for voice in sorted(voices):
        clips = [c for g in groups if g.split == "train" for c in g.clips if c.voice == voice and c.role == "target"]
        if not clips:
            raise TrialError(f"the training split has no clip of {voice} to take its average spectrum from")
        chosen = clips[:: -(-len(clips) // SPECTRUM_CLIPS)]
        spectra[voice] = average_spectrum([load_waveform(folder / clip.file) for clip in chosen], mel)
    return spectra


@torch.no_grad()
def measure(
    trial: Trial, example: Example, output: Output, judge: NoteJudge, classifier: InstrumentClassifier
) -> Result:
    """Every column of one clip in one row, but for its time."""
    config = classifier.mel
    mel, target_mel = waveform_to_mel(torch.stack([output.waveform, example.target]), config)[:, 0]
    heard = judge.listen(output.waveform)
    notes = trial.score(len(output.waveform) / config.sample_rate)
    precision, recall, frame_f = frame_prf(heard.roll, score_roll(notes, len(heard.roll)))
    named = classifier.config.instruments[int(classifier(mel[None, None]).argmax())]
    return {
        "log_mel_error": log_mel_error(mel, target_mel),
        "generated_error": None if output.mel is None else log_mel_error(output.mel, target_mel),
        "frame_precision": precision,
        "frame_recall": recall,
        "frame_f": frame_f,
        "note_f1_50": note_f1(notes, heard.intervals, heard.pitches, 0.05),
        "note_f1_100": note_f1(notes, heard.intervals, heard.pitches, 0.1),
        "named": named,
        "named_target": float(named == example.instrument),
    }


def rows_of(trial: Trial, rows: dict[str, Row], headline: str) -> list[str]:
    """Names of the rows to run on a trial: off the main directions, our model runs at one number of steps only.

    Griffin-Lim, slow and no part of what is measured, is left out there as well.
    """
    everywhere = [name for name in rows if name == headline or not (name.startswith("ours") or name == GRIFFIN_LIM)]
    return list(rows) if trial.pair in MAIN_PAIRS else everywhere


def open_results(out: Path, settings: dict[str, Any]) -> list[Result]:
    """The results made so far; a line that an interruption cut short is dropped.

    Raises:
        TrialError: they were made with other settings; the message names the first that differs.
    """
    out.mkdir(parents=True, exist_ok=True)
    record = out / "settings.json"
    begun = json.loads(record.read_text()) if record.is_file() else settings
    for name, value in settings.items():
        if begun.get(name) != value:
            raise TrialError(f"{out} was begun with {name}={begun.get(name)!r}, not {value!r}: use another folder")
    write_atomically(record, json.dumps(settings | {"commit": current_commit()}, indent=1))
    path = out / "results.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]
    write_atomically(path, "".join(whole))
    return [json.loads(line) for line in whole]


def run_trials(
    trials: list[Trial],
    rows: dict[str, Row],
    headline: str,
    folder: Path,
    results: list[Result],
    path: Path,
    classifier: InstrumentClassifier,
) -> list[Result]:
    """The results of these trials: those that ``results`` holds, and the others, made and added to the file."""
    wanted = {(trial.key, row) for trial in trials for row in rows_of(trial, rows, headline)}
    kept = [result for result in results if (result["trial"], result["row"]) in wanted]
    done = {(result["trial"], result["row"]) for result in kept}
    judge = NoteJudge()
    with path.open("a") as file, tqdm(total=len(wanted), initial=len(done), unit="clip") as bar:
        for trial in trials:
            waiting = [row for row in rows_of(trial, rows, headline) if (trial.key, row) not in done]
            if not waiting:
                continue
            example = load_example(trial, folder)
            for row in waiting:
                started = time.perf_counter()
                output = rows[row](example)
                elapsed = time.perf_counter() - started
                seconds = len(example.target) / classifier.mel.sample_rate
                result = {"trial": trial.key, "row": row, "source": trial.pair[0], "target": trial.pair[1]}
                result |= measure(trial, example, output, judge, classifier)
                kept.append(result | {"seconds_per_second": elapsed / seconds})
                file.write(json.dumps(kept[-1]) + "\n")
                file.flush()
                bar.update()
    return kept


def draw_panels(trials: list[Trial], row: Row, folder: Path, mel: MelConfig) -> list[tuple[str, np.ndarray]]:
    """Log-mels of source, output and target above each other, with a title, for trials of twelve directions."""
    pairs = {trial.pair: trial for trial in reversed(trials)}
    others = [trial for pair, trial in sorted(pairs.items()) if pair not in MAIN_PAIRS]
    chosen = [pairs[pair] for pair in MAIN_PAIRS if pair in pairs]
    chosen += others[:: max(1, len(others) // (SHEET_PANELS - len(chosen)))]
    panels = []
    for trial in chosen[:SHEET_PANELS]:
        example = load_example(trial, folder)
        waveforms = torch.stack([example.source, row(example).waveform, example.target])
        mels = waveform_to_mel(waveforms, mel)[:, 0]
        panels.append((" → ".join(trial.pair) + ": source, output, target", mels_to_image(list(mels), mel)))
    return panels


def evaluate(pipeline: StyleTransferPipeline, classifier: InstrumentClassifier, args: argparse.Namespace) -> str:
    """Runs what is missing, writes the report, and returns its Markdown.

    Raises:
        ManifestError, TrialError: a data set that cannot be used, or a folder begun with other settings.
    """
    settings = {name: str(getattr(args, name)) for name in ("model", "data", "classifier", "split", "guidance")}
    groups = read_manifest(args.data)
    trials = choose_trials(groups, args.split, args.pairs_main, args.pairs_other)[: args.limit]
    results = open_results(args.out, settings)
    spectra = load_spectra(groups, {trial.target.voice for trial in trials}, args.data, pipeline.mel)
    rows = build_rows(pipeline, spectra, args.steps, args.guidance)
    headline = ours(min(args.steps, key=lambda steps: abs(steps - HEADLINE_STEPS)))
    path = args.out / "results.jsonl"
    results = run_trials(trials, rows, headline, args.data, results, path, classifier)
    summary = summarize(results, list(rows), [" -> ".join(pair) for pair in MAIN_PAIRS], headline)
    write_atomically(args.out / "summary.json", json.dumps(summary, indent=1))
    write_atomically(args.out / "summary.md", write_markdown(summary))
    draw_confusion(np.array(summary["confusion"])).savefig(args.out / "confusion.png", dpi=100)
    panels = draw_panels(trials, rows[headline], args.data, pipeline.mel)
    draw_contact_sheet(panels).savefig(args.out / "contact_sheet.png", dpi=100)
    return write_markdown(summary)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="folder of the pipeline")
    parser.add_argument("--data", type=Path, required=True, help="data set with the trials and the training clips")
    parser.add_argument("--classifier", type=Path, default=SHIPPED_CLASSIFIER, help="its folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--pairs-main", type=int, default=60, help="clips of each main direction")
    parser.add_argument("--pairs-other", type=int, default=6, help="clips of each other pair of instruments")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 10, 20, 50], help="denoising steps")
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--limit", type=int, help="stop after that many clips, to try it out")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    try:
        pipeline = load_pipeline(str(args.model))
        pipeline.set_progress_bar_config(disable=True)
        classifier = InstrumentClassifier.from_pretrained(args.classifier)
        pipeline.mel.require_same(classifier.mel, "the classifier")
        print(evaluate(pipeline, classifier, args))
    except (AudioError, CheckpointError, ManifestError, TrialError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
