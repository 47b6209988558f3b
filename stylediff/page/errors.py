"""Errors as sentences in the visitor's language."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from stylediff.audio import AudioError
from stylediff.containers import UNEXPECTED, MissingFileError
from stylediff.page.translations import FALLBACK, load_texts
from stylediff.settings import SettingError

LOG = logging.getLogger(__name__)


class PageError(ValueError):
    """An error whose sentence is one of the page's texts.

    Attributes:
        key: of the text.
        values: what is filled in.
    """

    def __init__(self, key: str, **values: object) -> None:
        self.key, self.values = key, values
        super().__init__(load_texts()[FALLBACK][key].format(**values))


def label_setting(error: SettingError, words: dict[str, str]) -> dict[str, str]:
    """Return the label of a setting without its remark in brackets."""
    name = str(error.values.get("name", ""))
    return {"name": re.split(r" ?[(（]", words.get(name, name))[0]}


def explain(error: Exception, words: dict[str, str] | None = None) -> str:
    """Return the sentence of an error.

    Args:
        words: the page's texts in the visitor's language; English without. English names settings as programs do.
    """
    english = load_texts()[FALLBACK]
    words = words or english
    if isinstance(error, PageError):
        return words[error.key].format(**error.values)
    if isinstance(error, MissingFileError):
        return words["expired"]
    if isinstance(error, AudioError) and error.reason:
        return words[f"error_{error.reason}"].format(**error.values)
    if isinstance(error, SettingError) and error.reason and words is not english:
        return words[f"setting_{error.reason}"].format(**error.values | label_setting(error, words))
    if isinstance(error, AudioError) and words is not english:
        return f"{words['refused']} {error}"
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return str(error)
    LOG.error("a conversion failed", exc_info=error)
    return words["broken"]


@contextmanager
def as_gradio_errors(words: dict[str, str] | None = None) -> Iterator[None]:
    """Convert errors to sentences that the page shows."""
    try:
        yield
    except (ValueError, *UNEXPECTED) as error:
        raise gr.Error(explain(error, words)) from error
