import json
from dataclasses import replace

import numpy as np
import pytest

from stylediff.instruments import INSTRUMENT_NAMES
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.evaluation.cases import CaseError
from train.experiments import references
from train.experiments.references import choose_transfers, write_markdown

main = command("references")

PRESENT = ("piano", "violin", "harp")  # of the tiny data set


def of_different_pieces(groups):
    return [replace(group, piece=f"{group.index}.mid") for group in groups]


def test_references_are_other_music_of_the_target_on_the_test_soundfont(dataset):
    folder, groups = dataset
    with pytest.raises(CaseError, match="no source clips"):
        choose_transfers(groups, folder, 2)  # its two test groups are of one piece
    tasks = choose_transfers(of_different_pieces(groups), folder, 2)
    assert {task.instrument for task in tasks} == set(PRESENT)
    for task in tasks:
        assert task.source.name.split("_")[0] != task.reference.name.split("_")[0]
        assert task.reference.stem.endswith("source")


def test_the_page_has_distances_and_retrieval():
    results = [
        {"instrument": "harp", "distances": {"0.0": 0.5, "0.5": 0.4, "1.0": 0.3}},
        {"instrument": "harp", "distances": {"0.0": 0.2, "0.5": 0.25, "1.0": 0.3}},
    ]
    nearest = np.eye(len(INSTRUMENT_NAMES), dtype=int)
    nearest[0] = np.roll(nearest[0], 1)
    page = write_markdown(results, nearest)
    assert "| harp | 0.350" in page
    assert "| 0.50 |" in page
    assert "0.909 of 11 clips" in page


@pytest.mark.slow
def test_the_command_measures_distances_and_retrieval(dataset, tmp_path, monkeypatch, capsys):
    folder, groups = dataset
    monkeypatch.setattr(references, "INSTRUMENT_NAMES", PRESENT)
    monkeypatch.setattr(references, "read_manifest", lambda path: of_different_pieces(groups))
    tiny_pipeline().save_pretrained(tmp_path / "model")
    arguments = ["--data", str(folder), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--clips", "1", "--retrieved", "2", "--workers", "1"]) == 0
    kept = json.loads((tmp_path / "out" / "references.json").read_text())
    assert np.array(kept["nearest"]).sum() == 2 * len(PRESENT)
    assert len(kept["transfers"]) == len(PRESENT)
    assert "Timbre distance" in capsys.readouterr().out
