from collections import Counter

import numpy as np
import pytest

from stylediff.instruments import get_instrument
from train.data.dataset_plan import Plan, sample_excerpt, sample_roles
from train.data.excerpts import ScoreError, find_pieces
from train.data.manifest import piece_split
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
