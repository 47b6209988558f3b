import csv

import numpy as np
import pytest
import soundfile
import torch

from train.data.recordings import (
    HELD_OUT,
    SPLITS,
    TABLE,
    TRAIN,
    Recording,
    RecordingError,
    cut_clips,
    instrument_in,
    list_recordings,
    listed_recordings,
    load_clips,
    read_notes,
    split_of,
)

RATE = 22050


def write_tone(path, seconds=4.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(round(seconds * RATE)) * 0.1), RATE)
    return path


def test_no_piece_of_the_table_is_in_both_splits():
    rows = listed_recordings().values()
    splits = {}
    for row in rows:
        assert row["split"] in SPLITS
        assert splits.setdefault(row["piece"], row["split"]) == row["split"]
    assert all(split_of(piece) == split for piece, split in splits.items())


def test_every_recorded_instrument_has_both_splits():
    pairs = {(row["piece"].split()[0], row["split"]) for row in listed_recordings().values()}
    assert pairs == {(name, split) for name, _ in pairs for split in SPLITS}
    assert len(pairs) == 14


def test_the_table_holds_names_and_no_folders_of_a_machine():
    for row in csv.DictReader(TABLE.open()):
        assert row["recording"].count("/") == 1
        assert row["piece"].startswith(row["recording"].split("/")[0] + " ")


def test_unknown_pieces_are_split_by_their_name_a_third_held_out():
    splits = [split_of(f"piece {number}") for number in range(600)]
    assert splits == [split_of(f"piece {number}") for number in range(600)]
    assert splits.count(HELD_OUT) / 600 == pytest.approx(1 / 3, abs=0.06)
    assert splits.count(TRAIN) + splits.count(HELD_OUT) == 600


def test_listed_recordings_are_found_by_folder_and_name(tmp_path):
    write_tone(tmp_path / "violin" / "john-garner_bwv1002_mov6.wav")
    write_tone(tmp_path / "violin" / "john-garner_bwv1002_mov7.wav")
    write_tone(tmp_path / "piano" / "chopin_nocturne_op55_no1_eliogu.wav")
    chopin, held_out, training = list_recordings(tmp_path)
    assert (held_out.split, training.split) == (HELD_OUT, TRAIN)
    assert held_out.piece != training.piece
    assert (chopin.good_sound, held_out.good_sound) == (False, True)
    assert held_out.name == "violin/john-garner_bwv1002_mov6"


def test_instruments_are_named_by_the_innermost_folder_or_by_the_file(tmp_path):
    expected = {
        "Acoustic_guitars/take 1.wav": "guitar",
        "alto sax/take.wav": "saxophone",
        "harp solo.wav": "harp",
        "piano and flute.wav": None,
        "strings/chord.wav": "strings",
        "violin/best of piano/a.wav": "piano",
        "x.wav": None,
    }
    for name in expected:
        write_tone(tmp_path / "mine" / name)
    found = {r.path.relative_to(tmp_path / "mine").as_posix(): r.instrument for r in list_recordings(tmp_path / "mine")}
    assert found == expected
    assert list_recordings(tmp_path / "mine" / "Acoustic_guitars")[0].instrument == "guitar"
    assert instrument_in("stringsection") is None


def test_a_folder_without_recordings_is_reported(tmp_path):
    with pytest.raises(RecordingError, match="no such folder of recordings"):
        list_recordings(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("no audio")
    with pytest.raises(RecordingError, match="no recording"):
        list_recordings(tmp_path)


def test_clips_are_five_seconds_and_a_half_and_skip_silence():
    sound = 0.3 * torch.sin(torch.arange(12 * RATE) * 0.1)
    assert [samples / RATE for _, samples in cut_clips(sound, RATE)] == pytest.approx([5.5, 5.5], abs=0.01)
    late = torch.cat([torch.zeros(2 * RATE), sound[: 4 * RATE], torch.zeros(3 * RATE)])
    assert [(s / RATE, n / RATE) for s, n in cut_clips(late, RATE)] == [pytest.approx((2, 4), abs=0.06)]
    sparse = torch.cat([sound[:RATE], torch.zeros(8 * RATE), sound[: 6 * RATE]])
    assert [start / RATE for start, _ in cut_clips(sparse, RATE)] == pytest.approx([11.0], abs=0.06)
    assert cut_clips(torch.zeros(8 * RATE), RATE) == []
    assert cut_clips(torch.zeros(10), RATE) == []
    assert cut_clips(sound[: 2 * RATE], RATE) == []


def test_clips_of_a_file_have_the_wanted_rate_and_unreadable_files_have_none(tmp_path):
    path = write_tone(tmp_path / "tone.wav", 6.0)
    clips = load_clips(Recording(path, None, "tone", TRAIN), 16000)
    assert [len(clip) for clip in clips] == [round(5.5 * 16000)]
    path.write_bytes(b"nothing")
    assert load_clips(Recording(path, None, "tone", TRAIN), 16000) == []


def test_notes_are_read_from_the_table_beside_a_recording(tmp_path):
    recording = Recording(write_tone(tmp_path / "tone.wav"), "violin", "tone", TRAIN)
    assert recording.notes_path is None
    (tmp_path / "tone.notes.csv").write_text("start_s,end_s,pitch\n0.5,1.0,60\n1.0,2.0,64\n")
    assert recording.notes_path is not None
    notes = read_notes(recording.notes_path)
    assert [(note.start, note.end, note.pitch) for note in notes] == [(0.5, 1.0, 60), (1.0, 2.0, 64)]
    (tmp_path / "tone.notes.csv").write_text("start,end\n0.5,1.0\n")
    with pytest.raises(RecordingError, match="start_s, end_s and pitch"):
        read_notes(recording.notes_path)
