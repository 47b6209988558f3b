"""The U-Net as a graph: the same numbers. Its packages need not be installed."""

import sys

import pytest
import torch

from stylediff.checkpoint import CheckpointError, load_pipeline, speed_up
from stylediff.onnx_unet import VARIABLE, digest, wants_onnx
from tests.helpers.tiny_pipeline import TONE_RATE, tiny_pipeline

TONE = 0.3 * torch.sin(torch.arange(2 * TONE_RATE) / 10)


def transfer(pipeline, **settings):
    generator = torch.Generator().manual_seed(0)
    return pipeline(TONE, TONE_RATE, target="harp", num_inference_steps=2, generator=generator, **settings).latents


@pytest.mark.slow
def test_a_graph_predicts_what_the_network_does_at_any_length(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    pipeline = tiny_pipeline()
    plain, guided = transfer(pipeline), transfer(pipeline, guidance_scale=2.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    speed_up(pipeline)
    torch.testing.assert_close(transfer(pipeline), plain, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(transfer(pipeline, guidance_scale=2.0), guided, rtol=1e-3, atol=1e-3)
    [graph] = (tmp_path / "stylediff").iterdir()
    written = graph.stat().st_mtime_ns
    speed_up(tiny_pipeline())
    assert graph.stat().st_mtime_ns == written, "it is exported once"


def test_missing_packages_are_a_sentence(tmp_path, monkeypatch):
    tiny_pipeline().save_pretrained(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(CheckpointError, match="STYLEDIFF_ONNX needs two more packages: pip install"):
        load_pipeline(str(tmp_path / "model"), "cpu")


@pytest.mark.parametrize(("text", "wanted"), [("1", True), ("true", True), ("", False), ("0", False)])
def test_only_a_yes_asks_for_the_graph(text, wanted, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    assert wants_onnx() == wanted


def test_other_weights_have_another_graph():
    unet = tiny_pipeline().unet
    before = digest(unet)
    assert before == digest(tiny_pipeline().unet)
    unet.conv_in.bias.data += 1
    assert digest(unet) != before
