import json

import pytest
import torch

from stylediff.checkpoint import SHIPPED, VARIABLE, CheckpointError, load_pipeline
from stylediff.instruments import INSTRUMENTS
from tests.helpers.tiny_pipeline import tiny_pipeline


def test_the_environment_names_another_model_and_the_argument_overrides_it(tmp_path, monkeypatch):
    pipeline = tiny_pipeline().to(dtype=torch.float16)
    pipeline.save_pretrained(tmp_path / "model")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "model"))
    assert tuple(load_pipeline().unet.config.block_out_channels) == pipeline.unet.config.block_out_channels
    assert load_pipeline().unet.dtype == torch.float32
    with pytest.raises(CheckpointError, match="nowhere"):
        load_pipeline(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("recommended", [{"kazoo": {}}, {"harp": {"steps": 0}}, {"harp": 3}])
def test_an_invalid_recommendation_is_reported(tmp_path, recommended):
    tiny_pipeline().save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps(index | {"recommended": recommended}))
    with pytest.raises(CheckpointError, match=r"cannot load a StyleDiff model from .*: (unknown|steps|recomm)"):
        load_pipeline(str(tmp_path))


def test_the_shipped_weights_are_half_precision_below_96_mb_and_know_every_instrument():
    files = list(SHIPPED.rglob("*.safetensors"))
    assert len(files) >= 3
    assert sum(path.stat().st_size for path in files) <= 96e6
    pipeline = load_pipeline(str(SHIPPED))
    for instrument in INSTRUMENTS:
        voice = pipeline.choose_voice(instrument.name)
        assert voice.startswith(f"{instrument.name}/")
        assert voice in pipeline.style_encoder.config.voices
        assert voice == pipeline.recommended.get(instrument.name, {}).get("voice", voice)
