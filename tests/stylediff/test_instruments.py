import pytest

from stylediff.instruments import INSTRUMENT_NAMES, INSTRUMENTS, choose_instruments, get_instrument


def test_names_programs_and_colours_are_unique():
    programs = [program for instrument in INSTRUMENTS for program in instrument.programs]
    assert len(set(INSTRUMENT_NAMES)) == len(INSTRUMENTS) == 11
    assert len(set(programs)) == len(programs)
    assert len({instrument.colour for instrument in INSTRUMENTS}) == len(INSTRUMENTS)


def test_every_range_is_on_the_piano():
    piano = get_instrument("piano")
    for instrument in INSTRUMENTS:
        assert piano.lowest <= instrument.lowest < instrument.highest <= piano.highest


def test_a_voice_is_named_after_soundfont_and_program():
    assert get_instrument("violin").default_voice == "violin/OPEN_small-40"
    assert get_instrument("flute").default_voice == "flute/RealOpen-73.1"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown instrument 'banjo'; choose one of piano, guitar, .*, vibraphone"):
        get_instrument("banjo")


def test_no_names_choose_all_instruments():
    assert choose_instruments([]) == list(INSTRUMENT_NAMES)
    assert choose_instruments(["harp", "flute"]) == ["harp", "flute"]
    with pytest.raises(ValueError, match="unknown instrument 'banjo'"):
        choose_instruments(["harp", "banjo"])
