"""Meanings of codes: descriptions, pictures and swaps of an untrained model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stylediff.instruments import INSTRUMENT_NAMES
from tests.helpers.commands import command
from tests.helpers.patches import write_pictures, write_sounds
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.patches import read_patches
from train.evaluation.code_information import Label, measure_information
from train.experiments.code_meanings import code_vectors, crop_examples, describe_codes, stands_for
from train.models.instrument_classifier import InstrumentClassifier
from train.models.vqvae import VqVae

main = command("code-meanings")
TINY = {"width": 8, "residual_width": 4, "blocks": 1, "code_dim": 4, "codebook_size": 16, "kmeans": True}


def save_model(folder: Path, patches: Path) -> Path:
    """A model whose codebook fits the patches; the networks are untrained."""
    torch.manual_seed(0)
    opened = read_patches(patches)
    mean, deviation = opened.moments()
    model = VqVae(opened.channels, mean, deviation, **TINY).train()
    model(opened.tensor(opened.rows("train")))
    model.eval().save_pretrained(folder)
    return folder


def flags(model: Path, patches: Path, out: Path) -> list[str]:
    return ["--model", str(model), "--patches", str(patches), "--out", str(out), "--permutations", "5"]


def test_codes_of_one_value_stand_for_it() -> None:
    values = np.broadcast_to(np.arange(80)[:, None, None] % 4, (80, 8, 8))
    codes = values.copy()
    codes[:, 4:] = 4 + np.random.default_rng(0).integers(0, 3, (80, 4, 8))
    label = Label(values, ["red", "green", "blue", "grey"])
    information = measure_information(codes, label, 8, permutations=5)
    described = describe_codes({"colour": information}, {"colour": label})
    assert [entry["means"] for entry in described[:4]] == [f"colour: {name}" for name in label.names]
    assert {entry["means"] for entry in described[4:]} == {""}
    assert stands_for(information) == 4
    assert described[7]["positions"] == 0


def test_examples_are_the_surroundings_of_a_code(tmp_path: Path) -> None:
    patches = read_patches(write_pictures(tmp_path))
    codes = np.zeros((2, 8, 8), int)
    codes[1, 2, 3] = 5
    [crop] = crop_examples(patches, np.array([7, 9]), codes, 5, np.random.default_rng(0))
    assert crop.equal(patches.tensor(np.array([9]))[0, :, 4:16, 8:20])


def test_vectors_are_those_of_the_codebook(tmp_path: Path) -> None:
    model = VqVae.from_pretrained(save_model(tmp_path / "model", write_pictures(tmp_path / "rgb")))
    np.testing.assert_allclose(code_vectors(model), model.codebook.codebook.codebook.numpy())


@pytest.mark.slow
def test_pictures_get_a_page(tmp_path: Path) -> None:
    patches = write_pictures(tmp_path / "rgb", 240)
    assert main(flags(save_model(tmp_path / "model", patches), patches, tmp_path / "out")) == 0
    page = (tmp_path / "out" / "meanings.md").read_text()
    values = json.loads((tmp_path / "out" / "meanings.json").read_text())
    assert all(f"\n| {label} |" in page for label in ("class", "colour", "edge"))
    assert values["probes"]["histogram of codes"] > 0.8 > values["probes"]["always the most frequent"]
    assert any(entry["label"] for entry in values["codes"])
    for picture in ("codes.png", "map.png"):
        assert (tmp_path / "out" / picture).stat().st_size > 5000


@pytest.mark.slow
def test_sounds_get_swaps_and_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, cache = write_sounds(tmp_path / "sounds")
    patches = tmp_path / "mel"
    made = ["--cache", str(cache), "--data", str(data), "--out", str(patches), "--patches", "400"]
    assert command("mel-patches")(made) == 0
    monkeypatch.setattr("train.experiments.code_meanings.load_model", lambda folder: tiny_pipeline())
    torch.manual_seed(0)
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    arguments = flags(save_model(tmp_path / "model", patches), patches, tmp_path / "out")
    arguments += ["--cache", str(cache), "--classifier", str(tmp_path / "classifier"), "--swaps", "piano:violin"]
    assert main(arguments) == 0
    [swap] = json.loads((tmp_path / "out" / "meanings.json").read_text())["swaps"]
    assert swap["clips"] == 1
    assert 0 < swap["replaced"] < 1
    assert all(0 < share < 1 for name in ("clip", "codes", "swapped") for share in swap[name])
    assert len(list((tmp_path / "out" / "swaps").glob("piano_to_violin_*.flac"))) == 3


def test_errors_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patches = write_pictures(tmp_path / "rgb")
    VqVae(quantizer="none", width=8, residual_width=4, code_dim=4).save_pretrained(tmp_path / "none")
    assert main(flags(tmp_path / "none", patches, tmp_path / "out")) == 2
    assert "has no codebook" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*flags(tmp_path / "none", patches, tmp_path / "out"), "--swaps", "piano:kazoo"])
    assert f"--swaps piano:kazoo: write SOURCE:TARGET with names of {INSTRUMENT_NAMES[0]}" in capsys.readouterr().err
