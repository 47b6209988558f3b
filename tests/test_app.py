import socket
import subprocess
import sys

import pytest

from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline


@pytest.mark.slow
def test_a_port_in_use_is_reported(tmp_path):
    tiny_pipeline().save_pretrained(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, ROOT / "app.py", "--port", str(taken.getsockname()[1]), "--model", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
