"""Comparison with a public VQ-VAE, which need not be installed."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import command
from tests.helpers.patches import write_pictures
from train.data.patches import read_patches
from train.experiments.public_vqvae import Own, measure

main = command("public-vqvae")
FLAGS = ["--steps", "3", "--size", "16", "--batch-size", "8", "--width", "32", "--residual-width", "8"]


def test_both_are_trained_and_compared(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    patches = write_pictures(tmp_path / "rgb")
    assert main(["--patches", str(patches), "--out", str(tmp_path / "out"), *FLAGS]) == 0
    found = json.loads((tmp_path / "out" / "public_vqvae.json").read_text())
    assert set(found) == {"here", "MONAI"}
    assert all(1 <= row["perplexity"] <= 16 and row["relative_error"] > 0 for row in found.values())
    assert "times that of MONAI" in (tmp_path / "out" / "public_vqvae.md").read_text()


def test_errors_are_over_the_variance(tmp_path: Path) -> None:
    patches = read_patches(write_pictures(tmp_path / "rgb"))
    model = Own(3, *patches.moments(), 16, 8, 4)
    torch.nn.init.zeros_(model.network.decoder[-1].weight)
    torch.nn.init.zeros_(model.network.decoder[-1].bias)  # it decodes the mean
    assert measure(model, patches, patches.rows("test"), 16)["relative_error"] == pytest.approx(1.0, abs=0.1)


def test_what_is_missing_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--patches", str(tmp_path), "--out", str(tmp_path), *FLAGS]) == 2
    assert "no patches in" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "monai.networks.nets", None)
    patches = write_pictures(tmp_path / "rgb")
    assert main(["--patches", str(patches), "--out", str(tmp_path / "out"), *FLAGS]) == 2
    assert "monai" in capsys.readouterr().err
