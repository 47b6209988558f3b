from collections import Counter

import pytest

from stylediff.notes import Note
from tests.helpers.tiny_dataset import clip_group, clip_record
from train.common.files import describe_argument
from train.data.manifest import (
    ClipGroup,
    ManifestError,
    is_finished,
    piece_split,
    read_manifest,
    save_group,
    write_manifest,
)


def test_folders_of_weights_with_the_same_name_are_distinguished(tmp_path):
    assert describe_argument(["a.sf2"]) == "['a.sf2']"
    assert describe_argument(tmp_path) == str(tmp_path)
    (tmp_path / "unet").mkdir()
    descriptions = []
    for weights in (b"old", b"new", b"old"):
        (tmp_path / "unet" / "model.safetensors").write_bytes(weights)
        descriptions.append(describe_argument(tmp_path))
    assert descriptions[0] == descriptions[2] != descriptions[1]
    assert all(one.startswith(f"{tmp_path} (") for one in descriptions)


def example(index: int) -> ClipGroup:
    file, details = f"clips/{index:06d}/0.flac", {"bits": 8}
    clip = clip_record(file, "violin/Pure-40", "source", gain=0.5, notes_left_out=2, details=details)
    notes = (Note(0.0, 0.5, 60, 80), Note(0.25, 1.0, 67, 90))
    piece = {"piece": f"folder/{index}.mid", "start_s": 1.25, "tempo": 0.9, "transposition": -3}
    return clip_group(index, "train", [clip], notes=notes, **piece)


def save(folder, group):
    scratch = folder / "clips" / f".{group.index}.part"
    scratch.mkdir(parents=True)
    (scratch / "0.flac").write_bytes(b"sound")
    save_group(folder, group, scratch)


def test_what_is_written_is_read_back(tmp_path):
    groups = [example(0), example(3)]
    for group in groups:
        save(tmp_path, group)
    assert write_manifest(tmp_path, [0, 3]) == groups
    assert read_manifest(tmp_path) == groups


def test_a_group_is_written_atomically(tmp_path):
    assert not is_finished(tmp_path, 5)
    save(tmp_path, example(5))
    assert is_finished(tmp_path, 5)
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == ["000005"]
    save(tmp_path, example(5))
    assert sorted(path.name for path in (tmp_path / "clips" / "000005").iterdir()) == ["0.flac", "group.json"]


def test_an_unfinished_set_cannot_be_read(tmp_path):
    save(tmp_path, example(0))
    with pytest.raises(ManifestError, match=r"no manifest\.jsonl in .*: render the data set first, or finish it"):
        read_manifest(tmp_path)


def test_splits_are_stable_and_have_their_sizes():
    names = [f"folder/piece_{number}.mid" for number in range(5000)]
    counts = Counter(map(piece_split, names))
    assert counts["test"] / 5000 == pytest.approx(0.10, abs=0.015)
    assert counts["validation"] / 5000 == pytest.approx(0.04, abs=0.01)
    assert [piece_split(names[number]) for number in (0, 1, 10)] == ["train", "test", "validation"]
