import contextlib
import importlib
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from stylediff.instruments import INSTRUMENTS
from stylediff.notes import Note
from tests.helpers.files import PROGRAMS, write_soundfont
from train.data.excerpts import LEAD_IN_S
from train.data.performance import IDIOMS, Gesture, Idiom, Shape
from train.data.soundfonts import (
    FluidSynthesizer,
    Preset,
    SynthesisError,
    TinySynthesizer,
    bend,
    note_events,
    open_synthesizer,
    soundfont_presets,
    soundfont_voices,
)

SAMPLE_RATE = 22050
NOTE = (Note(0.0, 0.9, 69, 100),)
OTHERS = (Note(0.0, 0.5, 60, 127), Note(0.1, 0.9, 72, 40), Note(0.3, 0.8, 76, 90))


def usable_synthesizers() -> list[type]:
    """Installed synthesizers: tinysoundfont, and FluidSynth if its library is there."""
    found = []
    for module, synthesizer in (("fluidsynth", FluidSynthesizer), ("tinysoundfont", TinySynthesizer)):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)  # fluidsynth fails without the library
            found.append(synthesizer)
    return found


@pytest.fixture(params=usable_synthesizers())
def player(request, soundfonts):
    return request.param(soundfonts[1], SAMPLE_RATE)


def preset(program: int, bank: int = 0) -> Preset:
    return Preset(Path("tiny.sf2"), program, bank)


def peak_hz(waveform: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(waveform)).argmax()) * SAMPLE_RATE / len(waveform)


def cents(hz: float, reference_hz: float) -> float:
    return 1200 * np.log2(hz / reference_hz)


@pytest.mark.parametrize(("pitch", "hz"), [(57, 220.0), (69, 440.0), (81, 880.0)])
def test_a_note_sounds_at_its_pitch(player, pitch, hz):
    waveform = player.render((Note(0.0, 2.0, pitch, 100),), preset(40), 2 * SAMPLE_RATE, {})
    assert waveform.shape == (2 * SAMPLE_RATE,)
    assert waveform.dtype == np.float32
    assert abs(cents(peak_hz(waveform), hz)) < 10


def test_the_same_notes_sound_the_same_after_other_clips(player):
    first = player.render(NOTE, preset(40), SAMPLE_RATE, {})
    for program in (0, 73):
        player.render(OTHERS, preset(program), SAMPLE_RATE, {64: 127, 11: 80}, 37.0)
    again = player.render(NOTE, preset(40), SAMPLE_RATE, {})
    assert np.abs(first).max() > 0.01
    assert first.tobytes() == again.tobytes()


def test_a_note_starts_and_ends_in_time(player):
    waveform = player.render((Note(0.5, 1.0, 69, 100),), preset(40), 2 * SAMPLE_RATE, {})
    level = np.abs(waveform).reshape(-1, 441).max(1)  # 20 ms each
    assert level[:24].max() < 1e-3
    assert level[26] > 0.3 * level.max()
    assert level[-20:].max() < 0.01 * level.max()


def test_notes_of_the_lead_in_still_sound_at_the_start(player):
    waveform = player.render((Note(-0.5, 0.5, 69, 100),), preset(40), SAMPLE_RATE, {})
    assert np.abs(waveform[:441]).max() > 0.3 * np.abs(waveform).max()


def test_no_notes_are_silence(player):
    assert np.abs(player.render((), preset(40), SAMPLE_RATE, {})).max() < 1e-6


def test_louder_velocities_are_louder(player):
    quiet, loud = (player.render((Note(0.0, 0.9, 69, v),), preset(40), SAMPLE_RATE, {}).std() for v in (40, 120))
    assert loud > 1.5 * quiet


def test_expression_lowers_the_level(player):
    quiet, loud = (player.render(NOTE, preset(40), SAMPLE_RATE, {11: value}).std() for value in (60, 127))
    assert quiet < 0.7 * loud


def test_detuning_moves_the_pitch(player):
    straight = peak_hz(player.render((Note(0.0, 2.0, 81, 100),), preset(40), 2 * SAMPLE_RATE, {}))
    detuned = peak_hz(player.render((Note(0.0, 2.0, 81, 100),), preset(40), 2 * SAMPLE_RATE, {}, 50.0))
    assert cents(detuned, straight) == pytest.approx(50, abs=4)


def test_the_tiny_soundfont_offers_every_instrument(soundfonts):
    assert [preset.program for preset in soundfont_presets(soundfonts[0])] == sorted(PROGRAMS)
    voices = soundfont_voices(str(soundfonts[0]))
    assert list(voices) == [f"{instrument.name}/Pure-{instrument.programs[0]}" for instrument in INSTRUMENTS]
    assert voices["violin/Pure-40"] == Preset(soundfonts[0], 40)


def test_programs_after_a_colon_choose_voices(soundfonts):
    assert list(soundfont_voices(f"{soundfonts[0]}:40,0")) == ["piano/Pure-0", "violin/Pure-40"]


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("nowhere.sf2", r"no such soundfont: nowhere\.sf2"),
        ("text.sf2", r"text\.sf2 is not a soundfont"),
        ("drums.sf2", r"drums\.sf2 has no preset of any known instrument"),
        ("drums.sf2:violin", "the presets after the colon must be numbers like 40,42.1, got 'violin'"),
    ],
)
def test_unusable_soundfonts_are_refused_with_a_reason(tmp_path, monkeypatch, argument, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.sf2").write_text("not a soundfont")
    write_soundfont(tmp_path / "drums.sf2", programs=(113,))
    with pytest.raises(SynthesisError, match=complaint):
        soundfont_voices(argument)


def test_a_damaged_soundfont_is_refused_when_loaded(tmp_path, player):
    write_soundfont(tmp_path / "damaged.sf2")
    (tmp_path / "damaged.sf2").write_bytes((tmp_path / "damaged.sf2").read_bytes()[:2000])
    with pytest.raises(SynthesisError, match=r"cannot load damaged\.sf2"):
        type(player)(tmp_path / "damaged.sf2", SAMPLE_RATE)


def test_a_soundfont_is_opened_by_an_installed_synthesizer(soundfonts):
    waveform = open_synthesizer(soundfonts[0], SAMPLE_RATE).render(NOTE, preset(0), SAMPLE_RATE, {})
    assert abs(cents(peak_hz(waveform), 440.0)) < 10


def test_events_are_on_the_grid_with_ends_before_onsets():
    events = note_events((Note(0.0, 1.0, 60, 80), Note(1.0, 1.0, 60, 90)), SAMPLE_RATE)
    assert all(event.sample % 64 == 0 for event in events)
    assert [event.kind for event in events] == ["on", "off", "on", "off"]
    assert events[0].sample == pytest.approx(LEAD_IN_S * SAMPLE_RATE, abs=32)
    assert events[3].sample - events[2].sample == 64


def test_notes_with_shapes_have_separate_channels():
    shape = Shape(Gesture(), IDIOMS["violin"])
    chord = tuple(Note(0.0, 1.0, pitch, 80) for pitch in (60, 64, 67))
    events = note_events(chord, SAMPLE_RATE, [shape] * 3)
    assert len({event.channel for event in events if event.kind == "on"}) == 3
    line = tuple(Note(0.5 * number, 0.5 * number + 0.1, 60, 80) for number in range(4))
    events = note_events(line, SAMPLE_RATE, [shape] * 4)
    assert {event.channel for event in events} == {0}


def test_vibrato_moves_the_pitch_of_a_held_note(player):
    note = (Note(0.0, 2.0, 69, 100),)
    shape = Shape(Gesture(vibrato=2.0, vibrato_hz=5.0, vibrato_delay_s=0.0), Idiom(30.0, 0.0, 0.0, 0.0, False))
    still, moving = (player.render(note, preset(40), 2 * SAMPLE_RATE, {}, 0.0, shapes) for shapes in ((), (shape,)))
    fundamental = scipy.signal.butter(2, (350, 550), "bandpass", fs=SAMPLE_RATE, output="sos")
    lines = (scipy.signal.sosfiltfilt(fundamental, waveform) for waveform in (still, moving))
    phase = [np.unwrap(np.angle(scipy.signal.hilbert(line))) for line in lines]
    hz = [np.diff(p)[SAMPLE_RATE // 2 : -SAMPLE_RATE // 5] * SAMPLE_RATE / (2 * np.pi) for p in phase]
    smooth = [np.convolve(h, np.ones(441) / 441, "valid") for h in hz]
    spread = [np.percentile(cents(h, 440.0), 95) - np.percentile(cents(h, 440.0), 5) for h in smooth]
    assert spread[0] < 15
    assert spread[1] == pytest.approx(120, abs=25)  # 60 cents on either side


def test_presets_of_other_banks_have_other_names(tmp_path):
    font = write_soundfont(tmp_path / "Banks.sf2", programs=(40, 40), banks=(0, 1))
    assert list(soundfont_voices(str(font))) == ["violin/Banks-40", "violin/Banks-40.1"]
    assert list(soundfont_voices(f"{font}:40.1")) == ["violin/Banks-40.1"]
    assert soundfont_voices(str(font))["violin/Banks-40.1"] == Preset(font, 40, 1)
    full = write_soundfont(tmp_path / "Full.sf2", programs=(40, 40, 113), banks=(0, 1, 0))
    assert list(soundfont_voices(str(full))) == ["violin/Full-40"]


def test_pitch_bend_covers_two_semitones():
    assert [bend(c) for c in (0, 100, -200, 500)] == [0, 4096, -8192, 8191]
