"""How many notes survive a transfer of an imperfect source?

python -m train robustness --data DATASET --out DIR
"""

import argparse
import io
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import torch
from tqdm import tqdm

from stylediff import StyleTransferPipeline
from stylediff.audio import fit_length, resample, to_mono
from stylediff.notes import Note
from train.common.cli import run_command
from train.common.markdown import write_page
from train.common.parallel import parallel_map
from train.data.augmentation import add_reverb
from train.data.manifest import read_manifest
from train.data.notes import frame_prf, score_roll
from train.data.transcription import NoteTranscriber
from train.evaluation.cases import CaseAudio, EvalCase, choose_cases
from train.evaluation.metrics import Result
from train.evaluation.report import describe, format_cell
from train.evaluation.runner import load_case_audio, load_model

MP3_COMPRESSION = 0.9  # libsndfile's scale; about 40 kbit/s for one channel at 22,050 Hz


@dataclass(frozen=True)
class Recording:
    """A source as a user might record it.

    Attributes:
        waveform: (samples,) or (channels, samples).
        sample_rate: Hz.
        pace: tempo relative to the score.
    """

    waveform: torch.Tensor
    sample_rate: int
    pace: float = 1.0


# maps a clean waveform (samples,) and its sample rate to a recording
Condition = Callable[[torch.Tensor, int], Recording]


def noise_of(length: int) -> torch.Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(0))


def rms(waveform: torch.Tensor) -> float:
    return float(waveform.square().mean().sqrt())


def put_in_room(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """Add a hall of 1.2 s as a third of the sound."""
    wet = add_reverb(waveform.numpy().astype(np.float64), sample_rate, 1.2, 0.35, np.random.default_rng(0))
    return Recording(torch.from_numpy(wet).float(), sample_rate)


def put_through_telephone(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """Keep the band of a telephone, 300 to 3,400 Hz (ITU-T G.712)."""
    sections = scipy.signal.butter(4, (300, 3400), "bandpass", fs=sample_rate, output="sos")
    return Recording(torch.from_numpy(scipy.signal.sosfilt(sections, waveform.numpy())).float(), sample_rate)


def add_noise(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """Add white noise 20 dB below the clip."""
    return Recording(waveform + 0.1 * rms(waveform) * noise_of(len(waveform)), sample_rate)


def add_hum(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """Add hum of 50 Hz with odd harmonics, at -26 dB."""
    time = torch.arange(len(waveform)) / sample_rate
    hum = sum(torch.sin(2 * math.pi * 50 * n * time) / n for n in (1, 3, 5, 7))
    return Recording(waveform + 0.05 * rms(waveform) * hum / rms(torch.as_tensor(hum)), sample_rate)


def compress_as_mp3(waveform: torch.Tensor, sample_rate: int) -> Recording:
    file = io.BytesIO()
    soundfile.write(file, waveform.numpy(), sample_rate, format="MP3", compression_level=MP3_COMPRESSION)
    file.seek(0)
    samples, rate = soundfile.read(file, dtype="float32")
    return Recording(torch.from_numpy(samples), rate)


def tune_by(cents: float) -> Condition:
    """Raise the pitch by playing faster."""
    pace = 2 ** (cents / 1200)

    def tune(waveform: torch.Tensor, sample_rate: int) -> Recording:
        return Recording(resample(waveform, round(sample_rate * pace), sample_rate), sample_rate, pace)

    return tune


def resample_to(rate: int) -> Condition:
    return lambda waveform, sample_rate: Recording(resample(waveform, sample_rate, rate), rate)


def make_stereo(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """Make stereo with a later and softer right channel.

    It is delayed by 0.4 ms and lowered by 6 dB, so the source seems to be on the left.
    """
    late = torch.nn.functional.pad(waveform, (round(0.0004 * sample_rate), 0))[: len(waveform)]
    return Recording(torch.stack([waveform, 0.5 * late]), sample_rate)


def make_quiet(waveform: torch.Tensor, sample_rate: int) -> Recording:
    """Lower the level by 40 dB and quantise to 16 bits."""
    return Recording((waveform * 0.01 * 32768).round() / 32768, sample_rate)


CLEAN = "clean"
CONDITIONS: dict[str, Condition] = {
    CLEAN: Recording,
    "room": put_in_room,
    "telephone": put_through_telephone,
    "noise": add_noise,
    "hum": add_hum,
    "MP3": compress_as_mp3,
    "40 cents sharp": tune_by(40),
    "40 cents flat": tune_by(-40),
    "8 kHz": resample_to(8000),
    "96 kHz": resample_to(96000),
    "stereo": make_stereo,
    "quiet": make_quiet,
}

REQUIRED = 0.85  # share of the clean clips' frame F


@lru_cache(maxsize=1)
def load_transcriber() -> NoteTranscriber:
    return NoteTranscriber()


def run_condition(pipeline: StyleTransferPipeline, recording: Recording, audio: CaseAudio) -> torch.Tensor:
    """Run the model on a recording, (samples,) at the mel's sample rate."""
    rate = pipeline.mel.sample_rate
    generator = torch.Generator().manual_seed(audio.seed)
    result = pipeline(recording.waveform, recording.sample_rate, target=audio.instrument, generator=generator)
    mono = to_mono(result.audio.cpu(), recording.sample_rate, rate)  # a stereo recording gives a stereo result
    return fit_length(mono, len(audio.target))


def measure(case: EvalCase, model: Path, data: Path) -> list[Result]:
    """Measure frame F of a case's transfer in every condition.

    The score is played at the recording's tempo.
    """
    pipeline, transcriber, audio = load_model(model), load_transcriber(), load_case_audio(case, data)
    rate = pipeline.mel.sample_rate
    notes = case.notes_within(len(audio.target) / rate)
    results = []
    for name, hardship in CONDITIONS.items():
        recording = hardship(audio.source, rate)
        transcription = transcriber.transcribe(run_condition(pipeline, recording, audio))
        paced = tuple(Note(n.start / recording.pace, n.end / recording.pace, n.pitch, n.velocity) for n in notes)
        frame_f = frame_prf(transcription.roll, score_roll(paced, len(transcription.roll)))[2]
        results.append({"trial": case.key, "hardship": name, "frame_f": frame_f})
    return results


def write_markdown(results: list[Result]) -> str:
    """Frame F in every condition, and its share of the clean clips'."""
    values = {name: [r["frame_f"] for r in results if r["hardship"] == name] for name in CONDITIONS}
    clean = float(np.mean(values[CLEAN]))
    lines = [f"# Frame F for imperfect sources ({len(values[CLEAN])} clips)", ""]
    lines += [
        "The conditions are described in `train/experiments/robustness.py`. Brackets hold 95 % bootstrap intervals.",
        "",
    ]
    lines += ["| source | frame F | of clean |", "|---|---|---|"]
    shares = {name: float(np.mean(found)) / max(clean, 1e-9) for name, found in values.items()}
    lines += [f"| {name} | {format_cell(describe(values[name]))} | {share:.3f} |" for name, share in shares.items()]
    failed = [name for name, share in shares.items() if share < REQUIRED]
    verdict = (
        f"these keep less than {REQUIRED} of frame F: {', '.join(failed)}"
        if failed
        else f"all conditions keep at least {REQUIRED} of frame F"
    )
    return "\n".join([*lines, "", f"Relative to clean sources, {verdict}.", ""])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        cases = choose_cases(read_manifest(args.data), args.split, args.clips, args.clips)[: args.clips]
        job = partial(measure, model=args.model, data=args.data)
        results = list(tqdm(parallel_map(job, cases, args.workers), total=len(cases), unit="clip"))
        found = sorted(itertools.chain.from_iterable(results), key=itemgetter("trial", "hardship"))
        write_page(args.out, "robustness", found, write_markdown(found))

    return run_command(work, ValueError, OSError)
