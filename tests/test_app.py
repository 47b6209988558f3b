import socket
import subprocess
import sys

from tests.helpers.files import ROOT


def start(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / "app.py", "--model", "none", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_port_in_use_is_reported_before_the_model_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start("--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot serve the page at 127.0.0.1, port {port}: ")
    assert done.stderr.count("\n") == 1


def test_an_address_of_another_machine_and_a_port_too_high_are_reported():
    assert start("--host", "192.0.2.1").stderr.startswith("error: cannot serve the page at 192.0.2.1, port 7860: ")
    assert start("--port", "70000").stderr == "error: there is no port 70000: the highest is 65535\n"
