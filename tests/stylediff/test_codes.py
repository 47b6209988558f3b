"""Coding of clips by the codebooks that ship."""

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from stylediff.checkpoint import CheckpointError
from stylediff.codes import (
    FOLDER,
    LABELS,
    SIZES,
    CodeDictionary,
    CodeMeanings,
    CodeSettings,
    code_clip,
    load_dictionary,
    main,
)
from stylediff.settings import SettingError
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline

MINUET = ROOT / "examples" / "violin_minuet.flac"


def folder_bytes() -> int:
    return sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())


def test_small_codebooks_ship() -> None:
    assert sorted(int(path.name) for path in FOLDER.iterdir() if path.is_dir()) == sorted(SIZES)
    assert folder_bytes() < 4e6


@pytest.mark.parametrize("size", SIZES)
def test_a_dictionary_describes_each_of_its_codes(size: int) -> None:
    dictionary = load_dictionary(size)
    meanings = dictionary.meanings
    assert dictionary.model.size == size == len(meanings.positions) == len(meanings.pictures)
    for label in LABELS:
        assert meanings.values[label].shape == (size,)
        assert meanings.values[label].max() < len(meanings.names[label])
    assert dictionary.colours().shape == (size, 3)
    assert len(np.unique(dictionary.colours(), axis=0)) == size
    assert dictionary.pictures(0).shape == (4, 12, 12)


def test_more_codes_keep_more(clip) -> None:
    samples, rate = soundfile.read(MINUET, dtype="float32")
    pipeline = tiny_pipeline()
    errors = {size: code_clip(pipeline, samples, rate, load_dictionary(size)).error_db for size in SIZES}
    assert sorted(errors, key=errors.__getitem__) == sorted(SIZES, reverse=True)
    assert errors[max(SIZES)] < 3


def test_a_coded_clip_is_as_long_as_the_clip_at_any_rate_and_level() -> None:
    samples, rate = soundfile.read(MINUET, dtype="float32")
    stereo = 0.1 * torch.from_numpy(np.stack([samples, samples])[:, : 2 * rate])
    coded = code_clip(tiny_pipeline(), stereo, rate, load_dictionary(16))
    assert abs(len(coded.audio) - 2 * 22050) <= 1
    assert coded.codes.shape[1] * 4 >= coded.mel.shape[1] == coded.source_mel.shape[1]
    assert 1 < coded.used <= 16
    assert coded.bits_per_second == pytest.approx(coded.codes.numel() * 4 / 2, rel=0.01)
    louder = code_clip(tiny_pipeline(), 5 * stereo, rate, load_dictionary(16))
    assert (louder.codes == coded.codes).float().mean() > 0.95
    torch.testing.assert_close(louder.audio, 5 * coded.audio, rtol=0.2, atol=0.02)


def test_the_command_writes_sound_picture_and_table(tmp_path, capsys) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "model")
    out, picture, table = (tmp_path / name for name in ("coded.wav", "map.png", "codes.npy"))
    arguments = [str(MINUET), "-o", str(out), "--size", "64", "--picture", str(picture), "--table", str(table)]
    arguments += ["--model", str(tmp_path / "model")]
    assert main(arguments) == 0
    assert "of 64 codes" in capsys.readouterr().err
    assert soundfile.info(out).duration == pytest.approx(soundfile.info(MINUET).duration, abs=0.01)
    assert np.load(table).shape[0] == 64
    with Image.open(picture) as image:
        assert image.width == 1200
    with pytest.raises(SystemExit):
        main(arguments)
    assert "coded.wav is there already" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["-o", "a.mp3"], "cannot write a.mp3: name it .wav or .flac"),
        (["-o", "no/a.wav"], "no such folder"),
        (["-o", "a.wav", "--size", "7"], "size must be one of 16, 64, 256, 1024"),
        (["-o", "a.wav", "--picture", "a.gif"], "name it .png"),
    ],
)
def test_bad_arguments_are_sentences(wrong, sentence, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([str(MINUET), *wrong])
    assert sentence in capsys.readouterr().err.replace("'", "")


def test_unknown_and_broken_codebooks_are_errors(tmp_path) -> None:
    with pytest.raises(ValueError, match="size must be one of 16"):
        load_dictionary(17)
    with pytest.raises(SettingError):
        CodeSettings(size="17")
    with pytest.raises(CheckpointError, match="cannot load codes"):
        CodeDictionary.load(tmp_path)


def test_meanings_are_read_as_they_were_written(tmp_path) -> None:
    values = {label: np.array([-1, 1]) for label in LABELS}
    shares = {label: np.array([0.5, 0.25]) for label in LABELS}
    names = {label: ["first", "second"] for label in LABELS}
    pictures = np.zeros((2, 3, 12, 12), np.uint8)
    meanings = CodeMeanings(np.array([3, 4]), np.array([1.0, 2.0]), values, shares, shares, names, pictures)
    meanings.write(tmp_path / "meanings.npz")
    again = CodeMeanings.read(tmp_path / "meanings.npz")
    assert again.names == names
    assert again.values["onset"].tolist() == [-1, 1]
    assert again.shares["band"].tolist() == [0.5, 0.25]
    assert again.positions.tolist() == [3, 4]
