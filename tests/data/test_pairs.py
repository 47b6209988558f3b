from collections import Counter

import numpy as np
import pytest
import torch

from tests.helpers.tiny_dataset import cached_clip
from train.data.augmentation import EqualizedClips
from train.data.mel_cache import CacheError, gather_crops
from train.data.pairs import SHORTEST_REFERENCE, PairSampler, default_first

COLUMNS = 12


def row(group, voice, role="target", split="train", paired=True):
    return cached_clip(group, voice, 8 * COLUMNS, split=split, paired=paired, role=role)


ROWS = (
    row(0, "piano/Pure-0"),
    row(0, "violin/Pure-40"),
    row(0, "violin/Rich-40", role="source"),
    row(1, "piano/Pure-0"),
    row(1, "violin/Pure-40"),
    row(2, "violin/Pure-40"),  # the only clip of its group
    row(3, "violin/recorded", paired=False),
    row(4, "piano/Pure-0", split="test"),
    row(4, "violin/Pure-40", split="test"),
)
VOICES = ["piano/Pure-0", "violin/Pure-40"]


def sampler(split="train") -> PairSampler:
    """Latents whose values encode their origin: clip number * 100 + column."""
    clips = 100 * np.arange(len(ROWS), dtype=np.float32)[:, None, None, None]
    latents = np.broadcast_to(clips + np.arange(COLUMNS, dtype=np.float32), (len(ROWS), 2, 3, COLUMNS))
    return PairSampler(ROWS, latents, VOICES, split)


def test_default_voices_come_first():
    voices = {"violin/TimGM-40", "violin/OPEN_small-40", "violin/Another-40", "piano/FluidR3-0"}
    assert default_first(voices) == [
        *("piano/FluidR3-0", "violin/OPEN_small-40", "violin/Another-40", "violin/TimGM-40")
    ]


def test_only_clean_clips_with_sources_are_targets():
    assert sampler().targets.tolist() == [0, 1, 3, 4]
    assert sampler("test").targets.tolist() == [7, 8]


def test_a_split_without_pairs_is_named():
    with pytest.raises(CacheError, match="the validation split has no clip in a known voice with another of the same"):
        sampler("validation").batch(4, 5, torch.Generator())


def test_pairs_are_the_same_part_of_the_same_music():
    batch = sampler().batch(200, 5, torch.Generator().manual_seed(0))
    assert batch.source.shape == batch.target.shape == (200, 2, 3, 5)
    source, target = (clips[:, 0, 0, 0].long() // 100 for clips in (batch.source, batch.target))
    assert torch.equal(batch.source % 100, batch.target % 100)
    assert all(ROWS[s].group == ROWS[t].group and s != t for s, t in zip(source, target, strict=True))
    assert [VOICES[v] for v in batch.voices] == [ROWS[t].voice for t in target]


def test_every_pair_and_crop_is_sampled():
    batch = sampler().batch(2000, 5, torch.Generator().manual_seed(1))
    pairs = Counter(
        zip((batch.source[:, 0, 0, 0] // 100).tolist(), (batch.target[:, 0, 0, 0] // 100).tolist(), strict=True)
    )
    assert set(pairs) == {(1, 0), (2, 0), (0, 1), (2, 1), (4, 3), (3, 4)}
    assert set((batch.target[:, 0, 0, 0] % 100).tolist()) == set(range(COLUMNS - 5 + 1))


def test_a_share_of_the_pairs_is_of_the_oversampled_direction():
    latents = sampler().latents
    oversampling = PairSampler(ROWS, latents, VOICES, "train", oversampled_share=0.25)
    rows = oversampling.sample(400, torch.Generator().manual_seed(0))
    assert set(zip(rows.sources[-100:], rows.targets[-100:], strict=True)) == {(0, 1), (3, 4)}
    plain = sampler().sample(400, torch.Generator().manual_seed(0))
    assert (rows.sources[:300] == plain.sources[:300]).all()
    assert (rows.targets[:300] == plain.targets[:300]).all()


def test_oversampled_pairs_leave_equalized_targets_alone():
    latents = sampler().latents
    equalized = EqualizedClips(np.array([1]), np.zeros((1, 4), np.float32), latents[[1]])
    oversampling = PairSampler(ROWS, latents, VOICES, "train", equalized, oversampled_share=1.0)
    rows = oversampling.sample(8, torch.Generator().manual_seed(0), equalized=3)
    assert rows.targets[:3].tolist() == [1, 1, 1]
    assert set(zip(rows.sources[3:], rows.targets[3:], strict=True)) <= {(0, 1), (3, 4)}


def test_a_share_of_the_sources_is_recorded():
    clips = (row(0, "piano/Pure-0"), row(0, "violin/Pure-40"), row(0, "violin/recorded"))
    latents, voices = sampler().latents[:3], [*VOICES, "violin/recorded"]
    shares = {"oversampled_share": 0.25, "recorded_share": 0.5}
    rows = PairSampler(clips, latents, voices, "train", **shares).sample(400, torch.Generator().manual_seed(0))
    pairs = list(zip(rows.sources.tolist(), rows.targets.tolist(), strict=True))
    assert set(pairs[:100]) == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    assert set(pairs[100:300]) == {(2, 0), (2, 1)}
    assert set(pairs[300:]) == {(0, 1), (0, 2)}


def test_without_a_pair_of_the_oversampled_direction_every_pair_is_as_likely():
    violins = (row(0, "violin/Pure-40"), row(0, "violin/Rich-40"))
    oversampling = PairSampler(violins, np.zeros((2, 2, 3, COLUMNS)), VOICES, "train", oversampled_share=1.0)
    assert set(oversampling.sample(8, torch.Generator().manual_seed(0)).targets) == {0}


def test_same_generator_same_batch():
    first, second = (sampler().batch(16, 8, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.source, second.source)
    assert torch.equal(first.voices, second.voices)


def test_the_whole_length_can_be_sampled():
    batch = sampler().batch(4, COLUMNS, torch.Generator().manual_seed(0))
    assert batch.target.shape[-1] == COLUMNS


def test_references_play_other_music_in_the_voice_of_their_target():
    mels = np.broadcast_to(np.arange(len(ROWS), dtype=np.float32)[:, None, None], (len(ROWS), 4, 300))
    batch = sampler().batch(400, 5, torch.Generator().manual_seed(2), mels, 300)
    assert batch.references.shape[:3] == (300, 1, 4)
    assert SHORTEST_REFERENCE <= batch.references.shape[3] <= 300
    targets = (batch.target[:300, 0, 0, 0].long() // 100).tolist()
    references = batch.references[:, 0, 0, 0].long().tolist()
    assert all(
        ROWS[h].voice == ROWS[t].voice and ROWS[h].group != ROWS[t].group
        for h, t in zip(references, targets, strict=True)
    )
    assert set(references) == {
        0,
        1,
        3,
        4,
        5,
    }  # clips without a source can be references, but not those of another split
    assert torch.equal(batch.source, sampler().batch(400, 5, torch.Generator().manual_seed(2)).source)


def test_a_clip_without_other_music_in_its_voice_is_its_own_reference():
    rows = ROWS[:3]
    mels = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 4, 10), np.float32)
    lonely = PairSampler(rows, np.zeros((3, 2, 3, COLUMNS), np.float32), VOICES, "train")
    batch = lonely.batch(50, 5, torch.Generator().manual_seed(0), mels, 50)
    assert {round(value) for value in batch.references.unique().tolist()} == {0, 1}


def test_half_of_the_targets_with_references_are_equalized_like_their_references():
    curves = np.array([[0.0, 0.5], [0.5, 0.0]], np.float32)
    latents = np.full((2, 2, 3, COLUMNS), -1.0, np.float32)
    clips = EqualizedClips(np.array([3, 7]), curves, latents)  # the second belongs to another split
    plain = sampler()
    colouring = PairSampler(ROWS, plain.latents, VOICES, "train", clips, floor=-9.0)
    mels = np.zeros((len(ROWS), 2, 300), np.float32)
    batch = colouring.batch(100, 5, torch.Generator().manual_seed(0), mels, 60)
    assert (batch.target[:30] == -1).all()
    assert (batch.target[30:] >= 0).all()
    assert (batch.source[:30, 0, 0, 0].long() // 100 == 4).all()
    assert (batch.voices[:30] == 0).all()
    difference = batch.references[:, 0, 1] - batch.references[:, 0, 0]
    torch.testing.assert_close(difference[:30], torch.full((30, batch.references.shape[-1]), 0.5))
    assert (difference[30:] == 0).all()


def test_without_references_nothing_is_equalized():
    clips = EqualizedClips(np.array([3]), np.ones((1, 2), np.float32), np.full((1, 2, 3, COLUMNS), -1.0, np.float32))
    colouring = PairSampler(ROWS, sampler().latents, VOICES, "train", clips)
    batch = colouring.batch(50, 5, torch.Generator().manual_seed(0))
    assert torch.equal(batch.target, sampler().batch(50, 5, torch.Generator().manual_seed(0)).target)


def test_crops_are_the_same_on_every_device():
    clips = np.random.default_rng(0).normal(size=(6, 3, 4, 20)).astype(np.float16)
    rows, firsts = np.array([5, 0, 5]), np.array([0, 3, 13])
    expected = np.stack([clips[row, ..., first : first + 7] for row, first in zip(rows, firsts, strict=True)])
    for kept in (clips, torch.from_numpy(clips)):
        cut = gather_crops(kept, rows, firsts, 7)
        assert cut.dtype == torch.float32
        np.testing.assert_array_equal(cut.numpy(), expected.astype(np.float32))
