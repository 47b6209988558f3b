"""Plan and rendering of a data set."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylediff.audio import TARGET_RMS
from stylediff.instruments import get_instrument
from tests.helpers.commands import command
from tests.helpers.files import write_midi, write_soundfont
from train.data.excerpts import ScoreError, find_pieces
from train.data.manifest import piece_split, read_manifest
from train.data.render_dataset import Plan, sample_excerpt, sample_roles
from train.data.soundfonts import soundfont_voices


@pytest.fixture
def plan(soundfonts, scores, tmp_path):
    voices = soundfont_voices(str(soundfonts[0])) | soundfont_voices(f"{soundfonts[1]}:0,40")
    return Plan(
        groups=find_pieces([scores]),
        voices=voices,
        test_voices=soundfont_voices(str(soundfonts[2])),
        out=tmp_path,
        samples=128 * 256,
        excerpts=60,
        test_excerpts=10,
        seed=0,
        slow_share=0.15,
    )


def test_splits_follow_the_index(plan):
    splits = Counter(plan.split_of(index) for index in range(plan.excerpts))
    assert splits == {"test": 10, "validation": 1, "train": 49}
    assert plan.split_of(0) == "test"


def test_the_default_voice_comes_first_if_available(plan):
    violin = get_instrument("violin")
    assert plan.voices_of(violin) == ["violin/Pure-40", "violin/Rich-40"]
    plan.voices[violin.default_voice] = plan.voices["violin/Pure-40"]
    assert plan.voices_of(violin)[0] == violin.default_voice


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_excerpts_come_only_from_pieces_of_their_split(plan, split):
    excerpts = [sample_excerpt(plan, split, np.random.default_rng(seed)) for seed in range(15)]
    assert {piece_split(e.piece) for e in excerpts if e.piece != "random"} == {split}


def test_a_split_without_pieces_is_reported(plan):
    groups = {
        name: [p for p in paths if piece_split(f"{name}/{p.name}") == "train"] for name, paths in plan.groups.items()
    }
    empty = Plan(**{**vars(plan), "groups": groups})
    with pytest.raises(ScoreError, match="no usable excerpt for the test split in 500 attempts"):
        sample_excerpt(empty, "test", np.random.default_rng(0))


def test_training_excerpts_have_targets_and_degraded_sources(plan):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        roles = sample_roles(plan, sample_excerpt(plan, "train", rng), "train", rng)
        targets = [voice for voice, role in roles if role == "target"]
        assert len(targets) == len(set(targets))
        assert Counter(role for _, role in roles)["source"] == 2
        assert all(voice in plan.voices for voice, _ in roles)


def test_the_test_soundfont_plays_only_test_sources(plan):
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        roles = sample_roles(plan, sample_excerpt(plan, split, rng), split, rng)
        unseen = {role for voice, role in roles if "Unseen" in voice}
        assert unseen == ({"source"} if split == "test" else set())
        if split == "test":
            by_role = {
                wanted: {voice.split("/")[0] for voice, role in roles if role == wanted}
                for wanted in ("source", "target")
            }
            assert by_role["source"] == by_role["target"]


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
