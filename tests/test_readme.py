"""Code and commands of README and docs/serving.md, run as written."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline

README, SERVING = ((ROOT / name).read_text() for name in ("README.md", "docs/serving.md"))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the examples, and an environment that selects a tiny model."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "examples").symlink_to(ROOT / "examples")
    tiny_pipeline().save_pretrained(folder / "model")
    return folder, os.environ | {"STYLEDIFF_MODEL": str(folder / "model"), "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_the_python_example_runs_as_written(workplace):
    folder, environment = workplace
    [example] = blocks(README, "python")
    subprocess.run([sys.executable, "-c", example], cwd=folder, env=environment, check=True)
    assert (folder / "violin.wav").stat().st_size > 100_000
    (folder / "violin.wav").unlink()


@pytest.mark.slow
def test_the_first_command_runs_as_written(workplace):
    folder, environment = workplace
    command = next(line for block in blocks(README, "bash") for line in block.splitlines() if "-m stylediff" in line)
    assert command.startswith("python ")
    subprocess.run([sys.executable, *shlex.split(command)[1:]], cwd=folder, env=environment, check=True)
    assert (folder / "violin.wav").stat().st_size > 100_000


@pytest.mark.slow
def test_the_endpoint_is_called_as_written(address, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    [example] = blocks(SERVING, "python")
    here = example.replace("http://127.0.0.1:7860", address)
    done = subprocess.run([sys.executable, "-c", here], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "piano_to_violin_seed1.wav" in done.stdout
    assert "'target': 'violin'" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
def test_the_endpoint_is_called_without_python_as_written(address, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = next(block for block in blocks(SERVING, "bash") if "curl" in block)
    here = script.replace("http://127.0.0.1:7860/", address)
    done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "event: complete" in done.stdout
    assert "piano_to_violin_seed0.wav" in done.stdout
