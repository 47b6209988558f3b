"""How much noise is removed, and what stays of clean recordings?

    python -m train denoise --recordings FOLDER --out DIR

Recordings at low bit rates are restored as well.
"""

import argparse

import numpy as np
import torch
from tqdm import tqdm

from stylediff.audio import loudness_gain
from stylediff.pipeline import StyleTransferPipeline
from stylediff.repair import RepairSettings, repair
from train.common.cli import run_command
from train.common.markdown import table_head, table_row, write_page
from train.data.damaged_clips import make_noise, through_codec
from train.data.recordings import Recording, load_recording
from train.evaluation.metrics import Result
from train.evaluation.runner import load_model
from train.experiments.repair import (
    CLIP_S,
    RATE,
    gap_distance,
    load_transcriber,
    longest_recordings,
    mean_of,
    note_scores,
)

NOTES = """\
Noise of four kinds is added to held-out recordings. White and pink noise and hum (50 Hz and its partials) are removed
with the amount 1, crackle (eight clicks a second) by finding clicks. LSD is the log-spectral distance to the clean clip
in decibels, frame F the agreement of basic-pitch's transcriptions of both. The second table shows what is found in the
recordings as they are, at the same settings; they were made with microphones, so some hiss is theirs. Where nothing was
found, no sample changes. The last table has recordings after a codec at a low bit rate, and with what it lost filled
in, where its cutoff was found. What is filled in is made anew and has its own phases, so it cannot raise the SNR.
"""
NOISES = ("white", "pink", "hum", "crackle")
SNRS_DB = (0, 10, 20)
HUM_HZ = 50.03
CODED = ((".mp3", 16), (".mp3", 32), (".m4a", 10), (".m4a", 24), (".opus", 6))  # kbit/s


def snr_db(whole: np.ndarray, made: np.ndarray) -> float:
    return float(10 * np.log10((whole**2).mean() / max(((whole - made) ** 2).mean(), 1e-12)))


def measure_noise(recording: Recording) -> list[Result]:
    """Measure what is removed of each noise at each level."""
    whole = load_recording(recording.path, RATE)[: round(CLIP_S * RATE)]
    whole = whole * loudness_gain(whole)
    true, results = load_transcriber().transcribe(whole), []
    for kind in NOISES:
        noise = torch.from_numpy(make_noise(kind, len(whole), np.random.default_rng(0), HUM_HZ)).float()
        for level in SNRS_DB:
            noisy = whole + float(whole.square().mean().sqrt()) * 10 ** (-level / 20) * noise
            settings = RepairSettings(auto=kind == "crackle", denoise=0.0 if kind == "crackle" else 1.0)
            cleaned = repair(None, noisy, RATE, (), settings).audio
            inside = [(0, len(whole))]
            sounds = {"noisy": noisy.clamp(-1, 1), "cleaned": cleaned}
            result: Result = {"clip": recording.name, "noise": kind, "snr_db": level}
            for name, sound in sounds.items():
                result[f"{name}_snr"] = snr_db(whole.numpy(), sound.numpy())
                result[f"{name}_lsd"] = gap_distance(whole.numpy(), sound.numpy(), inside)
                result[f"{name}_frame_f"] = note_scores(true, sound, inside)["frame_f"]
            results.append(result)
    return results


def measure_coded(recording: Recording, pipeline: StyleTransferPipeline) -> list[Result]:
    """Measure what is filled in after each codec."""
    whole = load_recording(recording.path, RATE)[: round(CLIP_S * RATE)]
    whole = whole * loudness_gain(whole)
    true, results = load_transcriber().transcribe(whole), []
    inside = [(0, len(whole))]
    for ending, rate in CODED:
        coded = torch.from_numpy(through_codec(whole.double().numpy(), ending, 1000 * rate)).float()
        restored = repair(pipeline, coded, RATE, (), RepairSettings(denoise=1.0))
        is_found = restored.noise is not None and restored.noise.cutoff_hz is not None
        result: Result = {"clip": recording.name, "codec": f"{ending[1:]}, {rate} kbit/s", "found": float(is_found)}
        for name, sound in (("coded", coded), ("restored", restored.audio)):
            result[f"{name}_snr"] = snr_db(whole.numpy(), sound.numpy())
            result[f"{name}_lsd"] = gap_distance(whole.numpy(), sound.numpy(), inside)
            result[f"{name}_frame_f"] = note_scores(true, sound, inside)["frame_f"]
        results.append(result)
    return results


def measure_clean(recording: Recording) -> Result:
    """Measure what is found and changed in a recording without added noise."""
    whole = load_recording(recording.path, RATE)[: round(CLIP_S * RATE)]
    result = repair(None, whole, RATE, (), RepairSettings(auto=True, denoise=1.0))
    changed = float((result.audio != whole).float().mean())
    noise = result.noise.describe() if result.noise else ""
    seconds = sum(part.end_s - part.start_s for part in result.damages)
    found = {"parts": len(result.damages), "seconds": seconds, "noise": noise, "changed": changed}
    return {"clip": recording.name} | found


def write_markdown(noises: list[Result], clean: list[Result], coded: list[Result]) -> str:
    """Write tables of noises, of clean recordings, and of codecs."""
    lines = [f"# Removal of noise ({len({one['clip'] for one in noises})} clips)", "", NOTES]
    lines += table_head(["noise", "SNR, dB", "SNR after", "LSD before ↓", "after", "frame F before", "after"])
    columns = ("cleaned_snr", "noisy_lsd", "cleaned_lsd", "noisy_frame_f", "cleaned_frame_f")
    for kind in NOISES:
        for level in SNRS_DB:
            found = [one for one in noises if one["noise"] == kind and one["snr_db"] == level]
            lines.append(table_row([kind, level, *(mean_of(found, column) for column in columns)]))
    lines += ["", "## Recordings as they are", ""]
    lines += table_head(["recording", "damaged parts", "their seconds", "noise", "samples changed"])
    lines += [
        table_row([one["clip"], one["parts"], f"{one['seconds']:.3f}", one["noise"], f"{one['changed']:.1%}"])
        for one in clean
    ]
    lines += ["", "## Codecs", ""]
    lines += table_head(["codec", "found", "SNR, dB", "SNR after", "LSD before ↓", "after", "frame F before", "after"])
    measured = ("found", "coded_snr", "restored_snr", "coded_lsd", "restored_lsd", "coded_frame_f", "restored_frame_f")
    for codec in dict.fromkeys(one["codec"] for one in coded):
        found = [one for one in coded if one["codec"] == codec]
        lines.append(table_row([codec, *(mean_of(found, column) for column in measured)]))
    return "\n".join([*lines, ""])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        recordings = longest_recordings(args.recordings, args.clips)
        noises = [result for recording in tqdm(recordings) for result in measure_noise(recording)]
        clean = [measure_clean(recording) for recording in recordings]
        pipeline = load_model(args.model)
        coded = [result for recording in recordings for result in measure_coded(recording, pipeline)]
        results = {"noises": noises, "clean": clean, "coded": coded}
        write_page(args.out, "denoise", results, write_markdown(noises, clean, coded))

    return run_command(work, ValueError, OSError)
