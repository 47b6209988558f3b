import numpy as np
import pytest
import soundfile
import torch

from stylediff.notes import Note
from tests.helpers.commands import command
from train.data.manifest import read_manifest
from train.data.pair_recordings import onset_velocities, refine_onsets
from train.data.recordings import HELD_OUT, TRAIN, split_of
from train.data.soundfonts import open_synthesizer, soundfont_voices

RATE = 22050
main = command("pair-recordings")
MELODY = tuple(
    Note(0.3 + 0.5 * n, 0.75 + 0.5 * n, pitch, 90) for n, pitch in enumerate((69, 71, 72, 74, 76, 74, 72, 71, 69))
)


def plucks(times: list[float]) -> np.ndarray:
    """Decaying tones of 440 Hz at the given times, with faint noise."""
    waveform = 1e-3 * np.random.default_rng(0).standard_normal(3 * RATE)
    for time in times:
        length = len(waveform) - round(time * RATE)
        tone = np.sin(2 * np.pi * 440 * np.arange(length) / RATE) * np.exp(-6 * np.arange(length) / RATE)
        waveform[-length:] += 0.3 * tone
    return waveform.astype(np.float32)


def test_onsets_move_to_where_the_sound_rises():
    true = [0.5, 1.2, 2.1]
    notes = tuple(Note(time + late, time + 0.5, 69, 80) for time, late in zip(true, (0.03, -0.03, 0.02), strict=True))
    moved = refine_onsets(notes, plucks(true), RATE)
    assert [note.start for note in moved] == pytest.approx(true, abs=0.012)
    assert [note.end for note in moved] == [note.end for note in notes]


def test_onsets_stay_where_nothing_rises():
    steady = 0.1 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)
    notes = (Note(1.0, 1.5, 69, 80),)
    assert abs(refine_onsets(notes, steady, RATE)[0].start - 1.0) <= 0.04


def test_velocities_follow_the_level_after_the_onset():
    waveform = np.concatenate([plucks([0.0])[:RATE], 0.25 * plucks([0.0])[:RATE], plucks([0.0])[:RATE]])
    loud, soft, again = onset_velocities(
        (Note(0.0, 0.5, 69, 80), Note(1.0, 1.5, 69, 80), Note(2.0, 2.5, 69, 80)), waveform, RATE
    )
    assert loud.velocity == again.velocity == 80
    assert soft.velocity == pytest.approx(40, abs=3)  # 12 dB is a factor of two in velocity


@pytest.fixture(scope="module")
def recordings(soundfonts, tmp_path_factory):
    """One recording that may be trained on, one that is held out, one of noise."""
    folder = tmp_path_factory.mktemp("recordings") / "violin"
    folder.mkdir()
    preset = soundfont_voices(f"{soundfonts[1]}:40")["violin/Rich-40"]
    waveform = open_synthesizer(preset.soundfont, RATE).render(MELODY, preset, 448 * 256, {})
    names = [f"take {number}" for number in range(40)]
    trained = next(name for name in names if split_of(name) == TRAIN)
    held = next(name for name in names if split_of(name) == HELD_OUT)
    noise = next(name for name in names if split_of(name) == TRAIN and name != trained)
    for name, samples in ((trained, waveform), (held, waveform)):
        soundfile.write(folder / f"{name}.wav", samples, RATE)
    soundfile.write(folder / f"{noise}.wav", 0.1 * torch.randn(448 * 256).numpy(), RATE)
    return folder.parent, trained


@pytest.mark.slow
def test_recordings_are_paired_with_renders_of_their_notes(recordings, soundfonts, tmp_path, capsys):
    folder, trained = recordings
    flags = ["--recordings", str(folder), "--soundfont", str(soundfonts[1]), "--out", str(tmp_path / "out")]
    assert main([*flags, "--renders", "3", "--workers", "1"]) == 0
    assert "1 of 2 recorded clips agree with their notes" in capsys.readouterr().out
    (group,) = read_manifest(tmp_path / "out")
    assert group.piece == trained
    assert group.paired
    assert group.split == "train"
    assert [clip.voice for clip in group.clips[:2]] == ["violin/recorded", "violin/Rich-40"]
    assert len(group.clips) == 4
    pitches = {note.pitch for note in group.notes}
    assert len(pitches & {note.pitch for note in MELODY}) >= 4
    waveform, _ = soundfile.read(tmp_path / "out" / group.clips[0].file)
    assert len(waveform) % 256 == 0
    assert 4 * RATE < len(waveform) <= 448 * 256  # from the first sound on


def test_a_folder_without_usable_recordings_is_refused(soundfonts, tmp_path, capsys):
    (tmp_path / "kazoo").mkdir()
    soundfile.write(tmp_path / "kazoo/take.wav", plucks([0.1]), RATE)
    flags = ["--recordings", str(tmp_path / "kazoo"), "--soundfont", str(soundfonts[1]), "--out", str(tmp_path / "out")]
    assert main(flags) == 2
    assert "may be trained on and names its instrument" in capsys.readouterr().err
