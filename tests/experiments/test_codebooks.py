"""Comparison of codebooks: its runs, sizes on tiny patches, and the page."""

import argparse
import json
from pathlib import Path

import pytest

from stylediff.mel import MelConfig
from tests.helpers.commands import command, jobs_run_here, settings_from
from tests.helpers.patches import write_pictures, write_sounds
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.patches import read_patches
from train.experiments.codebook_report import show, table_lines, values_of
from train.experiments.codebooks import (
    BOUND,
    MAIN,
    METHODS,
    Variant,
    build_job,
    choose_steps,
    list_variants,
)
from train.trainers.settings import VqvaeSettings
from train.trainers.vqvae import build_model

main = command("codebooks")
MEL = MelConfig()


def arguments(**changes: object) -> argparse.Namespace:
    plain = {"sizes": [16], "compared": [16], "seeds": [0], "batch_size": 8, "width": 8, "residual_width": 4}
    return argparse.Namespace(**(plain | {"minutes": 1.0, "steps": 0} | changes))


def test_every_seed_has_all_sizes_and_all_methods_of_the_compared_size() -> None:
    variants = list_variants([16, 64, 512], [512], [0, 1])
    assert len(variants) == len(set(variants)) == 2 * (3 + 4 + 1)
    assert {variant.seed for variant in variants[:8]} == {0}
    assert {variant.method for variant in variants} == set(METHODS)
    assert len({variant.folder for variant in variants}) == len(variants)


@pytest.mark.parametrize("method", METHODS)
def test_a_job_trains_the_model_of_its_variant(method: str, tmp_path: Path) -> None:
    size = 0 if method == "no codebook" else 16
    job = build_job(Variant(method, size, 3), tmp_path, tmp_path / "out", 7, arguments())
    settings = settings_from(VqvaeSettings, job.flags())
    assert (settings.steps, settings.seed, settings.batch_size) == (7, 3, 8)
    patches = write_pictures(tmp_path / "pictures")
    assert build_model(settings, read_patches(patches)).size == size


def test_steps_fill_the_minutes_and_are_chosen_once(tmp_path: Path) -> None:
    sets = {"pictures": read_patches(write_pictures(tmp_path / "pictures"))}
    steps = choose_steps(sets, arguments(out=tmp_path))
    timed = json.loads((tmp_path / "steps.json").read_text())["seconds_per_step"]["pictures"]
    spent = steps * sum(timed[str(variant.size)] for variant in list_variants([16], [16], [0]))
    assert spent == pytest.approx(45, rel=0.2)
    assert choose_steps(sets, arguments(out=tmp_path, minutes=100.0)) == steps


def test_tables_have_means_and_deviations_over_seeds() -> None:
    found = [
        {"method": "FSQ", "size": 512, "relative_error": error, "size_bits": 9.0, "steps": 1} for error in (0.1, 0.2)
    ]
    lines = table_lines(found, [{"method": "mean of all values", "relative_error": 1.0}], 3072)
    assert lines[2] == "| mean of all values |  | 1 | 1.0000 |  |"
    assert lines[3] == "| FSQ | 512 | 2 | 0.1500 ± 0.0707 | 0.1875 ± 0.0000 |"
    assert show(values_of(found[:1], "size_bits", 1024), 3) == "0.562"


@pytest.mark.slow
def test_the_study_runs_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, cache = write_sounds(tmp_path / "sounds")
    mels = tmp_path / "mel"
    flags = ["--cache", str(cache), "--data", str(data), "--out", str(mels), "--patches", "80"]
    assert command("mel-patches")(flags) == 0
    monkeypatch.setattr("train.experiments.codebooks.load_model", lambda folder: tiny_pipeline())
    monkeypatch.setattr("train.experiments.codebooks.METHODS", {name: METHODS[name] for name in (MAIN, BOUND)})
    jobs_run_here(monkeypatch)
    flags = ["--patches", str(write_pictures(tmp_path / "rgb")), str(mels), "--out", str(tmp_path / "study")]
    flags += ["--sizes", "16", "--compared", "16", "--seeds", "0", "--steps", "2", "--batch-size", "8"]
    flags += ["--width", "8", "--residual-width", "4", "--prior-steps", "2", "--cache", str(cache), "--clips", "2"]
    assert main(flags) == 0
    page = (tmp_path / "study" / "codebooks.md").read_text()
    for picture in ("rgb.png", "rgb_patches.png", "mel_patches.png"):
        assert (tmp_path / "study" / picture).stat().st_size > 10_000
        assert f"]({picture})" in page
    found = json.loads((tmp_path / "study" / "codebooks.json").read_text())["found"]
    assert [len(rows) for rows in found.values()] == [2, 2]
    for row in found["mel"]:
        assert 0 <= row["frame_f"] <= 1
        assert row["steps"] == 2
        assert row["method"] == "no codebook" or 0 < row["prior_bits"] < 8
    assert all(0 < row["ssim"] < 1 for row in found["rgb"])
    capsys.readouterr()
    assert main(flags) == 0
    assert capsys.readouterr().out.count("== 1/1 vqvae: done") == 4
    assert (tmp_path / "study" / "codebooks.md").read_text() == page
    assert main([*flags, "--width", "16"]) == 2
    assert "was started with width=" in capsys.readouterr().err


def test_missing_patches_are_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--patches", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: no patches in")
