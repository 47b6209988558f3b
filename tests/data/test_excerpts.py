import itertools

import numpy as np
import pytest
import symusic

from stylediff.instruments import get_instrument
from stylediff.notes import Note
from tests.helpers.files import write_midi
from train.data.excerpts import (
    LEAD_IN_S,
    MAX_NOTES,
    MIN_NOTES,
    ScoreError,
    choose_transposition,
    cut_excerpt,
    find_pieces,
    random_excerpt,
    read_tracks,
    separate_repeats,
    vary_performance,
)
from train.data.notes import mean_polyphony, notes_in_range, playable_by

LINE = tuple(Note(0.25 * i, 0.25 * i + 0.2, 66 + i % 5, 80) for i in range(12))


def test_notes_come_back_from_midi_in_seconds(tmp_path):
    (track,) = read_tracks(write_midi(tmp_path / "line.mid", [60, 64, 67], step_s=0.5))
    assert [note.pitch for note in track] == [60, 64, 67]
    assert [note.start for note in track] == pytest.approx([0.0, 0.5, 1.0])
    assert [note.end for note in track] == pytest.approx([0.5, 1.0, 1.5])
    assert [note.velocity for note in track] == [70, 71, 72]


def test_drums_are_ignored(tmp_path):
    score = symusic.Score(480)
    for is_drum, pitch in ((True, 36), (False, 72)):
        track = symusic.Track(program=0, is_drum=is_drum, name="")
        track.notes.append(symusic.Note(0, 480, pitch, 90))
        score.tracks.append(track)
    score.dump_midi(str(tmp_path / "band.mid"))
    assert [[note.pitch for note in track] for track in read_tracks(tmp_path / "band.mid")] == [[72]]


@pytest.mark.parametrize("content", [b"", b"not a midi file", b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\xff\xff"])
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / "broken.mid").write_bytes(content)
    with pytest.raises(ScoreError, match=r"broken\.mid (is not a readable MIDI file|has no notes)"):
        read_tracks(tmp_path / "broken.mid")


def test_a_file_without_notes_is_refused(tmp_path):
    with pytest.raises(ScoreError, match=r"empty\.mid has no notes"):
        read_tracks(write_midi(tmp_path / "empty.mid", []))


def test_pieces_are_grouped_by_folder_in_order(tmp_path):
    for name in ("b/2.mid", "b/1.MIDI", "a/3.mid", "a/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    pieces = find_pieces([tmp_path])
    stem = tmp_path.name
    assert list(pieces) == [f"{stem}/a", f"{stem}/b"]
    assert [path.name for path in pieces[f"{stem}/b"]] == ["1.MIDI", "2.mid"]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(ScoreError, match=r"no such folder of MIDI files: .*nowhere"):
        find_pieces([tmp_path / "nowhere"])
    with pytest.raises(ScoreError, match=r"no \.mid file in "):
        find_pieces([tmp_path])


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ([], 0.0),
        ([Note(0, 1, 60, 80)], 1.0),
        ([Note(0, 1, 60, 80), Note(3, 4, 60, 80)], 1.0),
        ([Note(0, 2, 60, 80), Note(1, 2, 64, 80)], 1.5),
        ([Note(0, 1, p, 80) for p in (60, 64, 67)], 3.0),
    ],
)
def test_polyphony_is_the_mean_over_sounding_time(notes, expected):
    assert mean_polyphony(notes) == pytest.approx(expected)


def test_instruments_play_only_their_range_and_polyphony():
    names = {instrument.name for instrument in playable_by(LINE)}
    assert {"piano", "violin", "flute", "vibraphone"} <= names
    low = tuple(Note(n.start, n.end, n.pitch - 36, n.velocity) for n in LINE)
    assert {instrument.name for instrument in playable_by(low)} == {"piano", "harp", "strings"}
    chords = tuple(Note(n.start, n.end, n.pitch + 3 * k, 80) for n in LINE for k in range(5))
    assert "violin" not in {instrument.name for instrument in playable_by(chords)}
    assert [note.pitch for note in notes_in_range((LINE[0], Note(0, 1, 20, 80)), get_instrument("violin"))] == [66]


def test_repeated_pitches_never_overlap():
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0, 5, 200))
    notes = [Note(float(s), float(s + rng.uniform(0.1, 1)), int(rng.integers(60, 66)), 80) for s in starts]
    kept = separate_repeats(notes)
    for pitch in range(60, 66):
        line = [note for note in kept if note.pitch == pitch]
        assert all(earlier.end < later.start for earlier, later in itertools.pairwise(line))
        assert all(note.end > note.start for note in line)


def test_doublings_become_one_note():
    kept = separate_repeats([Note(0.0, 0.5, 60, 80), Note(0.02, 0.9, 60, 70)])
    assert kept == [Note(0.0, 0.9, 60, 80)]


def test_performances_vary_but_keep_the_notes():
    first = vary_performance(list(LINE), np.random.default_rng(1))
    second = vary_performance(list(LINE), np.random.default_rng(2))
    assert sorted(n.pitch for n in first) == sorted(n.pitch for n in second) == sorted(n.pitch for n in LINE)
    assert [n.velocity for n in first] != [n.velocity for n in second]
    assert all(20 <= note.velocity <= 127 and note.end - note.start >= 0.05 for note in first + second)
    assert max(abs(a.start - b.start) for a, b in zip(first, LINE, strict=True)) < 0.1


def test_a_transposition_makes_the_notes_playable():
    low = tuple(Note(n.start, n.end, n.pitch - 30, 80) for n in LINE)
    shifts = [choose_transposition(low, np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(shifts)) > 3
    assert all(playable_by(tuple(Note(n.start, n.end, n.pitch + s, 80) for n in low)) for s in shifts)


def test_dense_music_fits_no_instrument():
    cluster = tuple(Note(0, 1, pitch, 80) for pitch in range(50, 70))
    assert choose_transposition(cluster, np.random.default_rng(0)) is None


def test_excerpts_are_reproducible_and_within_bounds(tmp_path):
    pitches = (62 + np.random.default_rng(0).integers(0, 12, 60)).tolist()
    path = write_midi(tmp_path / "line.mid", pitches, step_s=0.25)
    drawn = [cut_excerpt(path, "a/line.mid", 3.0, np.random.default_rng(seed)) for seed in range(20)]
    excerpts = [excerpt for excerpt in drawn if excerpt is not None]
    assert len(excerpts) > 10
    assert excerpts[0] == cut_excerpt(path, "a/line.mid", 3.0, np.random.default_rng(drawn.index(excerpts[0])))
    for excerpt in excerpts:
        inside = [note for note in excerpt.notes if note.end > 0]
        assert MIN_NOTES <= len(inside) <= MAX_NOTES
        assert all(-LEAD_IN_S - 0.1 < note.start < 3.0 and note.end < 3.2 for note in excerpt.notes)
        assert 0.85 <= excerpt.tempo <= 1.15


def test_slow_excerpts_hold_their_notes_for_seconds(tmp_path):
    path = write_midi(tmp_path / "line.mid", [60, 62, 64, 65] * 10, step_s=0.5)
    drawn = [cut_excerpt(path, "a/line.mid", 5.0, np.random.default_rng(seed), slow=True) for seed in range(20)]
    longest = [max(note.end - note.start for note in excerpt.notes) for excerpt in drawn if excerpt is not None]
    assert len(longest) > 15
    assert min(longest) > 0.5
    assert max(longest) > 1.5
    for seed in range(10):
        excerpt = random_excerpt(5.0, np.random.default_rng(seed), slow=True)
        assert max(note.end - note.start for note in excerpt.notes) > 0.9


def test_a_score_that_is_too_short_gives_no_excerpt(tmp_path):
    path = write_midi(tmp_path / "short.mid", [60, 62], step_s=0.1)
    assert [cut_excerpt(path, "short.mid", 5.0, np.random.default_rng(seed)) for seed in range(10)] == [None] * 10


def test_random_excerpts_are_playable_music():
    for seed in range(10):
        excerpt = random_excerpt(5.0, np.random.default_rng(seed))
        assert excerpt == random_excerpt(5.0, np.random.default_rng(seed))
        assert playable_by(excerpt.notes)
        assert all(0 <= note.start < note.end <= 5.0 for note in excerpt.notes)
