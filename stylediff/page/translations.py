"""The page's texts in six languages, from ``translations.json``."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

TEXTS = Path(__file__).with_name("translations.json")
FALLBACK = "en"


@lru_cache(maxsize=1)
def load_texts() -> dict[str, dict[str, str]]:
    """Texts by language and key."""
    return json.loads(TEXTS.read_text(encoding="utf-8"))


class PageLabels(gr.I18n):
    """Labels that the browser translates to the visitor's language.

    gradio translates any value that equals a key, so that a choice ``"auto"`` would come back as "Automatic". Keys
    have a prefix that no value has.

    Args:
        more: further texts by language and key.
    """

    PREFIX = "text_"

    def __init__(self, more: dict[str, dict[str, str]] | None = None) -> None:
        texts = {language: words | (more or {}).get(language, {}) for language, words in load_texts().items()}
        super().__init__(**{lang: {self.PREFIX + key: text for key, text in of.items()} for lang, of in texts.items()})

    def __call__(self, key: str) -> Any:
        return super().__call__(self.PREFIX + key)


def words_for(accepted: str | None) -> dict[str, str]:
    """Return texts in the first available language, else in English.

    Languages are those of an Accept-Language header.
    """
    for part in (accepted or "").split(","):
        language = part.split(";")[0].strip().split("-")[0].lower()
        if language in load_texts():
            return load_texts()[language]
    return load_texts()[FALLBACK]
