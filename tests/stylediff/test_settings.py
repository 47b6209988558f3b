import argparse
import inspect

import pytest

from stylediff import StyleTransferPipeline
from stylediff.settings import (
    AUTO,
    SettingError,
    TransferSettings,
    add_flags,
    check_recommended,
    declarations,
    read_flags,
)

SETTINGS = declarations(TransferSettings)


def test_settings_are_read_from_text_as_from_numbers():
    assert TransferSettings(steps="7", guidance="1.5", enhance="false") == TransferSettings(
        steps=7, guidance=1.5, enhance=False
    )
    assert TransferSettings.from_dict({"steps": 7.0, "colour": "red"}) == TransferSettings(steps=7)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": 0}, "steps must be 1 to 500, got 0"),
        ({"steps": 501}, "steps must be 1 to 500, got 501"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"steps": "many"}, "steps must be a whole number, got 'many'"),
        ({"steps": True}, "steps must be a whole number, got True"),
        ({"guidance": 0.5}, "guidance must be at least 1, got 0.5"),
        ({"strength": float("nan")}, "strength must be 0 to 1, got nan"),
        ({"strength": None}, "strength must be a number, got None"),
        ({"temperature": -1}, "temperature must be 0 to 1, got -1"),
        ({"dynamics": []}, r"dynamics must be a number, got \[\]"),
        ({"enhance": "perhaps"}, "enhance must be true or false, got 'perhaps'"),
    ],
)
def test_a_wrong_value_is_reported_with_the_allowed_ones(values, sentence):
    with pytest.raises(SettingError, match=sentence):
        TransferSettings(**values)


def test_open_settings_are_recommended_or_the_default():
    settings = TransferSettings(steps=AUTO, temperature=None, enhance=False)
    assert settings.steps is None
    resolved = settings.resolve({"steps": 9, "enhance": True, "voice": "harp/Tiny-46"})
    assert (resolved.steps, resolved.temperature, resolved.enhance) == (9, SETTINGS["temperature"].default, False)
    assert resolved.resolve({"steps": 1}) == resolved
    assert None not in TransferSettings().resolve({}).to_dict().values()


def test_settings_that_cannot_be_recommended_always_have_a_value():
    for name, value in TransferSettings().to_dict().items():
        assert value == (None if SETTINGS[name].is_auto else SETTINGS[name].default)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_a_flag_and_an_argument_of_the_pipeline(name):
    setting = SETTINGS[name]
    other = {bool: not setting.default, str: setting.choices[-1] if setting.choices else "", int: 7}.get(
        setting.kind, 1.0
    )
    chosen = TransferSettings(**{name: other})
    parser = argparse.ArgumentParser()
    add_flags(parser)
    flag = "--" + name.replace("_", "-")
    text = [flag, str(other)] if setting.kind is not bool else [flag if other else flag.replace("--", "--no-")]
    assert read_flags(parser.parse_args(text), TransferSettings) == chosen
    assert read_flags(parser.parse_args([]), TransferSettings) == TransferSettings()
    signature = inspect.signature(StyleTransferPipeline.__call__)
    assert chosen.kwargs().keys() <= signature.parameters.keys()
    assert signature.parameters[setting.argument or name].default == getattr(TransferSettings(), name)
    assert TransferSettings.from_kwargs(chosen.kwargs()) == chosen


@pytest.mark.parametrize(
    ("recommended", "sentence"),
    [
        ({"kazoo": {}}, "unknown instrument 'kazoo'"),
        ({"harp": {"strength": 0.5}}, "'strength' cannot be recommended for harp; choose from voice, steps"),
        ({"harp": {"steps": 0}}, "steps must be 1 to 50, got 0"),
        ({"harp": {"voice": "piano/TimGM-0"}}, "voice recommended for harp belongs to another instrument"),
    ],
)
def test_an_invalid_recommendation_is_named(recommended, sentence):
    check_recommended({"harp": {"voice": "harp/TimGM-46", "steps": 3}, "piano": {}})
    with pytest.raises(ValueError, match=sentence):
        check_recommended(recommended)
