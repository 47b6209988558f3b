"""Several files at once, around a tiny pipeline."""

import zipfile

from gradio_client import Client, handle_file

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
