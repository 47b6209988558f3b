"""Measures of repaired gaps, on sounds whose result is known."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from stylediff import Inpainter, StyleTransferPipeline
from stylediff.inpainter import extend_unet
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.__main__ import COMMANDS
from train.data.damaged_clips import make_noise
from train.experiments.denoise import CODED, HUM_HZ, NOISES, SNRS_DB, snr_db
from train.experiments.repair import RATE, choose_renders, copy_similar, edge_steps, gap_distance, place_gaps

RNG = np.random.default_rng(0)
MUSIC = np.concatenate(
    [0.2 * np.sin(2 * np.pi * hz * np.arange(RATE // 2) / RATE) for hz in (440, 550, 660, 495, 330, 440)] * 6
)
MUSIC += 1e-4 * RNG.standard_normal(len(MUSIC))


@pytest.mark.parametrize("milliseconds", [10, 300, 2000])
def test_gaps_lie_apart_and_inside(milliseconds):
    gaps = place_gaps(len(MUSIC), milliseconds)
    assert len(gaps) == 4
    edges = [edge for gap in gaps for edge in gap]
    assert edges == sorted(edges)
    assert all(last - first == round(milliseconds * RATE / 1000) for first, last in gaps)
    assert edges[0] > 0.5 * RATE
    assert edges[-1] < len(MUSIC) - 0.5 * RATE


def test_distance_and_step_are_nothing_for_the_clip_itself_and_large_for_silence():
    gaps = place_gaps(len(MUSIC), 100)
    silent = MUSIC.copy()
    for gap in gaps:
        silent[slice(*gap)] = 0
    assert gap_distance(MUSIC, MUSIC, gaps) == 0
    assert edge_steps(MUSIC, MUSIC, gaps).max() == 0
    assert gap_distance(MUSIC, silent, gaps) > 10
    assert edge_steps(MUSIC, silent, gaps).max() > 20


def test_music_that_repeats_is_copied():
    whole = torch.from_numpy(MUSIC).float()
    gap = (4 * RATE, 4 * RATE + 5000)
    damaged = whole.clone()
    damaged[slice(*gap)] = 0
    assert gap_distance(MUSIC, copy_similar(damaged, gap).numpy(), [gap]) < 10


def test_renders_are_of_the_unseen_soundfont_and_of_the_test_split(tmp_path):
    write_dataset(tmp_path)
    cases = choose_renders(tmp_path, 2, [100, 200])
    assert [(Path(case.path).name, case.milliseconds) for case in cases[:2]] == [
        ("0_0_source.flac", 100),
        ("0_0_source.flac", 200),
    ]
    assert len(cases) == 2 * 2 * 2  # lengths, clips, and those of four instruments that the data set has


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_unit_power(kind):
    noises = [make_noise(kind, length, np.random.default_rng(0), HUM_HZ) for length in (2 * RATE, len(MUSIC))]
    assert (noises[0] ** 2).mean() == pytest.approx(1)
    noisy = MUSIC + 0.1 * np.sqrt((MUSIC**2).mean()) * noises[1]
    assert snr_db(MUSIC, noisy) == pytest.approx(20, abs=0.1)


@pytest.mark.slow
def test_the_commands_write_their_pages(tmp_path, monkeypatch):
    monkeypatch.setattr("train.experiments.denoise.SNRS_DB", SNRS_DB[1:2])
    monkeypatch.setattr("train.experiments.denoise.NOISES", NOISES[2:])
    monkeypatch.setattr("train.experiments.denoise.CODED", CODED[:1])
    monkeypatch.setattr("train.experiments.repair.GAPS_A_CLIP", 1)
    pipeline = tiny_pipeline()
    unet = extend_unet(pipeline.unet, pipeline.autoencoder.frame_stride)
    unet.save_pretrained(tmp_path / "inpainter")
    parts = {"inpainter": Inpainter.between(pipeline.unet, unet)}
    StyleTransferPipeline(**pipeline.components | parts).save_pretrained(tmp_path / "model")
    (tmp_path / "recordings" / "flute").mkdir(parents=True)
    file = tmp_path / "recordings" / "flute" / "fsd_145431_35e97db3.wav"  # held out
    soundfile.write(file, MUSIC[: 5 * RATE], RATE)
    common = ["--recordings", str(tmp_path / "recordings"), "--out", str(tmp_path / "out"), "--clips", "1"]
    common += ["--model", str(tmp_path / "model")]
    options = ["--gaps", "20", "750", "--workers", "1"]
    options += ["--inpainter", str(tmp_path / "inpainter")]
    assert COMMANDS["repair"].run([*common, *options]) == 0
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cases").iterdir()}
    assert COMMANDS["repair"].run([*common, *options]) == 0
    assert done == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cases").iterdir()}
    assert len(done) == 2
    assert COMMANDS["denoise"].run(common) == 0
    gaps = json.loads((tmp_path / "out" / "repair.json").read_text())["gaps"]
    assert {one["gap_ms"] for one in gaps} == {20, 750}
    assert {one["origin"] for one in gaps} == {"held-out recordings"}
    page = (tmp_path / "out" / "repair.md").read_text()
    assert "**Gaps of 750 ms**" in page
    assert "| ours by another U-Net that is given a mask |" in page
    assert "| ours by the denoiser, which knows no mask (RePaint) |" in page
    noises = json.loads((tmp_path / "out" / "denoise.json").read_text())["noises"]
    assert len(noises) == len(NOISES[2:])
    assert "| mp3, 16 kbit/s |" in (tmp_path / "out" / "denoise.md").read_text()
