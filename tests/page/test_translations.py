import string

import pytest

from stylediff.page.translations import load_texts, words_for


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_has_every_text_with_the_same_placeholders():
    english = load_texts()["en"]
    assert set(load_texts()) == {"en", "es", "fr", "de", "zh", "ja"}
    for language, texts in load_texts().items():
        assert texts.keys() == english.keys(), language
        for key, text in texts.items():
            assert text.strip(), (language, key)
            assert fields(text) == fields(english[key]), (language, key)


@pytest.mark.parametrize(
    ("accepted", "stop"),
    [
        (None, "Stop"),
        ("", "Stop"),
        ("de-CH,de;q=0.9", "Stopp"),
        ("pt, fr;q=0.5", "Arrêter"),
        ("zh", "停止"),
        ("xx", "Stop"),
    ],
)
def test_the_first_available_language_is_used(accepted, stop):
    assert words_for(accepted)["stop"] == stop
