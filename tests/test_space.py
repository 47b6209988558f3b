"""The project as a Hugging Face Space: settings, files, and a conversion."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file

from tests.helpers.environments import make_environment
from tests.helpers.files import ROOT

README, SERVING = ((ROOT / name).read_text() for name in ("README.md", "docs/serving.md"))
EXAMPLE = ROOT / "examples" / "piano_fur_elise.flac"
START_SECONDS = 180  # ten times what an idle machine needs


def front_matter() -> dict[str, str]:
    block = README.split("---\n")[1]
    return {name: value.strip().strip('"') for name, value in (line.split(":", 1) for line in block.splitlines())}


def space_files() -> list[Path]:
    """Tracked files that the documented upload command includes."""
    command = re.search(r"^hf upload (.*\\\n)*.*$", SERVING, flags=re.MULTILINE)[0]
    words = shlex.split(command.replace("\\\n", " "))
    excluded = [pattern for flag, pattern in pairwise(words) if flag == "--exclude"]  # one each
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.splitlines() if not any(fnmatch(name, pattern) for pattern in excluded)]


def test_the_settings_of_the_space_are_those_of_the_project():
    settings = front_matter()
    requirements = (ROOT / "requirements.txt").read_text()
    assert settings["sdk"] == "gradio"
    assert f"gradio=={settings['sdk_version']}\n" in requirements
    assert settings["python_version"] == "3.12"  # the only version that both ZeroGPU and diffusers support
    assert (ROOT / settings["app_file"]).is_file()
    assert settings["license"] == "mit"
    assert len(settings["short_description"]) <= 60  # limit of the Hub


def test_a_space_gets_everything_the_page_needs_and_no_tests():
    names = {str(path) for path in space_files()}
    assert {
        "app.py",
        "requirements.txt",
        "README.md",
        "stylediff/pretrained/model_index.json",
        "stylediff/page/translations.json",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", ".ci/"))]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Address of the page, served from the Space's files with only its requirements."""
    folder = tmp_path_factory.mktemp("space")
    for path in space_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    python = make_environment(folder / "environment", folder / "requirements.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "STYLEDIFF_MODEL")}
    with subprocess.Popen([python, "app.py", "--port", str(port)], cwd=folder, env=clean) as server:
        try:
            wait_for(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
    shutil.rmtree(folder)


def wait_for(port: int, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    pytest.fail("the page did not start")


@pytest.mark.slow
def test_a_space_serves_a_conversion(space):
    audio, facts = Client(space, verbose=False).predict(
        handle_file(str(EXAMPLE)), target="violin", steps=2, api_name="/convert"
    )
    result, rate = soundfile.read(audio)
    source, source_rate = soundfile.read(EXAMPLE)
    assert (len(result), rate) == (len(source), source_rate)
    assert Path(audio).name == "piano_to_violin_seed0.wav"
    assert facts["target"] == "violin"
    assert abs(result).max() <= 1
    assert 0.25 < np.sqrt(np.mean(result**2) / np.mean(source**2)) < 4  # about as loud
    assert abs(result - source).max() > 0.01
