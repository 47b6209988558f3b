"""Time of a transfer by stage."""

import json
import shutil
from pathlib import Path

import pytest

from stylediff.instruments import get_instrument
from stylediff.settings import TransferSettings
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline, write_tone
from train.experiments.speed import STAGES, WHOLE, convert

main = command("speed")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "tone.wav", 2 * 44_100, 44_100)


def test_the_stages_are_parts_of_the_whole(clip: Path, tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    found = convert(pipeline, clip, tmp_path / "out.wav", "violin", 2)
    assert set(found) - {WHOLE} <= set(STAGES)
    assert {"encode_mel", "denoise", "decode_latents", "synthesize", "extend_band", "finish_sound"} <= set(found)
    assert 0.5 * found[WHOLE] < sum(found.values()) - found[WHOLE] <= found[WHOLE]
    assert (tmp_path / "out.wav").is_file()
    assert pipeline.denoise.__func__ is type(pipeline).denoise, "the pipeline is as it was"


@pytest.mark.slow
def test_the_page_has_shares_and_the_rival(clip: Path, tmp_path: Path, soundfonts: tuple[Path, ...]) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "model")
    flags = ["--clip", str(clip), "--seconds", "1", "--times", "1", "--long", "21", "--model", str(tmp_path / "model")]
    stem = get_instrument("violin").default_voice.partition("/")[2].rpartition("-")[0]
    shutil.copy(soundfonts[0], tmp_path / f"{stem}.sf2")
    flags += ["--soundfont", str(tmp_path / f"{stem}.sf2"), "--out", str(tmp_path / "out")]
    assert main(flags) == 0
    page = (tmp_path / "out" / "speed.md").read_text()
    assert "| replayed |" in page
    assert "| **whole** |" in page
    found = json.loads((tmp_path / "out" / "speed.json").read_text())
    assert found["seconds"] == 1.0
    assert found["replayed"] > 0
    assert found["steps"] == TransferSettings().resolve({}).steps
    [long] = found["long"]
    assert 0 < long["first"] < long["whole"]
    assert 0.1 < long["peak"] < 50
    assert "| 21 | " in page


def test_a_missing_clip_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "model")
    flags = ["--clip", str(tmp_path / "no.wav"), "--model", str(tmp_path / "model"), "--out", str(tmp_path)]
    assert main(flags) == 2
    assert "no such file: no.wav" in capsys.readouterr().err
