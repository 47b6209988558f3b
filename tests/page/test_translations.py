import ast
import re
import string
from pathlib import Path

import pytest

from stylediff.containers import OTHER_KINDS
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.page.layout import build_page
from stylediff.page.translations import PageLabels, load_texts, words_for
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline

PAGE = ROOT / "stylediff" / "page"
SPOKEN = {"label", "placeholder", "info"}  # arguments that a visitor reads
WRITERS = {"Button", "Markdown", "Tab", "Accordion", "UploadButton"}  # components whose first argument a visitor reads
# texts that are the same in some other language
ALIKE = {
    "piano", "cello", "saxophone", "vibraphone", "balanced", "auto", "room_studio", "instrument_tab", "convert_tab",
    "mono", "stereo", "position", "stop", "repair_instrument",
}  # fmt: skip


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


@pytest.mark.slow
def test_no_value_of_the_page_is_a_key_that_the_browser_would_translate():
    page, _ = build_page(tiny_pipeline(), [])
    keys = set(PageLabels().translations["en"])
    assert len(keys) == len(load_texts()["en"])
    values = [getattr(component, "value", None) for component in page.blocks.values()]
    for component in page.blocks.values():
        values += [value for _, value in getattr(component, "choices", None) or []]
    texts = {value for value in values if isinstance(value, str)}
    assert {"violin", "auto", "balanced"} <= texts
    assert keys.isdisjoint(texts)


def spoken_literals(path: Path) -> list[str]:
    """Sentences that a file shows without asking for a translation."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            spoken = [keyword.value for keyword in node.keywords if keyword.arg in SPOKEN]
            spoken += node.args[:1] if name in WRITERS else []
            found += [str(value.value) for value in spoken if isinstance(value, ast.Constant)]
    return [text for text in found if re.search("[a-z]", text)]


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.py")), ids=lambda path: path.name)
def test_no_sentence_is_in_the_code(path):
    assert spoken_literals(path) == []


def test_a_planted_sentence_is_found(tmp_path):
    file = tmp_path / "tab.py"
    file.write_text('gr.Button("Go")\ngr.Number(0, label="Seconds")\ngr.Button(t("go"), elem_id="go")\n')
    assert spoken_literals(file) == ["Go", "Seconds"]


def test_every_text_is_translated():
    english = load_texts()["en"]
    same = {
        key for texts in load_texts().values() if texts is not english for key in texts if texts[key] == english[key]
    }
    assert same <= ALIKE


def test_every_text_is_used():
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in PAGE.glob("*.*") if path.suffix in (".py", ".html", ".js")
    )
    settings = (ROOT / "stylediff" / "settings.py").read_text(encoding="utf-8")
    built = {
        key for key in load_texts()["en"] if re.match("code_|tone_|repair_|room_|tuning_|error_|setting_", key)
    } | {*INSTRUMENT_NAMES}
    unused = {key for key in load_texts()["en"].keys() - built if not re.search(rf"\b{key}\b", code + settings)}
    assert unused == set()


@pytest.mark.parametrize(
    ("error", "prefix", "more"),
    [("AudioError", "error_", {reason for _, reason, _ in OTHER_KINDS}), ("SettingError", "setting_", set())],
)
def test_every_reason_of_an_error_has_a_text(error, prefix, more):
    """``error_REASON`` for each second argument of ``AudioError``, and for each kind of file that is no sound."""
    calls = [
        node
        for path in sorted((ROOT / "stylediff").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == error
    ]
    reasons = {call.args[1].value for call in calls if len(call.args) > 1 and isinstance(call.args[1], ast.Constant)}
    assert {prefix + reason for reason in reasons | more} == {
        key for key in load_texts()["en"] if key.startswith(prefix)
    }
