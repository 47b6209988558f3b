import json
from urllib.parse import parse_qsl, urlencode

import pytest

from stylediff.page.settings import LARGEST_SEED, PRESETS, Choices, file_stem, sample_seed
from stylediff.settings import SettingError

CHOSEN = Choices(
    target="harp",
    steps=7,
    guidance=1.5,
    strength=0.8,
    seed=123456789,
    start_s=2.5,
    length_s=12.0,
    like=0.25,
    dynamics=0.75,
    enhance=False,
)


def test_settings_survive_json_and_a_link():
    assert Choices.from_json(json.dumps(CHOSEN.to_dict())) == CHOSEN
    known = {name: value for name, value in CHOSEN.to_dict().items() if value is not None}
    assert Choices.from_dict(dict(parse_qsl(urlencode(known)))) == CHOSEN


def test_open_settings_survive_json_and_a_link():
    assert Choices.from_json(json.dumps(Choices().to_dict())) == Choices()
    assert Choices.from_dict({"steps": "auto", "temperature": "", "enhance": "auto"}) == Choices()


def test_missing_settings_keep_their_defaults_and_unknown_ones_are_ignored():
    assert Choices.from_dict({"seed": "5", "colour": "red"}) == Choices(seed=5)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"target": "kazoo"}, "target must be one of piano, guitar, .*, vibraphone, got 'kazoo'"),
        ({"steps": 0}, "steps must be 1 to 50, got 0"),
        ({"guidance": 9}, "guidance must be 1 to 4, got 9"),
        ({"strength": "nan"}, "strength must be 0 to 1"),
        ({"seed": -1}, "seed must be 0 to 2147483647, got -1"),
        ({"steps": "many"}, "steps must be a whole number, got 'many'"),
        ({"steps": "inf"}, "steps must be 1 to 50, got inf"),
        ({"seed": 0.5}, "seed must be a whole number, got 0.5"),
        ({"length_s": 0.1}, "length_s must be at least 0.5, got 0.1"),
        ({"like": 1.5}, "like must be 0 to 1"),
        ({"start_s": 1e999}, "start_s must be 0 to 86400, got inf"),
        ({"strength": None}, "strength must be a number, got None"),
        ({"guidance": "loud"}, "guidance must be a number, got 'loud'"),
        ({"target": None}, "target must be one of .*, got None"),
        ({"enhance": "perhaps"}, "enhance must be true or false, got 'perhaps'"),
    ],
)
def test_a_wrong_setting_is_named(values, sentence):
    with pytest.raises(SettingError, match=sentence):
        Choices.from_dict(values)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"colour": 1}', "\x00"])
def test_a_file_without_settings_is_refused(text):
    with pytest.raises(SettingError, match="the settings file"):
        Choices.from_json(text)


def test_presets_are_valid_settings():
    assert set(PRESETS) == {"fast", "balanced", "best"}
    for values in PRESETS.values():
        chosen = Choices.from_dict(values).to_dict()
        assert chosen | values == chosen


def test_seeds_differ_and_can_be_used():
    seeds = {sample_seed() for _ in range(8)}
    assert len(seeds) > 1
    assert all(0 <= Choices(seed=seed).seed <= LARGEST_SEED for seed in seeds)


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("piano_fur_elise", "piano_to_violin_seed1"),
        ("Violin 3", "violin_to_violin_seed1"),
        ("harpsichord_suite", "harpsichord_suite_to_violin_seed1"),
        ("my clip/..\\x", "my_clip____x_to_violin_seed1"),
        ("", "clip_to_violin_seed1"),
        ("ü" * 60, "ü" * 40 + "_to_violin_seed1"),
    ],
)
def test_results_are_named_after_source_target_and_seed(source, stem):
    assert file_stem(source, "violin", 1) == stem
