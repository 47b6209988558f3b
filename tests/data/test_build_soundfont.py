import csv
import re

import numpy as np
import pytest
import soundfile

from stylediff.notes import Note
from tests.helpers.commands import command
from train.data.build_soundfont import key_ranges, parse_pitch, read_table
from train.data.note_samples import SAMPLE_RATE, measure_cents
from train.data.soundfonts import SynthesisError, open_synthesizer, soundfont_voices

main = command("build-soundfont")


def write_tone(path, pitch: int, cents: float, late_s: float, level: float, harmonics: int = 5, decay: float = 0.0):
    """A recorded note: detuned, late, at any level, with faint noise."""
    time = np.arange(round(1.6 * SAMPLE_RATE)) / SAMPLE_RATE
    hz = 440 * 2 ** ((pitch - 69) / 12 + cents / 1200)
    wave = sum(np.sin(2 * np.pi * n * hz * time) / n for n in range(1, harmonics + 1)) * np.exp(-decay * time)
    wave = np.pad(0.2 * level * wave, (round(late_s * SAMPLE_RATE), 0))
    noise = 1e-4 * np.random.default_rng(pitch).standard_normal(len(wave))
    soundfile.write(path, wave + noise, SAMPLE_RATE, subtype="PCM_24")


def write_table(path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def level_db(waveform: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(waveform**2))))


@pytest.fixture(scope="module")
def violin(tmp_path_factory):
    """A folder with a SoundFont of four detuned, late, uneven notes, a mislabelled one, and a soft layer."""
    folder = tmp_path_factory.mktemp("violin")
    rows = []
    for number, (pitch, cents) in enumerate([(57, 23.0), (61, -31.0), (65, 8.0), (69, -12.0)]):
        for velocity, harmonics in ((70, 2), (127, 6)):
            level = [0.4, 1.0, 0.3, 0.5][number]
            write_tone(folder / f"{pitch}_{velocity}.wav", pitch, cents, 0.05 + 0.1 * number, level, harmonics)
            rows.append({"file": f"{pitch}_{velocity}.wav", "pitch": pitch, "velocity": velocity, "program": 40})
    write_tone(folder / "wrong.wav", 64, 0, 0.1, 1.0)
    rows.append({"file": "wrong.wav", "pitch": "C5", "velocity": 127, "program": 40})
    write_table(folder / "notes.csv", rows)
    flags = ["--notes", str(folder / "notes.csv"), "--samples", str(folder), "--out", str(folder / "Mine.sf2")]
    assert main([*flags, "--name", "My violin"]) == 0
    return folder


@pytest.fixture(scope="module")
def play(violin):
    try:
        synthesizer = open_synthesizer(violin / "Mine.sf2", SAMPLE_RATE)
    except SynthesisError as error:
        pytest.skip(str(error))
    preset = soundfont_voices(str(violin / "Mine.sf2"))["violin/Mine-40"]

    def render(pitch: int, velocity: int = 100, seconds: float = 2.0) -> np.ndarray:
        notes = (Note(0.0, seconds - 0.1, pitch, velocity),)
        return synthesizer.render(notes, preset, round(seconds * SAMPLE_RATE), {})

    return render


@pytest.mark.slow
def test_every_key_is_in_tune_and_on_time(play):
    for pitch in range(53, 74):
        waveform = play(pitch)
        assert abs(measure_cents(waveform, pitch)) < 5, pitch
        onset = np.argmax(np.abs(waveform) > 0.1 * np.abs(waveform).max()) / SAMPLE_RATE
        assert onset < 0.008, pitch


@pytest.mark.slow
def test_levels_are_even_over_the_keys(play):
    levels = [level_db(play(pitch)[10000:50000]) for pitch in range(53, 74)]
    assert np.abs(np.diff(levels)).max() < 1.5
    assert np.ptp(levels) < 4


@pytest.mark.slow
def test_a_long_note_is_steady_beyond_its_recording(play):
    waveform = play(61, seconds=5.0)
    levels = [level_db(waveform[at : at + 4410]) for at in range(SAMPLE_RATE // 2, 4 * SAMPLE_RATE, 4410)]
    assert np.ptp(levels) < 0.5


@pytest.mark.slow
def test_layers_sound_different_at_the_same_level(play):
    soft, loud = play(61, 70), play(61, 71)
    assert level_db(soft) == pytest.approx(level_db(loud), abs=1)
    spectra = [np.abs(np.fft.rfft(waveform[: 2 * SAMPLE_RATE])) for waveform in (soft, loud)]
    fifth = round(5 * 277.18 * 2)
    brightness = [spectrum[fifth - 20 : fifth + 20].max() / spectrum.max() for spectrum in spectra]
    assert brightness[1] > 10 * brightness[0]


@pytest.mark.slow
def test_a_mislabelled_note_is_skipped_with_a_message(violin, capsys):
    flags = ["--notes", str(violin / "notes.csv"), "--samples", str(violin), "--out", str(violin / "Again.sf2")]
    assert main(flags) == 0
    shown = capsys.readouterr()
    assert re.search(r"skipped: wrong.wav: it (has no steady sound at|is off) its stated pitch 72", shown.err)
    assert "0:40 Again: 8 notes, 2 layers, tuned by " in shown.out


def test_struck_notes_decay_and_loops_can_be_given(tmp_path):
    write_tone(tmp_path / "struck.wav", 60, 0, 0.1, 1.0, decay=4.0)
    write_tone(tmp_path / "held.wav", 60, 0, 0.1, 1.0)
    rows = [
        {"file": "struck.wav", "pitch": "C4", "kind": "struck", "program": 0, "loop_start_s": "", "loop_end_s": ""},
        {"file": "held.wav", "pitch": "60", "kind": "", "program": 42, "loop_start_s": "0.5", "loop_end_s": "0.9"},
    ]
    write_table(tmp_path / "notes.csv", rows)
    flags = ["--notes", str(tmp_path / "notes.csv"), "--samples", str(tmp_path), "--out", str(tmp_path / "Two.sf2")]
    assert main(flags) == 0
    try:
        synthesizer = open_synthesizer(tmp_path / "Two.sf2", SAMPLE_RATE)
    except SynthesisError as error:
        pytest.skip(str(error))
    voices = soundfont_voices(str(tmp_path / "Two.sf2"))
    note = (Note(0.0, 2.9, 60, 100),)
    piano, cello = (
        synthesizer.render(note, voices[name], 3 * SAMPLE_RATE, {}) for name in ("piano/Two-0", "cello/Two-42")
    )
    assert level_db(piano[:20000]) - level_db(piano[40000:60000]) > 25
    assert level_db(piano[-20000:] + 1e-9) < -90
    assert level_db(cello[:40000]) - level_db(cello[80000:120000]) < 1


@pytest.mark.parametrize(
    ("text", "pitch"), [("60", 60), ("C4", 60), ("a0", 21), ("F#3", 54), ("Fs3", 54), ("Bb2", 46), ("C-1", 0)]
)
def test_pitches_are_numbers_or_names(text, pitch):
    assert parse_pitch(text) == pitch


@pytest.mark.parametrize("text", ["H4", "128", "C10", "", "60.5"])
def test_other_pitches_are_refused(text):
    with pytest.raises(ValueError, match=r"pitch|literal"):
        parse_pitch(text)


def test_keys_go_to_the_nearest_note():
    assert key_ranges([60], 55, 64) == [(55, 64)]
    assert key_ranges([60, 64, 65], 58, 70) == [(58, 62), (63, 64), (65, 70)]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("file,pitch\n", "notes.csv has no notes"),
        ("file,note\na.wav,60\n", "line 2: the columns file and pitch are required"),
        ("file,pitch\na.wav,H2\n", "notes.csv, line 2: invalid literal"),
        ("file,pitch,kind\na.wav,60,bowed\n", "kind must be sustained or struck, not 'bowed'"),
        ("file,pitch,velocity\na.wav,60,0\n", "velocity must be 1 to 127"),
        ("file,pitch\nb.wav,60\n", "line 2: no such file in .*: b.wav"),
        ("file,pitch\na.wav,60\na.wav,C4\n", "line 3: a.wav is the same note as a.wav; keep one"),
    ],
)
def test_tables_that_cannot_be_used_are_explained(tmp_path, capsys, table, sentence):
    (tmp_path / "a.wav").write_bytes(b"")
    (tmp_path / "notes.csv").write_text(table)
    with pytest.raises(ValueError, match=sentence):
        read_table(tmp_path / "notes.csv", tmp_path, "sustained")
    flags = ["--notes", str(tmp_path / "notes.csv"), "--samples", str(tmp_path), "--out", str(tmp_path / "Bad.sf2")]
    assert main(flags) == 2
    assert capsys.readouterr().err.startswith("error: notes.csv")
    assert not (tmp_path / "Bad.sf2").exists()


def test_no_usable_note_and_a_wrong_name_are_reported(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    (tmp_path / "notes.csv").write_text("file,pitch,program\na.wav,60,40\n")
    flags = ["--notes", str(tmp_path / "notes.csv"), "--samples", str(tmp_path)]
    assert main([*flags, "--out", str(tmp_path / "Bad.sf2")]) == 2
    assert "error: no note of program 40, bank 0 can be used" in capsys.readouterr().err
    assert main([*flags, "--out", str(tmp_path / "Bad.wav")]) == 2
    assert "the name must end in .sf2" in capsys.readouterr().err
    assert main([*flags[:1], str(tmp_path / "none.csv"), *flags[2:], "--out", str(tmp_path / "Bad.sf2")]) == 2
    assert "error: cannot read the table" in capsys.readouterr().err
