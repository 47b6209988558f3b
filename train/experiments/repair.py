"""How well are gaps filled?

python -m train repair --recordings FOLDER --out DIR

Rerun an interrupted run to resume it.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import librosa
import numpy as np
import torch
from diffusers import UNet2DConditionModel
from tqdm import tqdm

from stylediff.audio import loudness_gain
from stylediff.damage import Damage
from stylediff.gap_blending import Edges
from stylediff.gap_filling import (
    LONGEST_SIMILAR_S,
    Sampling,
    choose_window,
    find_similar,
    gap_frames,
    predict_gap,
    refine_gap,
)
from stylediff.linear_prediction import interpolate, predict_both_sides
from stylediff.mel import MelConfig, waveform_to_mel
from stylediff.phase_reconstruction import make_consistent
from stylediff.pipeline import StyleTransferPipeline
from stylediff.repair import GAP, RECOGNISED, RepairSettings, repair, style_of
from stylediff.transcription import FRAMES_PER_SECOND
from train.common.cli import run_command
from train.common.files import FolderError, computed_once, describe_arguments, lock_settings
from train.common.markdown import table_head, table_row, write_page
from train.common.parallel import parallel_map
from train.data.manifest import read_manifest
from train.data.notes import frame_prf, note_f1
from train.data.recordings import HELD_OUT, Recording, list_recordings, load_recording
from train.data.transcription import NoteTranscriber, Transcription
from train.evaluation.embeddings import frechet_distance
from train.evaluation.metrics import Result
from train.evaluation.musicnn import Musicnn
from train.evaluation.runner import load_model

RATE = MelConfig().sample_rate
GAPS_MS = (10, 50, 100, 200, 300, 750, 2000)
GAPS_A_CLIP = 4
CLIP_S = 16.0
MARGIN_S = 0.9  # kept between gaps and at the ends
INSTRUMENTS = ("piano", "violin", "guitar", "flute")
N_FFT, HOP = 512, 128
RECORDINGS, RENDERS = "held-out recordings", "renders of the test split"
RANGE_DB = 80.0  # below the clip's loudest bin, differences do not count
LONGEST_JANSSEN_MS = 100
SHORTEST_HEARD_MS, SHORTEST_TAGGED_MS = 100, 750  # gaps in which notes and features are compared
EDGE_S, EDGE_DB = 0.005, 1.5
SYSTEMS = {
    "repaired": "ours",
    "imposed": "ours by the denoiser, which knows no mask (RePaint)",
    "masked": "ours by another U-Net that is given a mask",
    "guide": "ours without the diffusion",
    "predicted": "linear prediction from both sides",
    "janssen": "Janssen's method",
    "copied": "most similar other moment",
    "silence": "silence",
    "codec": "autoencoder and phases, with the true sound (a bound)",
}
NOTES = """\
Clips at 22,050 Hz: recordings of 16 s, renders of 5 s in a soundfont that was not trained on. Each has up to four gaps
(longer ones do not fit into a render so often). LSD is the log-spectral distance inside the gap in decibels
(512 samples, steps of 128; bins 80 dB below the clip's loudest count as equal). Frame F and note F1 compare
basic-pitch's transcriptions of the repaired and the whole clip, frames inside the gap and notes that begin in it or up
to 50 ms after. Edge is the largest difference of the levels of two neighbouring windows of 5 ms at an edge of a clip's
gaps, over that of the whole clip at the same place, in decibels. At rough edges it is more than 1.5 dB. Linear
prediction has the order 507 (23 ms; less for the shortest gaps) and 100 ms of context on each side, by Burg's method;
Janssen's method is the same predictor with three iterations, for gaps up to 100 ms. The most similar other moment is
chosen by the log-mel of 0.28 s on both sides. Up to 30 ms, ours is Janssen's method, up to 60 ms linear prediction
from both sides.
"""


@dataclass(frozen=True)
class GapCase:
    """A clip with gaps of one length.

    Attributes:
        origin: recordings or renders.
    """

    origin: str
    name: str
    path: Path
    start_s: float
    milliseconds: int

    @property
    def file_name(self) -> str:
        """Name of the file with its results."""
        return f"{self.name.replace('/', '_')}_{self.milliseconds}.json"


def choose_renders(folder: Path, clips: int, lengths: list[int]) -> list[GapCase]:
    """Choose clips of the test split in an unseen soundfont.

    Every length of gaps is tried on each.
    """
    cases = []
    groups = [group for group in read_manifest(folder) if group.split == "test"]
    for instrument in INSTRUMENTS:
        played = [
            clip for group in groups for clip in group.clips if (clip.role, clip.instrument) == ("source", instrument)
        ]
        cases += [GapCase(RENDERS, one.file, folder / one.file, 0.0, ms) for one in played[:clips] for ms in lengths]
    return cases


def longest_recordings(folder: Path, clips: int) -> dict[Recording, float]:
    """Choose the longest held-out recordings of each instrument.

    Returns the second at which the clip of each begins.
    """
    starts = {}
    for instrument in INSTRUMENTS:
        held_out = [one for one in list_recordings(folder) if one.split == HELD_OUT and one.instrument == instrument]
        lengths_s = {one: librosa.get_duration(path=one.path) for one in held_out}
        for one in sorted(held_out, key=lambda one: -lengths_s[one])[:clips]:
            starts[one] = min(5.0, max(0.0, lengths_s[one] - CLIP_S))
    return starts


def choose_cases(folder: Path, clips: int, lengths: list[int]) -> list[GapCase]:
    """Choose held-out recordings, and every length of gaps for each."""
    starts = longest_recordings(folder, clips)
    return [GapCase(RECORDINGS, one.name, one.path, start, ms) for one, start in starts.items() for ms in lengths]


def place_gaps(samples: int, milliseconds: int) -> list[Edges]:
    """Return evenly spread gaps, as many as fit, at most four."""
    length, margin = round(milliseconds * RATE / 1000), round(MARGIN_S * RATE)
    count = max(1, min(GAPS_A_CLIP, (samples - margin) // (length + margin)))
    room = (samples - count * length) / (count + 1)
    return [(round(room * (n + 1)) + n * length, round(room * (n + 1)) + (n + 1) * length) for n in range(count)]


def copy_similar(waveform: torch.Tensor, gap: Edges) -> torch.Tensor:
    """Fill a gap with the moment whose surroundings resemble its own most."""
    config, filled = MelConfig(), waveform.clone()
    shift, _ = find_similar(waveform_to_mel(waveform[None], config)[0, 0], gap_frames(gap, config))
    first = gap[0] + shift * config.hop_length
    if shift and first >= 0 and first + gap[1] - gap[0] <= len(waveform):
        filled[slice(*gap)] = waveform[first : first + gap[1] - gap[0]]
    return filled


def decode_truth(
    pipeline: StyleTransferPipeline, whole: torch.Tensor, filled: torch.Tensor, gap: Edges
) -> torch.Tensor:
    """Fill a gap with the true sound after autoencoder, vocoder and phases."""
    config = pipeline.mel
    mel, place = waveform_to_mel(whole[None], config), gap_frames(gap, config)
    window = choose_window(mel.shape[-1], place)
    with torch.no_grad():
        decoded = pipeline.decode_latents(pipeline.encode_mel(mel[..., window]), window.stop - window.start)
        inner = slice(place.start - window.start, place.stop - window.start)
        magnitude = pipeline.vocoder.predict_magnitudes(decoded)[..., inner]
        made = filled.clone()
        made[slice(*gap)] = make_consistent(filled, gap, place, magnitude, config)
    return made


def fill(
    pipeline: StyleTransferPipeline,
    whole: torch.Tensor,
    gaps: list[Edges],
    milliseconds: int,
    inpainter: UNet2DConditionModel | None = None,
) -> dict[str, torch.Tensor]:
    """Fill the gaps of a clip by every system, each (samples,)."""
    damaged = whole.clone()
    for gap in gaps:
        damaged[slice(*gap)] = 0
    tokens = style_of(pipeline, damaged, RATE, RECOGNISED)

    def each(start: torch.Tensor, function: Callable[[torch.Tensor, Edges], torch.Tensor]) -> torch.Tensor:
        made = start.clone()
        for gap in gaps:
            made[slice(*gap)] = function(made, gap)[slice(*gap)]
        return made

    def predict(method: Callable[..., np.ndarray]) -> Callable[[torch.Tensor, Edges], torch.Tensor]:
        def filled(waveform: torch.Tensor, gap: Edges) -> torch.Tensor:
            made = waveform.clone()
            made[slice(*gap)] = torch.from_numpy(method(waveform.double().numpy(), *gap, RATE)).float()
            return made

        return filled

    def refine(waveform: torch.Tensor, gap: Edges, sampling: Sampling) -> torch.Tensor:
        return refine_gap(pipeline, waveform[None], RATE, gap, tokens, sampling, generator)[0]

    base = each(damaged, lambda x, gap: torch.from_numpy(predict_gap(x.numpy(), gap, RATE)).float())
    parts = [Damage(first / RATE, last / RATE, GAP) for first, last in gaps]
    settings, generator = RepairSettings(), torch.Generator().manual_seed(0)
    guide = Sampling(settings.steps, settings.temperature, is_diffused=False)
    masked = replace(guide, is_diffused=True, similar_s=LONGEST_SIMILAR_S, unet=inpainter)
    found = {
        "repaired": repair(pipeline, damaged, RATE, parts, settings).audio,
        "predicted": each(damaged, predict(predict_both_sides)),
        "copied": each(damaged, copy_similar),
        "silence": damaged,
    }
    if milliseconds <= LONGEST_JANSSEN_MS:
        found["janssen"] = each(damaged, predict(interpolate))
    if tokens is not None and milliseconds >= SHORTEST_HEARD_MS:
        found["guide"] = each(base, lambda x, gap: refine(x, gap, guide))
        if pipeline.inpainter is not None:
            imposed = replace(guide, is_diffused=True)
            found["imposed"] = each(base, lambda x, gap: refine(x, gap, imposed))
        if inpainter is not None:
            found["masked"] = each(base, lambda x, gap: refine(x, gap, masked))
        found["codec"] = each(base, lambda x, gap: decode_truth(pipeline, whole, x, gap))
    return found


def gap_distance(whole: np.ndarray, made: np.ndarray, gaps: list[Edges]) -> float:
    """Log-spectral distance inside gaps, decibels."""
    powers = [np.abs(librosa.stft(one, n_fft=N_FFT, hop_length=HOP)) ** 2 for one in (whole, made)]
    floor = powers[0].max() * 10 ** (-RANGE_DB / 10)
    logs = [10 * np.log10(np.maximum(power, floor)) for power in powers]
    centres = np.arange(powers[0].shape[1]) * HOP
    inside = np.any([(centres >= first) & (centres < last) for first, last in gaps], axis=0)
    return float(np.sqrt(((logs[0] - logs[1])[:, inside] ** 2).mean(0)).mean())


def edge_steps(whole: np.ndarray, made: np.ndarray, gaps: list[Edges]) -> np.ndarray:
    """Added step of level at each edge, decibels."""
    length = round(EDGE_S * RATE)

    def step(waveform: np.ndarray, edge: int) -> float:
        sides = [waveform[edge - length : edge], waveform[edge : edge + length]]
        levels = [10 * np.log10((side**2).mean() + 1e-7) for side in sides]
        return abs(levels[1] - levels[0])

    return np.array([max(0.0, float(step(made, edge) - step(whole, edge))) for gap in gaps for edge in gap])


@lru_cache(maxsize=1)
def load_inpainter(folder: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32).eval()


@lru_cache(maxsize=1)
def load_transcriber() -> NoteTranscriber:
    return NoteTranscriber()


@lru_cache(maxsize=1)
def load_tagger() -> Musicnn:
    return Musicnn()


def note_scores(true: Transcription, made: torch.Tensor, gaps: list[Edges]) -> Result:
    """Agreement of transcriptions inside gaps; None where the clip has no note."""
    heard = load_transcriber().transcribe(made)
    frames = np.arange(len(true.roll)) / FRAMES_PER_SECOND * RATE
    inside = np.any([(frames >= first) & (frames < last) for first, last in gaps], axis=0)

    def begins_inside(times: np.ndarray) -> np.ndarray:
        return np.any([(times * RATE >= a - 0.02 * RATE) & (times * RATE < b + 0.05 * RATE) for a, b in gaps], axis=0)

    notes = tuple(note for note in true.notes if begins_inside(np.array([note.start]))[0])
    kept = begins_inside(heard.intervals[:, 0]) if len(heard.intervals) else np.zeros(0, bool)
    return {
        "frame_f": frame_prf(heard.roll[inside], true.roll[inside])[2] if true.roll[inside].any() else None,
        "note_f1": note_f1(notes, heard.intervals[kept], heard.pitches[kept], 0.05) if notes else None,
    }


def measure_once(case: GapCase, model: Path, inpainter: Path | None, folder: Path) -> list[Result]:
    """Measure a case, or read what an interrupted run found."""
    return computed_once(folder / case.file_name, lambda: measure(case, model, inpainter))


def measure(case: GapCase, model: Path, inpainter: Path | None) -> list[Result]:
    """Measure every system on one clip with gaps of one length."""
    waveform = load_recording(case.path, RATE)
    first = round(case.start_s * RATE)
    whole = waveform[first : first + round(CLIP_S * RATE)]
    whole = whole * loudness_gain(whole)
    gaps = place_gaps(len(whole), case.milliseconds)
    true = load_transcriber().transcribe(whole) if case.milliseconds >= SHORTEST_HEARD_MS else None
    true_features = load_tagger()(whole, RATE).features.tolist() if case.milliseconds >= SHORTEST_TAGGED_MS else None
    results = []
    unet = None if inpainter is None else load_inpainter(inpainter)
    for name, made in fill(load_model(model), whole, gaps, case.milliseconds, unet).items():
        result: Result = {
            "origin": case.origin,
            "clip": case.name,
            "gap_ms": case.milliseconds,
            "gaps": len(gaps),
            "system": name,
        }
        result["lsd"] = gap_distance(whole.numpy(), made.numpy(), gaps)
        steps = edge_steps(whole.numpy(), made.numpy(), gaps)
        result["edge_db"], result["rough_edges"] = float(steps.max()), int((steps > EDGE_DB).sum())
        result |= {} if true is None else note_scores(true, made, gaps)
        if true_features is not None:
            result["features"], result["true_features"] = load_tagger()(made, RATE).features.tolist(), true_features
        results.append(result)
    return results


def mean_of(results: list[Result], column: str) -> str:
    """Mean of a column over results that have it, as text."""
    values = [result[column] for result in results if result.get(column) is not None]
    return f"{np.mean(values):.2f}" if values else ""


def write_markdown(gaps: list[Result], seconds: float) -> str:
    """Write a table for each origin and each length of gaps."""
    lines = ["# Repair of gaps", "", NOTES]
    for origin in dict.fromkeys(one["origin"] for one in gaps):
        of_origin = [one for one in gaps if one["origin"] == origin]
        lines += [f"## {len({one['clip'] for one in of_origin})} {origin}", ""]
        for milliseconds in sorted({one["gap_ms"] for one in of_origin}):
            found = [one for one in of_origin if one["gap_ms"] == milliseconds]
            lines += [f"**Gaps of {milliseconds} ms**", "", *write_table(found), ""]
    lines.append(f"A clip of 30 s with four gaps of 300 ms takes {seconds:.1f} s of one core.")
    return "\n".join([*lines, ""])


def write_table(results: list[Result]) -> list[str]:
    """Write means over clips, a row for each system."""
    lines = table_head(["system", "LSD, dB ↓", "frame F", "note F1", "edge, dB ↓", "rough edges", "Fréchet distance ↓"])
    for name, meaning in SYSTEMS.items():
        if found := [one for one in results if one["system"] == name]:
            cells = [mean_of(found, column) for column in ("lsd", "frame_f", "note_f1", "edge_db")]
            edges, rough = 2 * sum(one["gaps"] for one in found), sum(one["rough_edges"] for one in found)
            lines.append(table_row([meaning, *cells, f"{rough} of {edges}", frechet(found)]))
    return lines


def frechet(results: list[Result]) -> str:
    """Fréchet distance of musicnn's features to the whole clips', as text."""
    if not results or "features" not in results[0]:
        return ""
    ours, theirs = (np.concatenate([one[key] for one in results]) for key in ("features", "true_features"))
    return f"{frechet_distance(ours, theirs):.3f}"


def time_repair(model: Path, path: Path) -> float:
    """Time a clip of 30 s with four gaps, on one core."""
    waveform = load_recording(path, RATE)
    clip = waveform.repeat(1 + 30 * RATE // len(waveform))[: 30 * RATE]
    gaps = [Damage(start, start + 0.3, GAP) for start in (4.0, 11.0, 18.0, 25.0)]
    pipeline = load_model(model)
    started = time.process_time()
    repair(pipeline, clip, RATE, gaps)
    return time.process_time() - started


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        cases = choose_cases(args.recordings, args.clips, args.gaps)
        if args.data is not None:
            cases += choose_renders(args.data, args.clips, args.gaps)
        lock_settings(args.out, describe_arguments(args, ("recordings", "data", "model", "inpainter")))
        (args.out / "cases").mkdir(exist_ok=True)
        task = partial(measure_once, model=args.model, inpainter=args.inpainter, folder=args.out / "cases")
        found = tqdm(parallel_map(task, cases, args.workers), total=len(cases))
        gaps = [result for case in found for result in case]
        seconds = time_repair(args.model, cases[0].path)
        slim = [{name: value for name, value in one.items() if "features" not in name} for one in gaps]
        write_page(args.out, "repair", {"gaps": slim, "seconds": seconds}, write_markdown(gaps, seconds))

    return run_command(work, FolderError, ValueError, OSError)
