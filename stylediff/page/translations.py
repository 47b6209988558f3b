"""The page's texts in six languages, from ``translations.json``."""

import json
from functools import lru_cache
from pathlib import Path

import gradio as gr

TEXTS = Path(__file__).with_name("translations.json")
FALLBACK = "en"


@lru_cache(maxsize=1)
def load_texts() -> dict[str, dict[str, str]]:
    """Texts by language and key."""
    return json.loads(TEXTS.read_text(encoding="utf-8"))


def build_labels(more: dict[str, dict[str, str]] | None = None) -> gr.I18n:
    """Labels that the browser translates to the visitor's language.

    Args:
        more: further texts by language and key.
    """
    return gr.I18n(**{language: texts | (more or {}).get(language, {}) for language, texts in load_texts().items()})


def words_for(accepted: str | None) -> dict[str, str]:
    """Return texts in the first available language, else in English.

    Languages are those of an Accept-Language header.
    """
    for part in (accepted or "").split(","):
        language = part.split(";")[0].strip().split("-")[0].lower()
        if language in load_texts():
            return load_texts()[language]
    return load_texts()[FALLBACK]
