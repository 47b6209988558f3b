import itertools
import struct

import numpy as np
import pytest

from stylediff.notes import Note
from train.data.soundfont_writer import FontPreset, Sample, SoundFontError, Zone, write_soundfont
from train.data.soundfonts import FluidSynthesizer, Preset, TinySynthesizer, soundfont_voices

RATE = 44100
RECORDS = {
    **{b"phdr": 38, b"pbag": 4, b"pmod": 10, b"pgen": 4, b"inst": 22},
    **{b"ibag": 4, b"imod": 10, b"igen": 4, b"shdr": 46},
}


def tone(hz: float, seconds: float, harmonics: tuple[float, ...] = (1.0,)) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * sum(level * np.sin(2 * np.pi * (n + 1) * hz * time) for n, level in enumerate(harmonics))


def looped(harmonics: tuple[float, ...] = (1.0,)) -> Sample:
    """A tone of 441 Hz with a loop of whole periods."""
    return Sample("tone", tone(441, 0.5, harmonics), RATE, 69, 4, (1000, 21000))


def write(folder, *zones: Zone):
    path = folder / "Made.sf2"
    write_soundfont(path, "Made", [FontPreset("violin", 40, 0, zones)])
    return path


def chunks(data: bytes) -> dict[bytes, bytes]:
    """All chunks of a SoundFont by name."""
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"sfbk"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    found, at = {}, 12
    while at < len(data):
        name, (size,) = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])
        if name == b"LIST":
            at += 12
            continue
        found[name] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert at == len(data)
    return found


@pytest.fixture(params=[FluidSynthesizer, TinySynthesizer])
def play(request):
    """Play a note of a preset with either synthesizer, (samples,)."""

    def render(path, note: Note, seconds: float) -> np.ndarray:
        preset = soundfont_voices(str(path))[f"violin/{path.stem}-40"]
        return request.param(path, RATE).render((note,), preset, round(seconds * RATE), {})

    try:
        request.param(write(request.getfixturevalue("tmp_path"), Zone(looped(), (0, 127), (0, 127), 0.1)), RATE)
    except ImportError as error:
        pytest.skip(str(error))
    return render


def peak_hz(waveform: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(waveform, 8 * RATE)).argmax()) / 8


def level_db(waveform: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(waveform**2)) + 1e-9))


def test_records_follow_the_specification(tmp_path):
    struck = Sample("struck", tone(220, 0.2), RATE, 57)
    path = write(tmp_path, Zone(struck, (0, 63), (0, 127), 0.1), Zone(looped(), (64, 127), (0, 127), 0.2))
    found = chunks(path.read_bytes())
    assert list(found)[:2] == [b"ifil", b"isng"]
    assert struct.unpack("<HH", found[b"ifil"]) == (2, 4)
    assert list(found)[-9:] == list(RECORDS)
    for name, size in RECORDS.items():
        assert len(found[name]) % size == 0, name
        assert len(found[name]) >= size
    generators = [struct.unpack("<HH", found[b"igen"][at : at + 4]) for at in range(0, len(found[b"igen"]), 4)]
    bags = [struct.unpack("<HH", found[b"ibag"][at : at + 4]) for at in range(0, len(found[b"ibag"]), 4)]
    assert bags[-1] == (len(generators) - 1, len(found[b"imod"]) // 10 - 1)
    assert bags == sorted(bags)
    for (first, _), (end, _) in itertools.pairwise(bags[1:]):
        assert [kind for kind, _ in generators[first:end]] == [43, 44, 38, 54, 53]
    data = np.frombuffer(found[b"smpl"], "<i2")
    for at, sample in ((0, struck), (46, looped())):
        start, end, loop_start, loop_end = struct.unpack("<IIII", found[b"shdr"][at + 20 : at + 36])
        assert end - start == len(sample.waveform)
        assert np.abs(data[start:end] / 32767 - sample.waveform).max() < 1e-4
        assert not data[end : end + 46].any()
        assert (loop_start - start, loop_end - start) == (sample.loop or (0, len(sample.waveform)))


@pytest.mark.parametrize("cents", [0, 20, -35])
def test_a_detuned_sample_sounds_in_tune(play, tmp_path, cents):
    sample = Sample("tone", tone(440 * 2 ** (cents / 1200), 3.0), RATE, 69, cents)
    path = write(tmp_path, Zone(sample, (0, 127), (0, 127), 0.1))
    for pitch in (69, 76):
        hz = peak_hz(play(path, Note(0.1, 1.9, pitch, 100), 2))
        assert abs(1200 * np.log2(hz / (440 * 2 ** ((pitch - 69) / 12)))) < 2


def test_a_loop_sounds_as_long_as_the_key_is_held_and_a_struck_note_does_not(play, tmp_path):
    held = play(write(tmp_path, Zone(looped(), (0, 127), (0, 127), 0.1)), Note(0.0, 2.5, 69, 100), 3)
    levels = [level_db(held[at : at + 4410]) for at in range(4410, round(2.4 * RATE), 4410)]
    assert np.ptp(levels) < 0.2
    assert level_db(held[round(2.8 * RATE) :]) < levels[0] - 60
    struck = Sample("tone", tone(440, 0.5), RATE, 69)
    once = play(write(tmp_path, Zone(struck, (0, 127), (0, 127), 0.1)), Note(0.0, 2.5, 69, 100), 2)
    assert level_db(once[round(0.6 * RATE) :]) < level_db(once[: RATE // 2]) - 60


def test_velocity_chooses_the_layer_and_keys_the_note(play, tmp_path):
    high = Sample("high", tone(880, 0.5), RATE, 81, 0, (1000, 21000))
    path = write(
        tmp_path,
        Zone(looped(), (0, 75), (0, 70), 0.1),
        Zone(looped((0.0, 1.0)), (0, 75), (71, 127), 0.1),
        Zone(high, (76, 127), (0, 127), 0.1),
    )
    for pitch, velocity, hz in ((69, 70, 440), (69, 71, 880), (76, 100, 659.3), (75, 60, 622.3)):
        assert peak_hz(play(path, Note(0.1, 1.5, pitch, velocity), 1.5)) == pytest.approx(hz, rel=0.002)


def test_soft_notes_are_softer_and_not_duller(play, tmp_path):
    path = write(tmp_path, Zone(looped((1.0,) + (0.0,) * 18 + (1.0,)), (0, 127), (0, 127), 0.1))
    soft, loud = (play(path, Note(0.0, 1.0, 69, velocity), 1) for velocity in (20, 127))
    assert level_db(soft) < level_db(loud) - 12
    spectra = [np.abs(np.fft.rfft(waveform)) for waveform in (soft, loud)]
    low, high = (max_near(spectra, hz) for hz in (440, 8800))
    assert high[0] / low[0] == pytest.approx(high[1] / low[1], rel=0.1)


def max_near(spectra: list[np.ndarray], hz: int) -> list[float]:
    return [float(spectrum[hz - 30 : hz + 30].max()) for spectrum in spectra]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"waveform": np.zeros(20)}, "has 20 samples; at least 48"),
        ({"cents": 120}, "is 120 cents off"),
        ({"loop": (2, 1000)}, "loop of sample 'x' is 2 to 1000; it must have at least 32 samples and lie 8"),
        ({"loop": (500, 1000)}, "lie 8 samples inside its 1000"),
    ],
)
def test_invalid_samples_are_refused(change, sentence):
    with pytest.raises(SoundFontError, match=sentence):
        Sample(**{"name": "x", "waveform": np.zeros(1000), "sample_rate": RATE, "pitch": 60} | change)


def test_a_soundfont_needs_a_note(tmp_path):
    with pytest.raises(SoundFontError, match="at least one preset with one note"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_presets_are_listed_by_bank_and_program(tmp_path):
    zone = Zone(looped(), (0, 127), (0, 127), 0.1)
    presets = [FontPreset("b", 42, 1, (zone,)), FontPreset("a", 40, 1, (zone,)), FontPreset("c", 0, 0, (zone,))]
    write_soundfont(tmp_path / "Three.sf2", "Three", presets)
    headers = chunks((tmp_path / "Three.sf2").read_bytes())
    numbers = [struct.unpack("<HH", headers[b"phdr"][at + 20 : at + 24]) for at in range(0, 3 * 38, 38)]
    assert numbers == [(0, 0), (40, 1), (42, 1)]
    assert len(headers[b"shdr"]) == 2 * 46  # one sample, kept once
    assert soundfont_voices(str(tmp_path / "Three.sf2"))["violin/Three-40.1"] == Preset(tmp_path / "Three.sf2", 40, 1)
