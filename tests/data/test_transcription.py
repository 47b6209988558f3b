"""Transcription by basic-pitch: right notes at the right times, and none in silence."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from stylediff.notes import Note
from stylediff.transcription import FRAMES_PER_SECOND, LOWEST_PITCH, SAMPLE_RATE
from train.data.notes import frame_prf, note_f1, score_roll
from train.data.transcription import NoteTranscriber, PitchTracker

MELODY = tuple(
    Note(start, start + 0.4, pitch, 80)
    for start, pitch in zip(np.arange(9) * 0.5 + 0.1, (60, 64, 67, 72, 71, 69, 65, 62, 60), strict=True)
)


def play(notes: tuple[Note, ...], seconds: float) -> np.ndarray:
    """Notes as decaying tones with three harmonics, (samples,) float32."""
    out = np.zeros(int(seconds * SAMPLE_RATE))
    for note in notes:
        time = np.arange(int((note.end - note.start) * SAMPLE_RATE)) / SAMPLE_RATE
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        tone = sum(strength * np.sin(2 * np.pi * n * hz * time) for n, strength in ((1, 1.0), (2, 0.4), (3, 0.2)))
        fade = np.minimum(1, np.minimum(time / 0.005, (time[-1] - time) / 0.02))
        first = int(note.start * SAMPLE_RATE)
        out[first : first + len(time)] += 0.2 * tone * np.exp(-2 * time) * fade
    return out.astype(np.float32)


@pytest.fixture(scope="module")
def transcriber() -> NoteTranscriber:
    return NoteTranscriber()


def test_a_melody_is_transcribed_exactly_and_without_drift(transcriber: NoteTranscriber) -> None:
    transcription = transcriber.transcribe(torch.from_numpy(play(MELODY, 5.0)))
    assert note_f1(MELODY, transcription.intervals, transcription.pitches, tolerance_s=0.03) > 0.94
    assert frame_prf(transcription.roll, score_roll(MELODY, len(transcription.roll)))[2] > 0.85


def test_notes_and_frames_come_from_the_same_transcription(transcriber: NoteTranscriber) -> None:
    waveform = play(MELODY[:3], 1.7)
    transcription = transcriber.transcribe(waveform)
    sounding = {int(pitch) - LOWEST_PITCH for pitch in transcription.pitches}
    assert sounding <= set(np.flatnonzero(transcription.roll.any(axis=0)))
    np.testing.assert_array_equal(transcriber.frames(waveform), transcription.roll)
    assert transcription.roll.shape == (int(np.ceil(1.7 * FRAMES_PER_SECOND)), 88)


def test_silence_has_no_notes(transcriber: NoteTranscriber) -> None:
    transcription = transcriber.transcribe(np.zeros(SAMPLE_RATE))
    assert transcription.intervals.shape == (0, 2)
    assert transcription.pitches.shape == (0,)
    assert not transcription.roll.any()


def test_channels_are_refused(transcriber: NoteTranscriber) -> None:
    with pytest.raises(ValueError, match="one dimension"):
        transcriber.transcribe(np.zeros((2, 22050), np.float32))


def test_less_than_a_window_is_padded(transcriber: NoteTranscriber) -> None:
    assert transcriber.frames(np.zeros(300)).shape == (2, 88)


def test_notes_agree_with_basic_pitchs_own_loop(transcriber: NoteTranscriber, tmp_path: Path) -> None:
    import basic_pitch
    from basic_pitch.inference import Model, predict

    waveform = play(MELODY, 5.0)
    soundfile.write(tmp_path / "melody.wav", waveform, SAMPLE_RATE, subtype="FLOAT")
    model = Model(Path(basic_pitch.__file__).parent / "saved_models/icassp_2022/nmp.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        _, _, events = predict(tmp_path / "melody.wav", model, 0.6, 0.4, 58.0)
    theirs = tuple(Note(start, end, pitch, 80) for start, end, pitch, *_ in events)
    transcription = transcriber.transcribe(waveform)
    intervals, pitches = transcription.intervals, transcription.pitches
    assert note_f1(theirs, intervals, pitches, tolerance_s=0.02) > 0.94


@pytest.mark.slow
def test_the_pitch_tracker_follows_a_tone() -> None:
    time = torch.arange(22050) / 22050
    waveform = 0.2 * sum(torch.sin(2 * torch.pi * 330.0 * n * time) / n for n in range(1, 5))
    times, f0_hz = PitchTracker().track(waveform)
    assert times[1] == pytest.approx(0.04)
    assert times[-1] == pytest.approx(1.0, abs=0.04)
    assert np.abs(1200 * np.log2(f0_hz[5:-5] / 330.0)).max() < 30
