"""Outputs of another system, scored against references."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylediff.audio import AudioError
from tests.helpers.commands import command
from train.evaluation.score_folder import load_pair, pair_files
from train.models.instrument_classifier import InstrumentClassifier

main = command("score-folder")


def write_tone(path: Path, hz: float, sample_rate: int, seconds: float = 2.0) -> None:
    path.parent.mkdir(exist_ok=True)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * hz * time), sample_rate)


def test_outputs_of_any_format_are_matched_to_their_references(tmp_path: Path) -> None:
    write_tone(tmp_path / "ours" / "a.flac", 440.0, 16000, seconds=1.5)
    write_tone(tmp_path / "theirs" / "a.wav", 440.0, 44100)
    [pair] = pair_files(tmp_path / "ours", tmp_path / "theirs")
    output, reference = load_pair(pair)
    assert output.shape == reference.shape == (44100,)
    assert output[33200:].abs().max() == 0
    np.testing.assert_allclose(np.abs(np.fft.rfft(output[:22050].numpy())).argmax(), 440)


def test_a_file_without_its_reference_is_named(tmp_path: Path) -> None:
    write_tone(tmp_path / "ours" / "lonely.wav", 440.0, 22050)
    (tmp_path / "theirs").mkdir()
    with pytest.raises(AudioError, match=r"lonely\.wav has no reference"):
        pair_files(tmp_path / "ours", tmp_path / "theirs")
    with pytest.raises(AudioError, match="no audio files in"):
        pair_files(tmp_path / "theirs", tmp_path / "ours")


@pytest.mark.slow
def test_a_folder_of_copies_scores_better_than_one_of_other_tones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    for number, hz in enumerate((440.0, 550.0)):
        write_tone(tmp_path / "targets" / f"{number}.wav", hz, 22050)
        write_tone(tmp_path / "copies" / f"{number}.wav", hz, 22050)
        write_tone(tmp_path / "others" / f"{number}.wav", 1.3 * hz, 22050)
    means = {}
    for name in ("copies", "others"):
        command = ["--audio-dir", str(tmp_path / name), "--reference-dir", str(tmp_path / "targets")]
        command += ["--out", str(tmp_path / f"{name}_report"), "--classifier", str(tmp_path / "classifier")]
        assert main([*command, "--embedding", "pixels", "--workers", "1"]) == 0
        assert f"# {name}: 2 clips" in capsys.readouterr().out
        summary = json.loads((tmp_path / f"{name}_report" / "summary.json").read_text())
        means[name] = {column: cell["mean"] for column, cell in summary["means"].items()}
        means[name]["frechet"] = summary["frechet"]["pixels"]["distance"]
    assert means["copies"]["log_mel_error"] == 0.0 < means["others"]["log_mel_error"]
    assert means["copies"]["pitch_jaccard"] == 0.0 < means["others"]["pitch_jaccard"]
    assert means["copies"]["frechet"] == pytest.approx(0.0, abs=1e-6)
    assert means["others"]["frechet"] > 1e-4


def test_a_missing_argument_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--audio-dir", str(tmp_path), "--out", str(tmp_path)])
    assert "the following arguments are required: --reference-dir" in capsys.readouterr().err
