"""Outputs of an evaluation worth a look and a listen: which ones, as pictures and as sound."""

import shutil
from pathlib import Path

import numpy as np
import soundfile

from stylediff.mel import MelConfig
from stylediff.plotting import mels_to_image
from train.assessment import Result
from train.rows import IDENTITY, TRUE_TARGET
from train.scoring import Scoring, audio_path
from train.trials import MAIN_PAIRS, Trial
from train.waveforms import levelled_mel, load_waveform

SHEET_PANELS = 12
EXTREMES = 3


def choose_panels(trials: list[Trial]) -> list[Trial]:
    """Trials of twelve directions, the main ones among them; the first of each, not the best."""
    pairs = {trial.pair: trial for trial in reversed(trials)}
    others = [trial for pair, trial in sorted(pairs.items()) if pair not in MAIN_PAIRS]
    chosen = [pairs[pair] for pair in MAIN_PAIRS if pair in pairs]
    chosen += others[:: max(1, len(others) // (SHEET_PANELS - len(chosen)))]
    return chosen[:SHEET_PANELS]


def choose_extremes(trials: list[Trial], results: list[Result], headline: str) -> tuple[list[Trial], list[Trial]]:
    """The three trials with the smallest and the three with the largest log-mel error against doing nothing."""
    errors = {(result["trial"], result["row"]): result["log_mel_error"] for result in results}
    ranked = sorted(trials, key=lambda t: errors[t.key, headline] / max(errors[t.key, IDENTITY], 1e-9))
    few = min(EXTREMES, max(1, len(ranked) // 2))
    return ranked[:few], ranked[len(ranked) - few :][::-1]


def draw_panels(trials: list[Trial], scoring: Scoring, headline: str) -> list[tuple[str, np.ndarray]]:
    """Log-mels of source, output and target above each other, with a title, for each trial."""
    panels = []
    for trial in trials:
        waveforms = [load_waveform(audio_path(scoring, trial, row)) for row in (IDENTITY, headline, TRUE_TARGET)]
        mels = [levelled_mel(waveform, MelConfig())[0, 0] for waveform in waveforms]
        panels.append((" → ".join(trial.pair) + ": source, output, target", mels_to_image(mels, MelConfig())))
    return panels


def copy_extremes(best: list[Trial], worst: list[Trial], scoring: Scoring, headline: str, out: Path) -> None:
    """Source, output and target of each trial as Ogg Vorbis in ``out``, in place of what was there."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for kind, trials in {"best": best, "worst": worst}.items():
        for number, trial in enumerate(trials, 1):
            for name, row in {"source": IDENTITY, "output": headline, "target": TRUE_TARGET}.items():
                samples = load_waveform(audio_path(scoring, trial, row)).numpy()
                file = out / f"{kind}_{number}_{'_to_'.join(trial.pair)}_{name}.ogg"
                soundfile.write(file, samples, MelConfig().sample_rate)
