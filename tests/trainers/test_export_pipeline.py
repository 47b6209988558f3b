import pytest
import torch

from stylediff import StyleTransferPipeline
from stylediff.checkpoint import CheckpointError, load_pipeline
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.trainers.export_pipeline import replace_parts

main = command("export-pipeline")


@pytest.mark.slow
def test_exported_parts_make_a_half_precision_pipeline_with_the_same_weights(tmp_path, capsys):
    parts = tiny_pipeline()
    parts.autoencoder.save_pretrained(tmp_path / "autoencoder")
    parts.vocoder.save_pretrained(tmp_path / "vocoder")
    for name in ("unet", "style_encoder", "scheduler"):
        getattr(parts, name).save_pretrained(tmp_path / "denoiser" / name)
    folders = [f"--{name}={tmp_path / name}" for name in ("autoencoder", "denoiser", "vocoder")]
    assert main([*folders, "--out", str(tmp_path / "model")]) == 0
    assert "MB of weights" in capsys.readouterr().out
    loaded = StyleTransferPipeline.from_pretrained(tmp_path / "model", dtype=torch.float32)
    for name, weight in parts.unet.state_dict().items():
        torch.testing.assert_close(loaded.unet.state_dict()[name], weight, rtol=1e-3, atol=1e-3)
    assert loaded.scheduler.config.prediction_type == "v_prediction"
    assert all(str(tmp_path) not in path.read_text() for path in (tmp_path / "model").rglob("*.json"))
    stored = (tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert stored < 2.2 * sum(weight.numel() for weight in parts.unet.state_dict().values()) + 100_000


def test_an_export_replaces_the_parts_of_another_and_keeps_other_files(tmp_path):
    for name, content in (("scratch", "new"), ("model", "old")):
        (tmp_path / name / "unet").mkdir(parents=True)
        (tmp_path / name / "unet" / "config.json").write_text(content)
        (tmp_path / name / "model_index.json").write_text(content)
    (tmp_path / "model" / "unet" / "more.json").touch()
    (tmp_path / "model" / "README.md").write_text("a model card")
    replace_parts(tmp_path / "scratch", tmp_path / "model")
    kept = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {
        "model/README.md": "a model card",
        "model/model_index.json": "new",
        "model/unet/config.json": "new",
    }


def test_a_folder_without_its_index_is_no_pipeline(tmp_path):
    tiny_pipeline().save_pretrained(tmp_path)
    (tmp_path / "model_index.json").unlink()
    with pytest.raises(CheckpointError, match="cannot load a StyleDiff model"):
        load_pipeline(str(tmp_path))


def test_missing_parts_are_reported(tmp_path, capsys):
    code = main([f"--autoencoder={tmp_path}", f"--denoiser={tmp_path}", f"--out={tmp_path / 'model'}"])
    assert code == 2
    assert capsys.readouterr().err.startswith("error: ")
