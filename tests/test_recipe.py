import json

import pytest

from train.recipe import BUDGET_SHARES, COMMAND, build_jobs, main


def arguments(scores, soundfonts, out):
    pure, rich, unseen = map(str, soundfonts)
    flags = ["--midi", str(scores), "--soundfont", pure, rich, "--test-soundfont", unseen, "--out", str(out)]
    return [*flags, "--clips", "14", "--test-excerpts", "2"]


def test_every_stage_reads_what_an_earlier_one_writes(tmp_path, scores, soundfonts):
    stages = build_jobs(COMMAND.parse(arguments(scores, soundfonts, tmp_path)))
    names = [stage.name for stage in stages]
    assert names.index("mels") < names.index("autoencoder") < names.index("latents") < names.index("denoiser")
    made = [{str(stage.result.parent), str(stage.run)} for stage in stages]
    for number, stage in enumerate(stages):
        later = set().union(*made[number + 1 :]) - set().union(*made[: number + 1])
        assert not later & set(stage.flags), stage.name
    read = {stage.name: set(stage.flags) & set().union(*made[:number]) for number, stage in enumerate(stages)}
    assert str(tmp_path / "listening") in read["denoiser, colours"]
    assert str(tmp_path / "colours") in read["denoiser, at length"]
    assert str(tmp_path / "at_length") in read["pipeline"]


def test_shares_of_a_budget_add_up_to_all_of_it():
    assert sum(BUDGET_SHARES.values()) == pytest.approx(1.0)


@pytest.mark.slow
def test_finished_stages_are_passed_over_and_a_failing_one_is_named(tmp_path, scores, soundfonts, capfd):
    flags = arguments(scores, soundfonts, tmp_path / "run")
    broken = [flag if flag != str(scores) else str(tmp_path / "nothing") for flag in flags]
    assert main(broken) == 2
    shown = capfd.readouterr()
    assert "no such folder of MIDI files" in shown.err
    assert "the stage 'data set' failed" in shown.err
    stages = build_jobs(COMMAND.parse(flags))
    assert main([*flags[:-4], "--clips", "0", "--test-excerpts", "2"]) == 2  # nothing was made yet: others may be given
    (tmp_path / "run" / "settings.json").unlink()
    (tmp_path / "run" / "finished.json").write_text(json.dumps([stage.name for stage in stages]))
    for stage in stages:
        stage.result.parent.mkdir(parents=True, exist_ok=True)
        stage.result.write_text("")
    assert main(flags) == 0
    assert capfd.readouterr().out.count(": done") == 17
    assert main([*flags, "--seed", "1"]) == 2
    assert "was begun with seed=0, not 1: use another folder" in capfd.readouterr().err
