import itertools
import json

import pytest
import torch

from stylediff import MelEnhancer, StyleEncoder, StyleTransferPipeline
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.transfer_cache import transfer
from train.models.instrument_classifier import InstrumentClassifier

main = command("sampling")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model with an enhancer and the voices of the tiny cache."""
    folder = tmp_path_factory.mktemp("model")
    style = StyleEncoder(voices=["piano/Pure-0", "violin/Pure-40"], tokens=2, width=16)
    parts = tiny_pipeline().components | {"style_encoder": style, "enhancer": MelEnhancer(widths=(16,))}
    StyleTransferPipeline(**parts).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_every_setting_is_measured_on_the_same_pairs(model, tiny_cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("train.evaluation.embeddings.WINDOW_FRAMES", 16)
    torch.manual_seed(0)
    InstrumentClassifier().save_pretrained(tmp_path / "classifier")
    arguments = ["--cache", str(tiny_cache), "--model", str(model), "--classifier", str(tmp_path / "classifier")]
    arguments += ["--pairs", "2", "--steps", "1", "2", "--temperature", "0", "1", "--dynamics", "0", "1"]
    arguments += ["--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    found = json.loads((tmp_path / "out" / "sampling.json").read_text())
    assert [(one["steps"], one["temperature"], one["enhanced"], one["dynamics"]) for one in found] == list(
        itertools.product((1, 2), (0, 1), (False, True), (0, 1))
    )
    for plain, enhanced in zip(found[::4], found[2::4], strict=True):  # it is untrained
        assert plain["error"] == pytest.approx(enhanced["error"])
    for free, bound in zip(found[::2], found[1::2], strict=True):
        assert free["error"] != bound["error"]
        assert free["loudness"] != bound["loudness"]
    assert {one["frame_f"] for one in found} == {None}
    assert all(one["error"] > 0 and one["frechet"] > 0 for one in found)
    assert "| 2 | 0.5 | 1 | yes | 1 |" in capsys.readouterr().out

    arguments = [*arguments[:-8], "--temperature", "1", "--listen", "--out", str(tmp_path / "transcribed")]
    assert main(arguments) == 0
    transcribed = json.loads((tmp_path / "transcribed" / "sampling.json").read_text())
    assert [one["steps"] for one in transcribed] == [1, 1, 2, 2]
    assert all(0 <= one["frame_f"] <= 1 for one in transcribed)


@torch.no_grad()
def test_every_pair_has_different_but_reproducible_noise(model):
    pipeline = StyleTransferPipeline.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    sources = torch.rand(1, 1, 256, 192).repeat(2, 1, 1, 1) - 5
    first, again = (transfer(pipeline, sources, torch.tensor([1, 1]), 2, 1.0) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.allclose(first[0], first[1], atol=1e-2)


def test_a_missing_cache_is_a_sentence(model, tmp_path, capsys):
    assert main(["--cache", str(tmp_path), "--model", str(model), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_a_start_level_of_zero_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--cache", str(tmp_path), "--out", str(tmp_path / "out"), "--start", "0.5", "0"])
    assert "--start must be above 0 and at most 1" in capsys.readouterr().err


def test_more_steps_than_levels_are_refused(model, tiny_cache, tmp_path, capsys):
    arguments = ["--cache", str(tiny_cache), "--model", str(model), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--steps", "4", "50", "--start", "0.5", "0.01"]) == 2
    assert "50 steps do not fit into 0.01 of 1000 noise levels" in capsys.readouterr().err
