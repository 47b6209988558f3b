"""Notes found in renders of known scores."""

import json

import pytest

from tests.helpers.commands import command

main = command("transcription")


@pytest.mark.slow
def test_every_clip_is_measured_with_every_decoder(dataset, tmp_path):
    pytest.importorskip("basic_pitch")
    assert main(["--data", str(dataset[0]), "--out", str(tmp_path / "out"), "--clips", "1"]) == 0
    results = json.loads((tmp_path / "out" / "transcription.json").read_text())
    decoders = {result["decoder"] for result in results}
    assert "ours" in decoders
    assert len(decoders) == 3
    assert len(results) == 3 * len({result["clip"] for result in results})
    assert all(0 <= result["note_f1"] <= 1 for result in results)
    page = (tmp_path / "out" / "transcription.md").read_text()
    assert "| all |" in page


def test_a_missing_data_set_is_reported(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
