"""Notes of clips whose notes are known."""

import numpy as np
import pytest
import torch

from stylediff.audio import AudioError
from stylediff.transcription import (
    FRAMES_PER_SECOND,
    LOWEST_PITCH,
    find_events,
    load_note_model,
    run_length,
    semitones_to_fit,
    transcribe,
)

RATE = 22_050


def tone(pitches: list[float], seconds: float = 1.0) -> torch.Tensor:
    """Tone with four partials whose pitch goes through the given ones."""
    time = torch.arange(round(seconds * RATE)) / RATE
    pitch = torch.from_numpy(np.interp(time.numpy(), np.linspace(0, seconds, len(pitches)), pitches))
    phase = torch.cumsum(2 * torch.pi * 440 * 2 ** ((pitch - 69) / 12) / RATE, 0)
    shape = torch.minimum(time / 0.02, (seconds - time) / 0.05).clamp(0, 1)
    return (shape * sum(0.3 / n * torch.sin(n * phase) for n in range(1, 5))).float()


def test_a_tune_becomes_notes_in_time_at_any_rate():
    tune = torch.cat([tone([pitch], 0.5) for pitch in (60, 64, 67, 72)])
    for rate, waveform in ((RATE, tune), (2 * RATE, tune.repeat_interleave(2)), (RATE, torch.stack([tune, tune]))):
        notes = transcribe(waveform, rate)
        assert [note.pitch for note in notes] == [60, 64, 67, 72]
        assert [note.start for note in notes] == pytest.approx([0, 0.5, 1, 1.5], abs=0.04)
        assert all(0.35 < note.end - note.start < 0.6 for note in notes)
        assert all(1 <= note.velocity <= 127 and not note.bends for note in notes)


def test_a_slide_is_a_bend_and_another_tuning_is_none():
    [slide] = transcribe(tone([68.6, 68.6, 69.4, 69.4], 1.2), RATE)
    assert max(slide.bends) - min(slide.bends) == pytest.approx(0.8, abs=0.35)
    assert [note.bends for note in transcribe(tone([69.35]), RATE)] == [()]


def test_silence_has_no_notes_and_what_is_no_sound_is_refused():
    assert transcribe(torch.zeros(RATE), RATE) == []
    with pytest.raises(AudioError, match=r"at least 0\.5 s"):
        transcribe(torch.zeros(100), RATE)
    with pytest.raises(ValueError, match="one dimension"):
        load_note_model().posteriors(np.zeros((2, RATE), np.float32))


def test_a_low_clip_is_moved_into_the_range_of_a_flute():
    assert semitones_to_fit(tone([45.0]), RATE, "flute") == 24
    assert semitones_to_fit(tone([72.0]), RATE, "flute") == 0
    with pytest.raises(ValueError, match="tuba"):
        semitones_to_fit(tone([72.0]), RATE, "tuba")


def test_notes_end_after_a_break_and_repeated_ones_are_apart():
    notes, onsets = np.zeros((100, 88), np.float32), np.zeros((100, 88), np.float32)
    notes[10:60, 40] = 0.8
    notes[30:35, 40] = 0.39  # a break of five frames is none
    onsets[10, 40] = 0.9
    assert find_events(notes, onsets) == [(10, 60, 40)]
    onsets[35, 40] = 0.9
    assert find_events(notes, onsets) == [(10, 30, 40), (35, 60, 40)]
    notes[:], onsets[:] = 0, 0
    notes[50:80, 10] = 0.7  # no onset
    onsets[20, 50] = 0.9  # no note
    assert find_events(notes, onsets) == [(50, 80, 10)]
    notes[50:80, 10] = 0
    notes[50:53, 10] = 0.7  # too short
    assert find_events(notes, onsets) == []


@pytest.mark.parametrize(
    ("sounding", "frames"), [([], 0), ([0, 1, 2], 3), ([5, 6], 7), ([11], 0), ([0, 11], 12), ([0, 12], 1)]
)
def test_a_run_lasts_until_eleven_frames_are_silent(sounding, frames):
    probabilities = np.zeros(40)
    probabilities[sounding] = 1
    assert run_length(probabilities) == frames


@pytest.mark.parametrize("seed", range(3))
def test_events_agree_with_those_of_basic_pitch(seed):
    decode = pytest.importorskip("basic_pitch.note_creation").output_to_notes_polyphonic
    draw = np.random.default_rng(seed)
    music = sum(
        torch.nn.functional.pad(tone([float(draw.integers(45, 85))], 0.6), (start, 4 * RATE - start))[: 4 * RATE]
        for start in draw.integers(0, 3 * RATE, 12)
    )
    found = load_note_model().posteriors(music / 4)
    theirs = decode(found.notes, found.onsets, 0.6, 0.4, round(0.058 * FRAMES_PER_SECOND), True, None, None)
    ours = find_events(found.notes, found.onsets)
    starts = {(first, key + LOWEST_PITCH) for first, _, key in ours}
    assert starts == {(int(first), int(pitch)) for first, _, pitch, _ in theirs}
    ends = {(first, key + LOWEST_PITCH): last for first, last, key in ours}
    assert all(abs(ends[int(first), int(pitch)] - last) <= 1 for first, last, pitch, _ in theirs)
