import io
import random
import sys

import pytest
import soundfile

from stylediff.__main__ import main, parse_arguments
from stylediff.sources import cut_name, find_sources, make_output_printable, result_paths
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline, write_tone
from tests.tools.mutate_audio import encode


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline().save_pretrained(folder)
    return str(folder)


def test_patterns_and_folders_stand_for_their_files(tmp_path):
    for name in ("b.wav", "a.WAV", "c.txt", "sub/d.m4a", "odd[1].wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([tmp_path])
    assert [path.name for path in found] == ["a.WAV", "b.wav", "odd[1].wav", "d.m4a"]
    assert [path.name for path in find_sources([tmp_path / "?.wav"])] == ["b.wav"]
    assert find_sources([tmp_path / "odd[1].wav"]) == [tmp_path / "odd[1].wav"]
    assert find_sources([tmp_path / "*.mp3"]) == [tmp_path / "*.mp3"]


def test_a_folder_without_sound_is_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse_arguments([str(tmp_path), "--to", "harp", "--out-dir", str(tmp_path / "out")])
    assert "no audio file in the folders and patterns given" in capsys.readouterr().err


def test_names_are_cut_by_bytes_and_between_letters(tmp_path):
    sources = [tmp_path / f"{'ピアノ' * 40}.wav", tmp_path / f"{'a' * 250}.wav", tmp_path / "a.wav"]
    paths = result_paths(sources, tmp_path, "violin/Tiny-40", 7)
    for path in paths:
        assert len(path.name.encode()) <= 255
        path.touch()
    assert paths[2].name == "a_to_violin_Tiny-40_seed7.wav"
    assert cut_name("ピア", 4) == "ピ"


def test_any_name_can_be_printed(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    make_output_printable()
    print("ピアノ \udce9.wav")
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"\\u30d4")


@pytest.mark.parametrize("error", [AttributeError("odd"), MemoryError(), RuntimeError("cuda"), IndexError(3)])
def test_several_files_go_on_whatever_was_raised(model, tmp_path, capsys, monkeypatch, error):
    for name in ("a.wav", "b.wav", "c.wav"):
        write_tone(tmp_path / name)
    import stylediff.__main__ as command

    convert = command.convert

    def fails_at_b(pipeline, args, style, source, path):
        if source.name == "b.wav":
            raise error
        convert(pipeline, args, style, source, path)

    monkeypatch.setattr(command, "convert", fails_at_b)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "*.wav"), "--to", "harp", "--out-dir", str(out), "--steps", "1", "--model", model]
    assert main(arguments) == 2
    assert sorted(path.name for path in out.iterdir()) == ["a_to_harp_seed0.wav", "c_to_harp_seed0.wav"]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: b.wav: ")


@pytest.mark.slow
def test_a_result_is_replaced_only_with_force(model, tmp_path, capsys):
    clip, out = write_tone(tmp_path / "a.wav"), tmp_path / "out.wav"
    arguments = [str(clip), "--to", "harp", "-o", str(out), "--steps", "1", "--model", model]
    out.write_bytes(b"mine")
    with pytest.raises(SystemExit):
        main(arguments)
    assert "out.wav exists; --force replaces it" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    assert main([*arguments, "--force"]) == 0
    assert soundfile.info(out).frames == 30001
    folder = [str(clip), "--to", "harp", "--out-dir", str(tmp_path / "all"), "--steps", "1", "--model", model]
    assert main(folder) == 0
    assert main(folder) == 2
    assert "a_to_harp_seed0.wav exists" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_that_cannot_be_used_is_named_and_the_cpu_taken(model, tmp_path, device, caplog):
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    clip, out = write_tone(tmp_path / "a.wav"), tmp_path / "out.wav"
    arguments = [str(clip), "--to", "harp", "-o", str(out), "--steps", "1", "--model", model, "--device", device]
    assert main(arguments) == 0
    assert f"the {device} device cannot be used" in caplog.text
    assert soundfile.info(out).frames == 30001


@pytest.mark.slow
def test_a_damaged_source_is_said_on_the_command_line(model, tmp_path, capsys):
    path = tmp_path / "a.m4a"
    encode(path, "alac", soundfile.read(ROOT / "examples" / "piano_fur_elise.flac")[0], 22_050)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = random.Random(1).randbytes(64)
    path.write_bytes(content)
    arguments = [str(path), "--to", "harp", "-o", str(tmp_path / "o.wav"), "--steps", "1", "--model", model]
    assert main(arguments) == 0
    assert "a.m4a: " in (said := capsys.readouterr().err)
    assert "s could not be read" in said
