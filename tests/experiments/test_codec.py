import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stylediff.mel import waveform_to_mel
from stylediff.notes import Note
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import MEL, NOTES, SAMPLES, envelope_noise, tone
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.manifest import ClipGroup
from train.evaluation.metrics.sound import log_mel_error
from train.experiments.codec import changes, lost_frames, write_rivalry, write_steadiness
from train.experiments.codec_stages import (
    ALL_PASS,
    DECODED,
    ORIGINAL,
    VOCODER,
    UnseenClip,
    all_pass,
    build_stages,
    choose_unseen_clips,
    griffin_lim_row,
    interleave,
)
from train.models.instrument_classifier import InstrumentClassifier

main = command("codec")


@pytest.mark.slow
def test_a_stage_keeps_the_length():
    pipeline = tiny_pipeline()
    waveform = torch.from_numpy(tone(NOTES, (1.0, 0.5))).float()[:-100]
    outputs = {row: stage(waveform) for row, stage in build_stages(pipeline).items()}
    assert all(output.shape == (SAMPLES - 100,) for output in outputs.values())
    assert torch.equal(outputs[ORIGINAL], waveform)
    mels = {row: waveform_to_mel(output[None], MEL) for row, output in outputs.items()}
    near, far = (log_mel_error(mels[row], mels[ORIGINAL]) for row in (griffin_lim_row("mel", 32), DECODED))
    assert near < 0.3 < far  # random weights decode to something else


def test_an_all_pass_filter_changes_only_phases():
    waveform = torch.from_numpy(tone(NOTES, (1.0, 0.5))).float()
    moved = all_pass(waveform, MEL.sample_rate)
    assert moved.shape == waveform.shape
    torch.testing.assert_close(torch.fft.rfft(moved).abs(), torch.fft.rfft(waveform).abs(), atol=1e-2, rtol=1e-3)
    assert float((moved - waveform).square().mean() / waveform.square().mean()) > 0.1
    mels = (waveform_to_mel(one[None], MEL) for one in (moved, waveform))
    assert log_mel_error(*mels) < 0.05


def test_clips_are_of_unseen_pieces_or_recordings(dataset, tmp_path):
    folder, groups = dataset
    chosen = choose_unseen_clips([folder], 2)
    assert len(chosen) == 3 * 2
    assert [s.voice for s in chosen] == sorted(s.voice for s in chosen)
    trained = {str(folder / clip.file) for clip in groups[2].clips}
    assert not trained & {str(specimen.path) for specimen in chosen}
    assert choose_unseen_clips([folder], 1) == chosen[::2]
    violin = next(specimen for specimen in chosen if specimen.instrument == "violin")
    assert [note.pitch for note in violin.notes_within(5.0)] == [60, 67]  # the lowest note is below a violin's range

    recorded = tmp_path / "recorded"
    recorded.mkdir()
    group = ClipGroup.from_dict(groups[2].to_dict() | {"paired": False, "notes": []})
    (recorded / "manifest.jsonl").write_text(json.dumps(group.to_dict()) + "\n")
    more = choose_unseen_clips([folder, recorded], 9)
    assert sum(specimen.notes is None for specimen in more) == 3


def test_the_loss_is_relative_to_the_original():
    results = [{"row": ORIGINAL, "frame_f": 0.9}, {"row": DECODED, "frame_f": 0.8}, {"row": DECODED, "frame_f": 0.6}]
    assert lost_frames(results, DECODED) == pytest.approx(0.2)
    recorded = [{"row": ORIGINAL, "source_frame_f": 1.0}, {"row": DECODED, "source_frame_f": 0.7}]
    assert lost_frames(recorded, DECODED) == pytest.approx(0.3)
    assert lost_frames(results + recorded, DECODED) == pytest.approx(0.2)


def test_cells_where_griffin_lim_is_closer_are_listed():
    scores = {ORIGINAL: (0.9, 0.0), VOCODER: (0.8, 0.1), "mel, Griffin-Lim 100": (0.95, 0.2), ALL_PASS: (0.88, 0.0)}
    results = [{"file": "a", "row": row, "frame_f": f, "log_mel_error": e} for row, (f, e) in scores.items()]
    found = changes(results, VOCODER)
    assert {column: float(values[0]) for column, values in found.items()} == pytest.approx(
        {"frame_f": -0.1, "log_mel_error": 0.1}
    )
    title, _, *lines = write_rivalry({"harp": results})
    assert "in 1 of 2 cells" in title
    assert "significantly (the interval of the differences excludes 0) in 1" in title
    assert title.endswith("in 1 of these:")
    assert lines == ["- harp: frame F, off by 0.100 against 0.050, 0.050 more [0.050, 0.050]; phases alone 0.020"]
    mels = [{name: value for name, value in result.items() if name != "frame_f"} for result in results]
    assert "in 0 of 1 cells" in write_rivalry({"harp": mels})[0]


def test_a_rival_that_is_closer_in_some_clips_only_is_not_significantly_closer():
    ours, theirs = (0.1, 0.3, 0.2, 0.2), (0.2, 0.1, 0.3, 0.1)
    results = []
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        rows = ((ORIGINAL, 0.0), (VOCODER, one), ("mel, Griffin-Lim 100", other), (ALL_PASS, 0.0))
        results += [{"file": str(number), "row": row, "stripes": value} for row, value in rows]
    assert "in 1 of 1 cells" in write_rivalry({"harp": results})[0]
    assert "excludes 0) in 0" in write_rivalry({"harp": results})[0]
    decoded = [result | {"row": DECODED} for result in results if result["row"] == VOCODER]
    assert "hop autocorrelation 0.200 [" in write_steadiness(results + decoded)


def test_steady_clips_take_turns_with_others():
    held, short = (Note(0.0, seconds, 60, 80) for seconds in (0.5, 0.2))
    chord = (held, Note(0.0, 0.5, 64, 80))
    scores = [chord, None, (short,), (held,), chord, (held, Note(0.5, 1.0, 62, 80))]
    clips = [UnseenClip(Path(str(number)), "harp/A-46", "harp", notes) for number, notes in enumerate(scores)]
    assert [int(clip.path.name) for clip in interleave(clips)] == [3, 0, 5, 1, 2, 4]


@pytest.mark.slow
def test_a_resumed_measurement_gives_the_same_page(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("train.experiments.codec.TIMED_CLIPS", 1)
    monkeypatch.setattr("train.experiments.codec_stages.griffin_lim", envelope_noise)
    tiny_pipeline().save_pretrained(tmp_path / "model")
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    out = tmp_path / "report"
    command = ["--data", str(dataset[0]), "--out", str(out), "--clips", "1", "--workers", "1"]
    command += ["--model", str(tmp_path / "model"), "--classifier", str(tmp_path / "classifier")]
    assert main(command) == 0
    page = (out / "codec.md").read_text()
    results = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(results) == 3 * 8
    assert {result["log_mel_error"] for result in results if result["row"] == ORIGINAL} == {0.0}
    assert "## violin (1 clips)" in page
    assert f"| {VOCODER} |" in page
    assert "Autoencoder and vocoder lose most on" in page
    assert all(np.isfinite(result["stripes"]) for result in results)

    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(lines[:8]) + lines[8][:30])
    assert main(command) == 0
    assert sorted((out / "results.jsonl").read_text().splitlines(keepends=True)) == sorted(lines)
    assert (out / "codec.md").read_text() == page


def test_a_missing_data_set_is_reported(tmp_path, capsys):
    tiny_pipeline().save_pretrained(tmp_path / "model")
    assert main(["--data", str(tmp_path), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]) == 2
    assert "error: no manifest.jsonl" in capsys.readouterr().err
