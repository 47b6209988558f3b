import json
from dataclasses import replace

import numpy as np
import pytest

from stylediff.instruments import INSTRUMENT_NAMES
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.manifest import ClipGroup
from train.data.transcription import Transcription
from train.experiments.recordings import choose_transfers, compare, playable_keys, write_markdown
from train.models.instrument_classifier import InstrumentClassifier

main = command("recordings")


def transcription_of(pitches: tuple[int, ...], starts: tuple[float, ...]) -> Transcription:
    activations = np.zeros((100, 88), np.float32)
    for pitch, start in zip(pitches, starts, strict=True):
        activations[round(start * 86) : round(start * 86) + 20, pitch - 21] = 1.0
    intervals = np.array([(start, start + 0.2) for start in starts])
    return Transcription(intervals, np.array(pitches, float), np.full(len(pitches), 80), activations)


@pytest.fixture
def recorded(dataset, tmp_path):
    """A folder of recordings beside the tiny data set's."""
    group = dataset[1][2]
    violin = tuple(clip for clip in group.clips if clip.instrument == "violin")[:1]
    group = replace(group, paired=False, notes=(), clips=(replace(violin[0], voice="violin/hall"),))
    folder = tmp_path / "recorded"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text(json.dumps(group.to_dict()) + "\n")
    (folder / "clips").symlink_to(dataset[0] / "clips")
    assert ClipGroup.from_dict(group.to_dict()).notes == ()
    return folder


def test_every_voice_of_a_recorded_instrument_is_played_by_others_in_turn(dataset, recorded):
    tasks = choose_transfers([recorded, dataset[0]], 2)
    assert {task.clip.instrument for task in tasks} == {"violin"}
    assert [task.clip.notes is None for task in tasks].count(True) == 1
    others = [name for name in INSTRUMENT_NAMES if name != "violin"]
    for voice in {task.clip.voice for task in tasks}:
        targets = [task.target for task in tasks if task.clip.voice == voice]
        assert targets == others[: len(targets)]


def test_only_notes_in_the_targets_range_are_compared():
    assert playable_keys("flute").sum() == 96 - 60 + 1
    source = transcription_of((55, 64, 67), (0.1, 0.1, 0.6))
    assert compare(transcription_of((64, 67), (0.1, 0.6)), source, "flute") == {"frame_f": 1.0, "note_f1_50": 1.0}
    missed = compare(transcription_of((64, 67), (0.1, 0.6)), source, "piano")
    assert missed["frame_f"] == pytest.approx(0.8)
    assert missed["note_f1_50"] == pytest.approx(0.8)
    beyond = compare(transcription_of((55, 64, 67), (0.1, 0.1, 0.6)), transcription_of((64, 67), (0.1, 0.6)), "flute")
    assert beyond == {"frame_f": 1.0, "note_f1_50": 1.0}
    assert compare(transcription_of((64,), (0.1,)), transcription_of((55,), (0.1,)), "flute") == {
        "frame_f": None,
        "note_f1_50": None,
    }
    late = compare(transcription_of((64, 67), (0.2, 0.6)), source, "flute")
    assert late["note_f1_50"] == pytest.approx(0.5)


def test_the_page_lists_recordings_before_renders():
    columns = {"frame_f": 0.5, "note_f1_50": 0.6, "named_target": 1.0, "loudness": None}
    render = {"voice": "violin/A-40", "recording": False, "target": "harp"} | columns | {"frame_f": 0.75}
    recording = {"voice": "violin/hall", "recording": True, "target": "piano"} | columns
    page = write_markdown([render, recording])
    assert page.startswith("# Transfers of recordings (1 clips)")
    voices, targets = page.split("## ")[0], page.split("## ")[1]
    assert voices.index("| violin/hall | 1 | 0.500") < voices.index("| violin/A-40 | 1 | 0.750")
    assert "| piano | 1 | 0.500" in targets
    assert "harp" not in targets


def test_folders_without_recordings_are_reported(dataset, tmp_path, capsys):
    assert main(["--data", str(dataset[0]), "--out", str(tmp_path / "out")]) == 2
    assert "no recordings in " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_measures_recordings_and_renders(dataset, recorded, tmp_path, capsys):
    tiny_pipeline().save_pretrained(tmp_path / "model")
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    arguments = ["--data", str(recorded), str(dataset[0]), "--out", str(tmp_path / "out"), "--clips", "1"]
    arguments += ["--model", str(tmp_path / "model"), "--classifier", str(tmp_path / "classifier"), "--workers", "1"]
    assert main(arguments) == 0
    kept = json.loads((tmp_path / "out" / "recordings.json").read_text())
    assert {result["recording"] for result in kept} == {True, False}
    assert all(0 <= result["frame_f"] <= 1 for result in kept)
    assert "| violin/hall | 1 |" in capsys.readouterr().out
