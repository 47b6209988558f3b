import numpy as np
import pytest
import torch

from train.data.transcription import Transcription
from train.evaluation.musicnn import FEATURES, TAG_OF, Musicnn
from train.evaluation.realism import agreement, measure_clip, playable_keys, summarize
from train.evaluation.recorded import RecordedReference

RATE = 22050


def transcription_of(pitches: tuple[int, ...], starts: tuple[float, ...], length: float = 0.2) -> Transcription:
    activations = np.zeros((200, 88), np.float32)
    for pitch, start in zip(pitches, starts, strict=True):
        activations[round(start * 86) : round((start + length) * 86), pitch - 21] = 1.0
    intervals = np.array([(start, start + length) for start in starts]).reshape(-1, 2)
    return Transcription(intervals, np.array(pitches, float), np.full(len(pitches), 80), activations)


def test_only_notes_in_the_targets_range_are_compared():
    assert playable_keys("flute").sum() == 96 - 60 + 1
    source = transcription_of((55, 64, 67), (0.1, 0.1, 0.6))
    assert agreement(transcription_of((64, 67), (0.1, 0.6)), source, "flute") == {"frame_f": 1.0, "note_f1": 1.0}
    missed = agreement(transcription_of((64, 67), (0.1, 0.6)), source, "piano")
    assert missed["frame_f"] == pytest.approx(0.8)
    assert missed["note_f1"] == pytest.approx(0.8)
    assert agreement(transcription_of((64,), (0.1,)), transcription_of((55,), (0.1,)), "flute") == {
        "frame_f": None,
        "note_f1": None,
    }
    late = agreement(transcription_of((64, 67), (0.2, 0.6)), source, "flute")
    assert late["note_f1"] == pytest.approx(0.5)


def test_an_impression_has_tags_features_and_descriptors():
    time = torch.arange(4 * RATE) / RATE
    phase = 2 * torch.pi * torch.cumsum(440 * 2 ** (20 / 1200 * torch.sin(2 * torch.pi * 6 * time)), 0) / RATE
    note = sum(torch.sin(k * phase) / k for k in range(1, 6)) * (time / 0.05).clamp(max=1) * 0.1
    impression = measure_clip(note, RATE, transcription_of((69,), (0.0,), 3.9), Musicnn())
    assert set(impression.tags) == set(TAG_OF)
    assert np.shape(impression.features) == (2, FEATURES)
    assert impression.vibrato_cents == pytest.approx(20, rel=0.1)
    assert impression.vibrato_hz == pytest.approx(6, abs=0.2)
    assert impression.between_partials_db < -30
    assert impression.attack_ms == pytest.approx(40, abs=12)


def test_silence_has_no_descriptors():
    impression = measure_clip(torch.zeros(3 * RATE), RATE, transcription_of((), ()), Musicnn())
    assert (impression.vibrato_cents, impression.between_partials_db, impression.attack_ms) == (None, None, None)
    short = measure_clip(torch.zeros(RATE // 2), RATE, transcription_of((), ()), Musicnn())
    assert (short.tags, short.features) == ({}, [])


def result(tag: float, frame_f: float | None, vibrato: float | None) -> dict:
    features = np.random.default_rng(round(1000 * tag)).standard_normal((3, FEATURES)).tolist()
    return {
        "tags": {"violin": tag},
        "features": features,
        "frame_f": frame_f,
        "note_f1": frame_f,
        "vibrato_cents": vibrato,
        "vibrato_hz": None,
        "between_partials_db": -40.0,
        "attack_ms": 50.0,
    }


def test_a_summary_has_medians_of_the_known_values():
    results = [result(0.1, 0.5, 3.0), result(0.4, 0.7, None), result(0.9, None, 9.0)]
    reference = RecordedReference([np.random.default_rng(n).standard_normal((3, FEATURES)) for n in range(6)])
    values = summarize(results, "violin", reference)
    assert values["clips"] == 3
    assert values["tag"] == pytest.approx(0.4)
    assert values["frame_f"] == pytest.approx(0.6)
    assert values["vibrato_cents"] == pytest.approx(6)
    assert values["vibrato_hz"] is None
    assert values["frechet"] == pytest.approx(reference.distance([np.array(r["features"]) for r in results]))
    assert summarize(results, "trumpet", None)["tag"] is None
    assert summarize([], "violin", reference)["frechet"] is None
