import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import tiny_pipeline

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the examples in it, and an environment that names a tiny model."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "examples").symlink_to(ROOT / "examples")
    tiny_pipeline().save_pretrained(folder / "model")
    return folder, os.environ | {"STYLEDIFF_MODEL": str(folder / "model"), "PYTHONPATH": str(ROOT)}


def test_the_python_example_runs_as_written(workplace):
    folder, environment = workplace
    (example,) = blocks("python")
    subprocess.run([sys.executable, "-c", example], cwd=folder, env=environment, check=True)
    assert (folder / "violin.wav").stat().st_size > 100_000
    (folder / "violin.wav").unlink()


def test_the_first_command_runs_as_written(workplace):
    folder, environment = workplace
    command = next(line for block in blocks("bash") for line in block.splitlines() if "-m stylediff" in line)
    assert command.startswith("python ")
    subprocess.run([sys.executable, *shlex.split(command)[1:]], cwd=folder, env=environment, check=True)
    assert (folder / "violin.wav").stat().st_size > 100_000


def test_every_module_and_requirements_file_a_command_names_is_there():
    commands = "\n".join(blocks("bash"))
    for module in re.findall(r"python -m (train\.\w+|stylediff)", commands):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    for file in re.findall(r"-r (\S+\.txt)", commands):
        assert (ROOT / file).is_file(), file
