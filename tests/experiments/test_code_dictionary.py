"""Codebooks that ship: made from an untrained model and tones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stylediff.codes import LABELS, CodeDictionary
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from tests.helpers.patches import write_pictures, write_sounds
from train.data.patches import read_patches
from train.evaluation.code_information import Information
from train.experiments.code_dictionary import export_model, typical_values
from train.models.vqvae import VqVae

main = command("code-dictionary")
TINY = {"width": 8, "residual_width": 4, "blocks": 1, "code_dim": 4, "codebook_size": 16, "kmeans": True}


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patches")
    data, cache = write_sounds(folder / "sounds")
    made = ["--cache", str(cache), "--data", str(data), "--out", str(folder / "mel"), "--patches", "400"]
    assert command("mel-patches")(made) == 0
    return folder / "mel"


@pytest.fixture
def trained(patches: Path) -> VqVae:
    torch.manual_seed(0)
    opened = read_patches(patches)
    model = VqVae(1, *opened.moments(), **TINY).train()
    model(opened.tensor(opened.rows("train")))
    return model.eval()


def test_an_exported_model_codes_and_decodes_as_the_trained_one(trained: VqVae, patches: Path) -> None:
    model = export_model(trained, MelConfig())
    rows = read_patches(patches).tensor(np.arange(4))
    for patch in rows:
        codes = trained.encode(patch[None])
        assert model.encode(patch[0]).equal(codes[0])
        expected = trained.decode(codes)[0, 0].clamp_min(MelConfig().log_floor)
        torch.testing.assert_close(model.decode(codes[0], 32), expected)


def test_the_typical_value_is_the_one_with_the_greatest_lift() -> None:
    counts = np.array([[90, 10], [10, 90], [50, 50]])
    found = Information(1.0, 0.0, 1.0, np.array([0.4, 0.4, 0.0]), 0.1, counts)
    values, shares, usual = typical_values(found)
    assert values.tolist() == [0, 1, -1]
    assert shares[:2].tolist() == [0.9, 0.9]
    assert usual[:2].tolist() == [0.5, 0.5]


def test_the_command_writes_folders_that_load(trained: VqVae, patches: Path, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path / "vqvae")
    flags = ["--models", str(tmp_path / "vqvae"), "--patches", str(patches), "--out", str(tmp_path / "codes")]
    assert main([*flags, "--permutations", "3"]) == 0
    dictionary = CodeDictionary.load(tmp_path / "codes" / "16")
    count = (read_patches(patches).splits == 2).sum()
    assert dictionary.meanings.positions.sum() == 64 * count
    assert set(dictionary.meanings.names) == set(LABELS)
    assert dictionary.pictures(0).shape == (4, 12, 12)


def test_pictures_and_models_without_a_codebook_are_refused(
    patches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    VqVae(channels=1, quantizer="none", width=8, residual_width=4, code_dim=4).save_pretrained(tmp_path / "none")
    flags = ["--models", str(tmp_path / "none"), "--out", str(tmp_path / "codes")]
    assert main([*flags, "--patches", str(patches)]) == 2
    assert "has no codebook" in capsys.readouterr().err
    assert main([*flags, "--patches", str(write_pictures(tmp_path / "rgb"))]) == 2
    assert "patches of log-mels are needed" in capsys.readouterr().err
