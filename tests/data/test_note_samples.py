import numpy as np
import pytest
import soundfile

from train.data.note_samples import (
    SAMPLE_RATE,
    NoteError,
    close_loop,
    fade_out,
    find_loop,
    load_note,
    measure_cents,
    note_loudness,
    trim_note,
)

pytestmark = pytest.mark.slow

NOISE = 3e-4


def string(pitch: int, cents: float = 0.0, seconds: float = 2.0, stiffness: float = 0.0, vibrato: float = 0.0):
    """A tone of eight partials, sharp by stiffness, with vibrato (cents) at 5.5 Hz."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    hz = 440 * 2 ** ((pitch - 69) / 12 + cents / 1200)
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (vibrato * np.sin(2 * np.pi * 5.5 * time) / 1200)) / SAMPLE_RATE
    partials = [n for n in range(1, 9) if n * hz < 18000]
    return 0.2 * sum(np.sin(n * np.sqrt(1 + stiffness * n**2) * phase) / n for n in partials)


def late(waveform: np.ndarray, seconds: float) -> np.ndarray:
    """A waveform after some seconds of faint noise."""
    samples = round(seconds * SAMPLE_RATE)
    noise = NOISE * np.random.default_rng(0).standard_normal(samples + len(waveform))
    return noise + np.pad(waveform, (samples, 0))


def onset_s(waveform: np.ndarray) -> float:
    return float(np.argmax(np.abs(waveform) > 0.01)) / SAMPLE_RATE


@pytest.mark.parametrize("kind", ["sustained", "struck"])
@pytest.mark.parametrize("seconds", [0.0, 0.003, 0.25])
def test_a_note_is_cut_to_4_ms_before_its_onset(kind, seconds):
    trimmed = trim_note(late(string(69), seconds), kind)
    assert onset_s(trimmed) == pytest.approx(min(seconds, 0.004), abs=0.0025)
    assert trimmed[0] == 0


def test_a_click_before_the_note_is_not_an_onset():
    waveform = late(string(69), 0.4)
    waveform[4000:4060] += 0.2
    assert onset_s(trim_note(waveform, "sustained")) == pytest.approx(0.004, abs=0.002)


def test_a_note_that_rises_slowly_begins_on_its_rise():
    rising = string(69) * np.clip(np.arange(2 * SAMPLE_RATE) / (0.6 * SAMPLE_RATE), 0, 1)
    removed = len(rising) - len(trim_note(rising, "sustained"))
    assert removed / SAMPLE_RATE == pytest.approx(0.3 - 0.124, abs=0.03)  # it reaches half of its peak at 0.3 s


@pytest.mark.parametrize("pitch", [21, 33, 57, 69, 88, 100, 108])
@pytest.mark.parametrize("cents", [0.0, 17.3, -41.0])
def test_detuning_is_measured_within_two_cents(pitch, cents):
    assert measure_cents(string(pitch, cents), pitch) == pytest.approx(cents, abs=2)


def test_vibrato_and_stiff_strings_do_not_mislead():
    assert measure_cents(string(62, 12, vibrato=20), 62) == pytest.approx(12, abs=2)
    assert measure_cents(string(40, -8, stiffness=3e-4), 40) == pytest.approx(-8, abs=4)


@pytest.mark.parametrize("levels", [(0.05, 0.2, 1.0), (0.1, 1.0, 0.3), (1.0, 0.0, 0.9), (0.02, 0.5, 0.5)])
def test_weak_fundamentals_do_not_mislead(levels):
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    hz = 440 * 2 ** ((55 - 69) / 12 + 21 / 1200)
    note = sum(level * np.sin(2 * np.pi * (n + 1) * hz * time + n) for n, level in enumerate(levels))
    assert measure_cents(note, 55) == pytest.approx(21, abs=2)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (12, "an octave or more above its stated pitch 60"),
        (19, "an octave or more above its stated pitch 60"),
        (24, "an octave or more above its stated pitch 60|off its stated pitch 60"),
        (1, "off its stated pitch 60 by (99|10[01]) cents"),
        (-1, "off its stated pitch 60 by (9[789]|10[01]) cents"),
        (-12, "no steady sound at its stated pitch 60|off its stated pitch 60"),
        (3, "no steady sound at its stated pitch 60|off its stated pitch 60"),
        (-7, "no steady sound at its stated pitch 60|off its stated pitch 60"),
    ],
)
def test_a_pitch_other_than_the_stated_one_is_refused(wrong, sentence):
    with pytest.raises(NoteError, match=sentence):
        measure_cents(string(60 + wrong), 60)


def test_a_sound_without_pitch_is_refused():
    noise = 0.1 * np.random.default_rng(1).standard_normal(SAMPLE_RATE)
    with pytest.raises(NoteError, match=r"no steady sound at its stated pitch 60|off its stated pitch"):
        measure_cents(noise, 60)
    with pytest.raises(NoteError, match=r"0\.08 s are too short to measure"):
        measure_cents(string(40, seconds=0.08), 40)


def played(waveform: np.ndarray, loop: tuple[int, int]) -> np.ndarray:
    """A looped note as a synthesizer holds it, with three repeats of its loop."""
    return np.concatenate([waveform[: loop[1]], *[waveform[loop[0] : loop[1]]] * 2])


def levels(waveform: np.ndarray) -> np.ndarray:
    blocks = waveform[: len(waveform) // 2205 * 2205].reshape(-1, 2205)
    return 20 * np.log10(np.sqrt(np.mean(blocks**2, axis=1)))


@pytest.mark.parametrize("vibrato", [0.0, 18.0])
def test_a_loop_repeats_without_a_seam(vibrato):
    note = string(64, seconds=2.5, vibrato=vibrato)
    loop = find_loop(note)
    assert (loop[1] - loop[0]) / SAMPLE_RATE > 0.5
    closed = played(close_loop(note, loop), loop)
    bends = np.abs(np.diff(closed, 2))
    seam = bends[loop[1] - 5 : loop[1] + 5].max()
    assert seam <= 1.2 * bends[loop[0] + 5000 : loop[1] - 5000].max()
    assert np.ptp(levels(closed[loop[0] :])) < 0.5
    if vibrato:  # full periods of vibrato fit into the loop
        turns = (loop[1] - loop[0]) / SAMPLE_RATE * 5.5
        assert abs(turns - round(turns)) < 0.1


def test_a_note_that_fades_does_not_pulse_in_its_loop():
    note = string(64, seconds=2.5) * 10 ** (-6 * np.linspace(0, 1, round(2.5 * SAMPLE_RATE)) / 20)
    loop = find_loop(note)
    closed = played(close_loop(note, loop), loop)
    assert np.ptp(levels(note[loop[0] : loop[1]])) > 2
    assert np.ptp(levels(closed[loop[0] :])) < 0.7


def test_uncorrelated_ends_of_a_loop_keep_their_level():
    noise = 0.1 * np.random.default_rng(2).standard_normal(2 * SAMPLE_RATE)
    loop = (20000, 60000)
    closed = played(close_loop(noise, loop), loop)
    assert np.abs(levels(closed[loop[0] :]) - levels(noise).mean()).max() < 1


def test_a_note_too_short_for_a_loop_is_refused():
    with pytest.raises(NoteError, match=r"s of steady sound are too short for a loop; 0\.35 s are needed"):
        find_loop(string(64, seconds=0.4))
    with pytest.raises(NoteError, match="is outside of the note"):
        close_loop(string(64, seconds=0.4), (5000, 40000))


def test_a_struck_note_decays_as_recorded_and_ends_in_silence():
    decaying = string(60, seconds=4.0) * np.exp(-3 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE)
    faded = fade_out(decaying, 7.0)
    assert 2.0 < len(faded) / SAMPLE_RATE < 3.0  # it falls by 60 dB in 2.3 s
    assert np.array_equal(faded[: len(faded) // 2], decaying[: len(faded) // 2])
    assert abs(faded[-1]) < 1e-6
    assert len(fade_out(decaying, 1.0)) == SAMPLE_RATE


def test_loudness_follows_gain():
    for kind, note in (("sustained", string(60)), ("struck", string(60, seconds=0.15))):
        assert note_loudness(0.5 * note, kind) == pytest.approx(note_loudness(note, kind) - 6.02, abs=0.01)


def test_notes_are_read_at_one_rate_in_mono(tmp_path):
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(24000) / 48000)
    soundfile.write(tmp_path / "a.flac", np.stack([wave, wave], axis=1), 48000)
    assert load_note(tmp_path / "a.flac").shape == (22050,)
    soundfile.write(tmp_path / "silent.wav", np.zeros(24000), 48000)
    with pytest.raises(NoteError, match="it is silent"):
        load_note(tmp_path / "silent.wav")
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(NoteError, match=r"text\.wav is not audio"):
        load_note(tmp_path / "text.wav")
