import json

import pytest

from train.recipe import COMMAND, RECIPE, RecipeError, build_jobs, fill_in, main, read_recipe


def arguments(scores, soundfonts, out):
    pure, rich, unseen = map(str, soundfonts)
    flags = ["--midi", str(scores), "--soundfont", pure, rich, "--test-soundfont", unseen, "--out", str(out)]
    return [*flags, "--clips", "14", "--test-excerpts", "2"]


def jobs_of(flags):
    args, recipe = COMMAND.parse(flags), read_recipe(RECIPE)
    fill_in(args, recipe.defaults)
    return build_jobs(recipe, args)


def test_every_stage_reads_what_an_earlier_one_writes(tmp_path, scores, soundfonts):
    jobs = jobs_of(arguments(scores, soundfonts, tmp_path))
    names = [job.name for job in jobs]
    assert names.index("mels") < names.index("autoencoder") < names.index("latents") < names.index("denoiser")
    assert jobs[-1].result.is_relative_to(tmp_path / "model")
    assert all(job.result.is_relative_to(tmp_path) for job in jobs)


def test_a_budget_is_shared_out_whole(tmp_path, scores, soundfonts):
    jobs = jobs_of([*arguments(scores, soundfonts, tmp_path), "--minutes", "30"])
    assert sum(job.minutes for job in jobs) == pytest.approx(30)
    assert all("--budget-minutes" in job.flags() for job in jobs if job.minutes)
    assert sum(job.minutes for job in jobs_of(arguments(scores, soundfonts, tmp_path))) == 0


def test_few_clips_need_few_test_excerpts(tmp_path, scores, soundfonts):
    args = COMMAND.parse(arguments(scores, soundfonts, tmp_path)[:-2])
    fill_in(args, read_recipe(RECIPE).defaults)
    assert (args.clips, args.test_excerpts) == (14, 1)


STAGE = 'name = "mels"\ndoes = "d"\nresult = "mels/finished"\npaths = { out = "mels" }\nbudget_share = 1.0\n'


@pytest.mark.parametrize(
    ("stage", "complaint"),
    [
        (STAGE, "stage 'mels' must have either a trainer or a command"),
        (STAGE + 'command = "cook"\n', "stage 'mels': `python -m train` has no command 'cook'"),
        (STAGE + 'command = "cache-mels"\ncolor = 1\n', "stage 'mels' has an unknown key 'color'"),
        (STAGE.replace("1.0", "0.5") + 'command = "cache-mels"\n', "must add up to 1, not 0.5"),
        (
            STAGE.replace('{ out = "mels" }', '{ data = "dataset", out = "mels" }') + 'command = "cache-mels"\n',
            "stage 'mels' reads 'dataset', which no earlier stage makes",
        ),
        ("name = mels", "Invalid value"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused_with_a_reason(tmp_path, stage, complaint):
    path = tmp_path / "own.toml"
    path.write_text(f"[defaults]\nclips = 1\n\n[[stages]]\n{stage}")
    with pytest.raises(RecipeError, match=r"own\.toml: .*") as refusal:
        read_recipe(path)
    assert complaint in str(refusal.value)


def test_settings_that_a_command_does_not_take_are_named(tmp_path, scores, soundfonts, capsys):
    path = tmp_path / "own.toml"
    text = RECIPE.read_text().replace("decoder_only = true", "decoder_alone = true")
    path.write_text(text)
    assert main([*arguments(scores, soundfonts, tmp_path / "run"), "--config", str(path)]) == 2
    assert "stage 'autoencoder, decoder' has settings that `autoencoder` does not take" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_finished_stages_are_passed_over_and_a_failing_one_is_named(tmp_path, scores, soundfonts, capfd):
    flags = arguments(scores, soundfonts, tmp_path / "run")
    broken = [flag if flag != str(scores) else str(tmp_path / "nothing") for flag in flags]
    assert main(broken) == 2
    shown = capfd.readouterr()
    assert "no such folder of MIDI files" in shown.err
    assert "stage 'data set' failed" in shown.err
    jobs = jobs_of(flags)
    (tmp_path / "run" / "settings.json").unlink()
    (tmp_path / "run" / "finished.json").write_text(json.dumps({job.name: 1.0 for job in jobs}))
    for job in jobs:
        job.result.parent.mkdir(parents=True, exist_ok=True)
        job.result.write_text("")
    assert main(flags) == 0
    assert capfd.readouterr().out.count(": done") == len(jobs)
    assert main([*flags, "--seed", "1"]) == 2
    assert "was begun with seed=0, not 1: use another folder" in capfd.readouterr().err
