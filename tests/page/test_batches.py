"""Several files at once, around a tiny pipeline."""

import zipfile

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.tiny import write_tone


def test_one_bad_file_of_several_stops_no_other(address, tmp_path):
    good = [write_tone(tmp_path / name) for name in ("piano_a.wav", "piano_b.wav")]
    bad = tmp_path / "bad.wav"
    bad.write_text("these are not samples")
    files = [handle_file(str(path)) for path in (good[0], bad, good[1])]
    _, outcomes, archive = Client(address, verbose=False).predict(files, "flute", "fast", 0, api_name="/batch")
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["piano_to_flute_seed0.wav", "piano_to_flute_seed0_2.wav"]
    assert "| bad.wav | bad.wav is not audio that can be read" in outcomes


@pytest.mark.parametrize(
    ("target", "preset", "sentence"),
    [
        ("flute", None, "preset must be one of fast, balanced, best, got None"),
        (None, "fast", "unknown instrument 'None'"),
    ],
)
def test_settings_that_are_null_give_a_sentence(address, clip, target, preset, sentence):
    with pytest.raises(AppError, match=sentence):
        Client(address, verbose=False).predict([handle_file(str(clip))], target, preset, 0, api_name="/batch")


def test_a_seed_that_is_null_is_zero(address, clip):
    files = [handle_file(str(clip))]
    _, outcomes, _ = Client(address, verbose=False).predict(files, "flute", "fast", None, api_name="/batch")
    assert "clip_to_flute_seed0.wav" in outcomes
