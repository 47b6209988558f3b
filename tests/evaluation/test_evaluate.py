"""Evaluation of a tiny pipeline on a tiny data set: cases, systems, saved results, tables."""

import gzip
import json
import multiprocessing.dummy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from stylediff import StyleTransferPipeline
from stylediff.audio import loudness_gain
from stylediff.autoencoder import MelAutoencoder
from stylediff.enhancer import MelEnhancer
from stylediff.mel import waveform_to_mel
from stylediff.settings import TEMPERATURE, TransferSettings
from stylediff.style_encoder import StyleEncoder
from stylediff.vocoder import Vocoder
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import MEL, NOTES, SAMPLES, VOICES, envelope_noise
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.__main__ import COMMANDS
from train.data.manifest import ClipGroup
from train.data.transcription import NoteTranscriber
from train.evaluation.cases import MAIN_PAIRS, OTHER_PAIRS, CaseError, Direction, choose_cases, find_cases
from train.evaluation.evaluate import choose_variants
from train.evaluation.figures import choose_extremes
from train.evaluation.metrics.sound import log_mel_error
from train.evaluation.reused_results import check_reused, read_reused
from train.evaluation.runner import (
    EvalConfig,
    load_case_audio,
    load_players,
    load_spectra,
    plan_cases,
    read_results,
    unfinished,
)
from train.evaluation.systems import (
    AUTOENCODER,
    DEFAULT,
    ENVELOPE,
    GRIFFIN_LIM,
    IDENTITY,
    ORACLE,
    REGRESSION,
    TRUE_TARGET,
    System,
    build_systems,
    model_name,
    model_system,
    run_model,
    run_transcription,
)
from train.models.instrument_classifier import InstrumentClassifier

main = command("evaluate")


@pytest.fixture(scope="module")
def pipeline() -> StyleTransferPipeline:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=8,
        out_channels=4,
        block_out_channels=(16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=1,
        norm_num_groups=8,
    )
    pipe = StyleTransferPipeline(
        autoencoder=MelAutoencoder(latent_channels=4, block_out_channels=(16, 16), layers_per_block=1).eval(),
        unet=unet.eval(),
        scheduler=DDIMScheduler(prediction_type="v_prediction", clip_sample=False, timestep_spacing="trailing"),
        style_encoder=StyleEncoder(VOICES, tokens=2, width=16).eval(),
        vocoder=Vocoder(blocks=1, width=16).eval(),
        enhancer=MelEnhancer(widths=(16,)).eval(),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_model_is_named_by_the_settings_that_differ_from_the_default() -> None:
    assert model_name() == "ours, default"
    assert model_name(4) == "ours, 4 steps"
    assert model_name(20, guidance=1.5, temperature=0.3) == "ours, 20 steps, guidance 1.5"
    assert model_name(20, temperature=0.0, dynamics=1.0, enhance=False) == (
        "ours, 20 steps, temperature 0, dynamics 1, not enhanced"
    )
    system = model_system(TransferSettings(dynamics=0.5))
    assert (system.name, system.is_model) == ("ours, default, dynamics 0.5", True)
    assert not System(IDENTITY).is_model


def test_the_default_and_variants_of_one_setting_are_measured() -> None:
    flags = ["--model", "m", "--data", "d", "--out", "o", "--steps", "1", "--guidance", "1", "2"]
    args = COMMANDS["evaluate"].parse([*flags, "--temperature", "0.25", str(TEMPERATURE), "--dynamics", "0"])
    variants = [{"steps": 1}, {"guidance": 2.0}, {"temperature": 0.25}, {"dynamics": 0.0}, {"enhance": False}]
    assert choose_variants(args, True) == tuple(replace(DEFAULT, **changes) for changes in [{}, *variants])
    assert choose_variants(args, False) == choose_variants(args, True)[:-1]


def test_a_direction_is_read_from_its_name() -> None:
    direction = Direction("piano", "violin")
    assert str(direction) == "piano -> violin"
    assert Direction.parse(str(direction)) == direction


def test_cases_pair_a_source_with_the_same_music_on_the_target(dataset: tuple[Path, list[ClipGroup]]) -> None:
    cases = choose_cases(dataset[1], "test", 60, 1)
    assert len(OTHER_PAIRS) + len(MAIN_PAIRS) == 11 * 10
    assert [case.pair for case in cases[:3]] == [("piano", "violin"), ("violin", "piano"), ("piano", "harp")]
    counts = {pair: sum(case.pair == pair for case in cases) for pair in {case.pair for case in cases}}
    assert counts == {(a, b): 2 if (a, b) in MAIN_PAIRS else 1 for a, b in counts}
    assert len(counts) == 6
    for case in cases:
        assert (case.source.role, case.target.role) == ("source", "target")
        assert case.source in case.group.clips
        assert case.target in case.group.clips


def test_more_clips_of_a_pair_extend_the_list(dataset: tuple[Path, list[ClipGroup]]) -> None:
    fewer, more = (find_cases(dataset[1], Direction("piano", "violin"), count) for count in (1, 2))
    assert more[:1] == fewer
    assert len({case.key for case in more}) == 2


def test_a_split_without_sources_is_refused(dataset: tuple[Path, list[ClipGroup]]) -> None:
    with pytest.raises(CaseError, match="train split has no source clip"):
        choose_cases(dataset[1], "train", 1, 1)


def test_the_score_is_limited_to_the_targets_range(dataset: tuple[Path, list[ClipGroup]]) -> None:
    groups = [group for group in dataset[1] if group.split == "test"]
    violin = find_cases(groups, Direction("piano", "violin"), 1)[0]
    piano = find_cases(groups, Direction("violin", "piano"), 1)[0]
    assert [note.pitch for note in violin.notes_within(5.0)] == [60, 67]
    assert [note.pitch for note in piano.notes_within(0.38)] == [60, 67]
    assert piano.notes_within(5.0) == NOTES


@pytest.mark.slow
def test_outputs_are_as_long_as_the_target(
    dataset: tuple[Path, list[ClipGroup]], pipeline: StyleTransferPipeline
) -> None:
    folder, groups = dataset
    case = choose_cases(groups, "test", 1, 1)[0]
    example = load_case_audio(case, folder)
    rows = build_systems(
        pipeline,
        load_spectra(groups, {example.voice}, folder, MEL),
        {},
        pipeline,
        (TransferSettings(steps=1, temperature=1.0), TransferSettings(steps=2)),
    )
    assert [system.name for system in rows if system.is_model] == ["ours, 1 steps, temperature 1", "ours, 2 steps"]
    runs = {system.name: run for system, run in rows.items()}
    outputs = {name: run(example) for name, run in runs.items()}
    assert all(output.shape == (SAMPLES,) for output in outputs.values())
    assert torch.equal(outputs[IDENTITY], example.source)
    assert torch.equal(outputs[REGRESSION], outputs[model_name(1, temperature=1.0)])  # the same network here
    assert torch.equal(outputs[TRUE_TARGET], example.target)
    assert log_mel_error(*(waveform_to_mel(outputs[row][None], MEL) for row in (GRIFFIN_LIM, TRUE_TARGET))) < 0.3
    torch.testing.assert_close(runs[model_name(2)](example), outputs[model_name(2)])


def test_the_model_plays_the_voice_of_the_true_target_if_it_has_it(dataset: tuple[Path, list[ClipGroup]]) -> None:
    folder, groups = dataset
    example = load_case_audio(choose_cases(groups, "test", 1, 1)[0], folder)
    voice = f"{example.instrument}/Tiny-1"
    pipeline = tiny_pipeline([voice])
    settings = TransferSettings(steps=1)
    by_name, by_voice, unknown = (
        run_model(replace(example, voice=name), pipeline, settings)
        for name in (pipeline.choose_voice(example.instrument), voice, f"{example.instrument}/other-2")
    )
    assert not torch.equal(by_voice, by_name)
    assert torch.equal(unknown, by_name)


def test_other_pairs_run_the_model_at_chosen_settings_only(dataset: tuple[Path, list[ClipGroup]]) -> None:
    variants = [TransferSettings(steps=4), TransferSettings(steps=20), TransferSettings(steps=20, guidance=2.0)]
    systems = [System(IDENTITY), *map(model_system, variants), System(ORACLE), System(GRIFFIN_LIM)]
    names = [system.name for system in systems]
    tasks = plan_cases(
        choose_cases(dataset[1], "test", 2, 1), systems, {model_name(20)}, {model_name(20, guidance=2.0)}, sweep=1
    )
    rows = [rows for case, rows in tasks if case.pair == ("piano", "violin")]
    assert rows == [tuple(names), (IDENTITY, model_name(4), model_name(20), ORACLE, GRIFFIN_LIM)]
    assert {rows for case, rows in tasks if case.pair == ("harp", "violin")} == {(IDENTITY, model_name(20), ORACLE)}
    left = unfinished(tasks, lambda case, row: case.pair != ("harp", "violin") or row == ORACLE)
    assert [(case.pair, rows) for case, rows in left] == [(("harp", "violin"), (IDENTITY, model_name(20)))]


@pytest.mark.slow
def test_a_resumed_evaluation_gives_the_same_report(
    dataset: tuple[Path, list[ClipGroup]],
    pipeline: StyleTransferPipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One process and short work: starting others takes longer than what is tested here.
    monkeypatch.setattr("train.evaluation.costs.get_context", lambda _: multiprocessing.dummy)
    monkeypatch.setattr("train.evaluation.systems.griffin_lim", envelope_noise)
    pipeline.save_pretrained(tmp_path / "model")
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    out = tmp_path / "report"
    command = ["--model", str(tmp_path / "model"), "--data", str(dataset[0]), "--out", str(out)]
    command += ["--classifier", str(tmp_path / "classifier"), "--steps", "1", "2", "--limit", "2"]
    command += ["--pairs-main", "1", "--dynamics", "0", "--workers", "1"]
    command += ["--guidance", "1", "--temperature", str(TEMPERATURE)]  # none but the default
    with monkeypatch.context() as without_pictures:  # which the second run draws
        without_pictures.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)
        assert main(command) == 0
    results = (out / "results.jsonl").read_text().splitlines(keepends=True)
    summary = json.loads((out / "summary.json").read_text())
    assert len(results) == 2 * 11
    assert set(summary["tables"]) == {"piano -> violin", "violin -> piano", "all pairs"}
    table = summary["tables"]["piano -> violin"]
    assert table[TRUE_TARGET]["log_mel_error"]["mean"] < 0.01 < table[IDENTITY]["log_mel_error"]["mean"]
    assert len(list((out / "audio" / "true_target").glob("*_piano_to_violin.flac"))) == 1

    assert summary["seconds_per_second"].keys() == summary["sweep"].keys() > table.keys()
    spread = summary["spread"]["all pairs"]
    assert all(cell["distance"] > 0 for row in spread.values() for cell in row.values())
    assert set(spread[IDENTITY]) == {"classifier", "pixels"}
    assert all(seconds > 0 for seconds in summary["seconds_per_second"].values())
    names = {path.name for path in (out / "extremes").glob("*.ogg")}
    assert len(names) == 6
    assert {"best", "worst"} == {name.split("_")[0] for name in names}

    (out / "results.jsonl").write_text("".join(results[:10]) + results[10][:30])
    assert main(command) == 0
    assert sorted((out / "results.jsonl").read_text().splitlines(keepends=True)) == sorted(results)
    assert json.loads((out / "summary.json").read_text()) == summary
    for picture in ("confusion.png", "contact_sheet.png", "pairs.png", "extremes.png", "sweep.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)
    published = tmp_path / "published"
    published.mkdir()
    (published / "summary.json").write_text(json.dumps(summary))
    (published / "results.jsonl.gz").write_bytes(gzip.compress("".join(results).encode()))
    later = [str(tmp_path / "later") if word == str(out) else word for word in command]
    (tmp_path / "later").mkdir()
    for name in ("seconds.json", "costs.json"):  # as if they had been measured here
        shutil.copy(out / name, tmp_path / "later")
    assert main([*later, "--baselines", str(published)]) == 0
    again = json.loads((tmp_path / "later" / "summary.json").read_text())
    assert (again["tables"], again["spread"]) == (summary["tables"], summary["spread"])
    assert again["taken_over"] == [IDENTITY, ENVELOPE, AUTOENCODER, ORACLE, GRIFFIN_LIM, TRUE_TARGET]
    # A missing classifier is reported before any output is made.
    refused = [str(tmp_path / "none") if word == str(tmp_path / "classifier") else word for word in later]
    assert main([str(tmp_path / "refused") if word == str(tmp_path / "later") else word for word in refused]) == 2
    assert not list((tmp_path / "refused").glob("audio/*/*"))
    made = {path.name for path in (tmp_path / "later" / "audio").iterdir()}
    swept = {f"ours_default_{name}" for name in ("dynamics_0", "not_enhanced")}
    assert made == {"identity", "ours_default", "ours_1_steps", "ours_2_steps", "true_target"} | swept
    assert (again["headline"], set(again["ratios"])) == ("ours, default", set(again["tables"]))


def test_one_clip_is_both_the_best_and_the_worst(dataset: tuple[Path, list[ClipGroup]]) -> None:
    cases = choose_cases(dataset[1], "test", 1, 1)[:1]
    results = [{"trial": cases[0].key, "row": row, "log_mel_error": 1.0} for row in (IDENTITY, model_name(20))]
    assert choose_extremes(cases, results, model_name(20)) == (cases, cases)


def test_baselines_of_other_clips_or_other_weights_are_refused(
    dataset: tuple[Path, list[ClipGroup]], pipeline: StyleTransferPipeline, tmp_path: Path
) -> None:
    cases = choose_cases(dataset[1], "test", 1, 1)[:1]
    stored = {"trial": cases[0].key, "row": ORACLE, "log_mel_error": 9.0}
    (tmp_path / "results.jsonl.gz").write_bytes(gzip.compress(json.dumps(stored).encode()))
    (tmp_path / "summary.json").write_text(json.dumps({"spread": {"all pairs": {ORACLE: {"pixels": {}}}}}))
    with pytest.raises(CaseError, match="lacks Fréchet distances"):
        read_reused(tmp_path, cases, ["classifier"])
    baselines = read_reused(tmp_path, cases, ["pixels"])
    with pytest.raises(CaseError, match="other clips"):
        read_reused(tmp_path, choose_cases(dataset[1], "test", 1, 1)[:2], ["pixels"])
    with pytest.raises(CaseError, match="no published report"):
        read_reused(tmp_path / "none", cases, ["pixels"])
    pipeline.save_pretrained(tmp_path / "model")
    voices = (cases[0].target.voice,)
    eval_config = EvalConfig(
        model=tmp_path / "model",
        regression=None,
        classifier=tmp_path,
        data=dataset[0],
        audio=tmp_path,
        voices=voices,
        soundfonts=(),
        variants=(TransferSettings(steps=1),),
    )
    with pytest.raises(CaseError, match=r"'oracle' of .* here but 9\.000 in the earlier report"):
        check_reused(baselines, cases, eval_config)
    check_reused(read_reused(None, cases, []), cases, eval_config)


def test_an_incomplete_result_is_dropped(tmp_path: Path) -> None:
    assert read_results(tmp_path / "results.jsonl") == []
    (tmp_path / "results.jsonl").write_text('{"row": 1}\n{"row": 2')
    assert read_results(tmp_path / "results.jsonl") == [{"row": 1}]
    assert (tmp_path / "results.jsonl").read_text() == '{"row": 1}\n'


def test_a_missing_data_set_is_reported(
    tmp_path: Path, pipeline: StyleTransferPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.save_pretrained(tmp_path / "model")
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    command = ["--model", str(tmp_path / "model"), "--classifier", str(tmp_path / "classifier")]
    assert main([*command, "--data", str(tmp_path), "--out", str(tmp_path / "report")]) == 2
    assert "error: no manifest.jsonl" in capsys.readouterr().err


@torch.no_grad()
def test_transcriptions_are_replayed_by_the_targets_soundfont(
    dataset: tuple[Path, list[ClipGroup]], soundfonts: tuple[Path, Path, Path]
) -> None:
    folder, groups = dataset
    example = load_case_audio(choose_cases(groups, "test", 1, 1)[0], folder)
    font = soundfonts[0]
    example = replace(example, voice=f"violin/{font.stem}-40")
    players = load_players((str(font),), (example.voice,))
    waveform = run_transcription(example, NoteTranscriber(), players)
    assert waveform.shape == example.target.shape
    error = log_mel_error(*(waveform_to_mel((w * loudness_gain(w))[None], MEL) for w in (waveform, example.source)))
    silence = log_mel_error(*(waveform_to_mel(w[None], MEL) for w in (0 * waveform, example.source)))
    assert 0 < error < silence
    with pytest.raises(CaseError, match="no soundfont has the voice violin/other-40"):
        load_players((str(font),), ("violin/other-40",))
    assert load_players((), ("violin/other-40",)) == {}


def test_a_limit_of_zero_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--data", str(tmp_path), "--out", str(tmp_path / "report"), "--limit", "0"])
    assert "--limit must be at least 1" in capsys.readouterr().err


def test_unknown_baselines_and_embeddings_are_refused_before_any_computation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line = ["--data", str(tmp_path), "--out", str(tmp_path / "report")]
    assert main([*command_line, "--renew", "orakel"]) == 2
    assert "error: unknown baseline 'orakel'; choose from autoencoder, oracle" in capsys.readouterr().err
    assert main([*command_line, "--embedding", "ears"]) == 2
    assert "error: unknown embedding 'ears'; choose from clap, classifier" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
