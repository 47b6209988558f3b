import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylediff.audio import TARGET_RMS
from tests.helpers.commands import command
from tests.helpers.files import write_midi, write_soundfont
from train.data.manifest import read_manifest

main = command("render-dataset")


def flags(soundfonts, scores, out: Path, workers: int = 1) -> list[str]:
    pure, rich, unseen = map(str, soundfonts)
    return [
        *("--midi", str(scores), "--soundfont", pure, f"{rich}:0,40,73", "--test-soundfont", unseen),
        *("--out", str(out), "--clips", "14", "--test-excerpts", "1", "--seconds", "1.4"),
        *("--workers", str(workers), "--seed", "5"),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def dataset(soundfonts, scores, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dataset")
    assert main(flags(soundfonts, scores, out)) == 0
    return out


def test_every_clip_matches_the_manifest(dataset):
    groups = read_manifest(dataset)
    assert [group.split for group in groups] == ["test", "validation", "train"]
    for group in groups:
        assert {clip.role for clip in group.clips} <= {"target", "source"}
        for clip in group.clips:
            waveform, sample_rate = soundfile.read(dataset / clip.file)
            assert sample_rate == 22050
            assert waveform.shape == (128 * 256,)  # 1.4 s rounded up to a multiple of 64 frames
            assert np.sqrt(np.mean(waveform**2)) == pytest.approx(TARGET_RMS, rel=0.6)
            assert clip.voice.startswith(clip.instrument + "/")
            assert bool(clip.details) == (group.split == "train" and clip.role == "source")


def test_clips_of_a_group_start_their_notes_together(dataset):
    group = read_manifest(dataset)[0]
    first = min(note.start for note in group.notes if note.start > 0.05)
    for clip in (clip for clip in group.clips if clip.notes_left_out == 0):
        waveform, _ = soundfile.read(dataset / clip.file)
        onset = round(first * 22050)
        assert np.abs(waveform[onset : onset + 2205]).max() > 0.02


def test_a_resumed_run_gives_the_same_bytes(soundfonts, scores, dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "clips" / "000001")
    (tmp_path / "begun" / "clips" / ".000001.part").mkdir()
    (tmp_path / "begun" / "manifest.jsonl").unlink()
    assert main(flags(soundfonts, scores, tmp_path / "begun")) == 0
    assert contents(tmp_path / "begun") == contents(dataset)


@pytest.mark.slow
def test_two_workers_give_the_same_bytes(soundfonts, scores, dataset, tmp_path):
    assert main(flags(soundfonts, scores, tmp_path / "fresh", workers=2)) == 0
    assert contents(tmp_path / "fresh") == contents(dataset)


def test_a_broken_score_is_skipped_with_a_message(soundfonts, scores, dataset, tmp_path, capsys):
    shutil.copytree(scores, tmp_path / scores.name)
    shutil.copytree(dataset, tmp_path / "out")
    (tmp_path / scores.name / "broken.mid").write_text("not music")
    (tmp_path / "out" / "settings.json").unlink()  # begun with one piece fewer
    assert main(flags(soundfonts, tmp_path / scores.name, tmp_path / "out")) == 0
    assert "skipped: broken.mid is not a readable MIDI file" in capsys.readouterr().err


def test_the_summary_counts_minutes_and_clips(soundfonts, scores, dataset, tmp_path, capsys):
    shutil.copytree(dataset, tmp_path / "out")
    assert main(flags(soundfonts, scores, tmp_path / "out")) == 0
    shown = capsys.readouterr().out
    clips = sum(len(group.clips) for group in read_manifest(dataset))
    assert f"3 excerpts, {clips} clips, " in shown
    assert shown.splitlines()[1].split()[0] == "piano"


def test_a_folder_with_another_seed_is_refused(soundfonts, scores, dataset, capsys):
    assert main([*flags(soundfonts, scores, dataset), "--seed", "6"]) == 2
    assert "was started with seed=5, not 6: use another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("replaced", "value", "sentence"),
    [
        ("--midi", "nowhere", "error: no such folder of MIDI files: nowhere"),
        ("--test-soundfont", "gone.sf2", "error: no such soundfont: gone.sf2"),
        ("--test-soundfont", "drums.sf2", "error: drums.sf2 has no preset of any known instrument"),
        ("--midi", "few", "error: no usable excerpt for the "),
    ],
)
def test_unusable_inputs_are_reported_with_exit_code_2(
    soundfonts, scores, tmp_path, monkeypatch, capsys, replaced, value, sentence
):
    monkeypatch.chdir(tmp_path)
    write_soundfont(Path("drums.sf2"), programs=(115,))
    Path("few").mkdir()
    write_midi(Path("few/short.mid"), [60, 62])
    arguments = flags(soundfonts, scores, tmp_path / "out")
    arguments[arguments.index(replaced) + 1] = value
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)
