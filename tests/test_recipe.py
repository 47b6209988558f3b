"""Recipes: stages, arguments, resumption, and a run of the small recipe."""

import json
import tomllib
from pathlib import Path

import pytest
import torch

from stylediff.checkpoint import load_pipeline
from tests.helpers.commands import jobs_run_here
from train.__main__ import COMMANDS
from train.common.job_chain import Job
from train.data.waveforms import read_clips
from train.recipe import COMMAND, RECIPE, Recipe, RecipeError, Stage, build_jobs, fill_in, main, read_recipe, read_stage

SMALL = RECIPE.with_name("recipe_small.toml")
STAGE = {"name": "mels", "does": "Computes.", "command": "cache-mels", "paths": {"data": "dataset", "out": "mels"}}
STAGE |= {"result": "mels/finished"}


def arguments(scores: Path, soundfonts: tuple[Path, ...], out: Path) -> list[str]:
    pure, rich, unseen = map(str, soundfonts)
    flags = ["--midi", str(scores), "--soundfont", pure, rich, "--test-soundfont", unseen, "--out", str(out)]
    return [*flags, "--clips", "14", "--test-excerpts", "2"]


def jobs_of(*flags: str, config: Path = RECIPE) -> dict[str, Job]:
    """Jobs of a recipe by stage."""
    recipe = read_recipe(config)
    words = ["--midi", "scores", "--soundfont", "A.sf2", "--test-soundfont", "B.sf2", "--out", "run"]
    args = COMMAND.parse([*words, "--config", str(config), *flags])
    fill_in(args, recipe.defaults)
    return {job.name: job for job in build_jobs(recipe, args)}


@pytest.mark.parametrize("config", [RECIPE, SMALL], ids=lambda path: path.stem)
def test_every_stage_reads_outputs_of_earlier_stages(config: Path) -> None:
    made: set[str] = set()
    for stage in read_recipe(config).stages:
        read = {path.split("/")[0] for argument, path in stage.paths.items() if argument != "out"}
        assert read <= made, stage.name
        made.add(stage.result.split("/")[0])
    assert "model" in made
    assert jobs_of(config=config)["pipeline"].result == Path("run/model/model_index.json")


def test_settings_become_flags_and_the_seed_reaches_every_trainer() -> None:
    jobs = jobs_of("--seed", "3")
    decoder = jobs["autoencoder, decoder"]
    args = COMMANDS[decoder.command].parse(decoder.flags())
    assert (args.decoder_only, args.steps, args.learning_rate, args.seed) == (True, 2000, 6e-4, 3)
    assert (args.initial, args.out) == ("run/autoencoder", Path("run/decoder"))
    assert {job.settings.get("seed") for job in jobs.values() if job.is_trainer} == {3}
    data = COMMANDS["render-dataset"].parse(jobs["data set"].flags())
    assert (data.clips, data.test_excerpts, data.soundfont) == (49000, 140, ["A.sf2"])
    batches = (1024, 1) if torch.cuda.is_available() else (64, 16)
    long = jobs["denoiser, at length"].settings
    assert (long["batch_size"], long["accumulation"]) == batches


def test_a_budget_is_shared_and_without_one_there_are_steps() -> None:
    jobs = jobs_of("--minutes", "100")
    assert sum(job.minutes for job in jobs.values()) == pytest.approx(100)
    assert jobs["autoencoder"].flags()[-2:] == ["--budget-minutes", "8.0"]
    assert jobs["mels"].minutes == 0
    assert not any("--budget-minutes" in job.flags() for job in jobs_of().values())
    assert sum(job.minutes for job in jobs_of(config=SMALL).values()) == pytest.approx(3)


@pytest.mark.parametrize(
    ("flags", "clips", "excerpts"),
    [([], 49000, 140), (["--clips", "300"], 300, 15), (["--clips", "5"], 5, 1), (["--test-excerpts", "7"], 49000, 7)],
)
def test_few_clips_get_few_test_excerpts(flags: list[str], clips: int, excerpts: int) -> None:
    settings = jobs_of(*flags)["data set"].settings
    assert (settings["clips"], settings["test_excerpts"]) == (clips, excerpts)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"stepz": 1}, "unknown key 'stepz'"),
        ({"trainer": "vocoder"}, "either a trainer or a command"),
        ({"command": "cache-mel"}, "no command 'cache-mel'"),
        ({"paths": {"data": "data", "out": "mels"}}, "reads 'data', which no earlier stage makes"),
    ],
)
def test_an_invalid_stage_is_refused_with_its_name(change: dict, sentence: str) -> None:
    assert read_stage(STAGE, ["dataset"]) == Stage(**STAGE)
    with pytest.raises(RecipeError, match=f"stage 'mels'.*{sentence}"):
        read_stage(STAGE | change, ["dataset"])


def test_an_invalid_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    with pytest.raises(RecipeError, match=r"own\.toml"):
        read_recipe(path)
    path.write_text("[defaults\n")
    with pytest.raises(RecipeError, match=r"own\.toml"):
        read_recipe(path)
    path.write_text(SMALL.read_text().replace("budget_share = 0.25", "budget_share = 0.5"))
    with pytest.raises(RecipeError, match=r"own\.toml: the budget shares .* not 1.25"):
        read_recipe(path)
    defaults = tomllib.loads(SMALL.read_text())["defaults"]
    stage = Stage(**STAGE | {"settings": {"wrong": 1}})
    args = COMMAND.parse(["--midi", "a", "--soundfont", "b", "--test-soundfont", "c", "--out", "d"])
    fill_in(args, defaults)
    with pytest.raises(RecipeError, match="stage 'mels' has settings that `cache-mels` does not take"):
        build_jobs(Recipe((stage,), defaults), args)


@pytest.mark.slow
def test_finished_stages_are_skipped_and_a_failing_one_is_named(
    tmp_path: Path,
    scores: Path,
    soundfonts: tuple[Path, ...],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs_run_here(monkeypatch)
    flags = arguments(scores, soundfonts, tmp_path / "run")
    broken = [flag if flag != str(scores) else str(tmp_path / "nothing") for flag in flags]
    assert main(broken) == 2
    shown = capfd.readouterr()
    assert "== 1/17 data set. Renders" in shown.out
    assert "no such folder of MIDI files" in shown.err
    assert "stage 'data set' failed (see above). Fix the problem and rerun the same command to resume." in shown.err
    assert main([*flags[:-4], "--clips", "0", "--test-excerpts", "2"]) == 2  # nothing is made yet
    (tmp_path / "run" / "settings.json").unlink()
    recipe = read_recipe(RECIPE)
    (tmp_path / "run" / "finished.json").write_text(json.dumps({stage.name: 1.0 for stage in recipe.stages}))
    for stage in recipe.stages:
        path = tmp_path / "run" / stage.result
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert main(flags) == 0
    assert capfd.readouterr().out.count(": done") == 17
    assert main([*flags, "--seed", "1"]) == 2
    assert "was started with seed=0, not 1: use another folder" in capfd.readouterr().err


@pytest.mark.slow
def test_the_small_recipe_makes_a_pipeline_that_converts(
    tmp_path: Path, scores: Path, soundfonts: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two clips are enough to validate a vocoder of three seconds.
    monkeypatch.setattr(
        "train.trainers.vocoder.read_clips", lambda cache, rows, folder: read_clips(cache, rows[:2], folder)
    )
    recipe = read_recipe(SMALL)
    more = ["--clips", "64", "--minutes", "0.05"]  # enough for every instrument to be in the training split
    args = COMMAND.parse([*arguments(scores, soundfonts, tmp_path), *more])
    fill_in(args, recipe.defaults)
    for job in build_jobs(recipe, args):
        assert COMMANDS[job.command].run(job.flags()) == 0, job.name
        assert job.result.is_file(), job.name
    pipeline = load_pipeline(str(tmp_path / "model"))
    pipeline.set_progress_bar_config(disable=True)
    sound = pipeline(0.1 * torch.randn(40_000), 22050, target="violin", num_inference_steps=1).audio
    assert sound.shape == (40_000,)
    assert bool(torch.isfinite(sound).all())
