"""Exit codes of commands: done, refused with a message, or interrupted."""

import errno

import pytest

from train.common.cli import run_command


def stop() -> None:
    raise KeyboardInterrupt


def refuse() -> None:
    raise ValueError("no such clip")


def fill_the_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def lose_a_file() -> None:
    raise FileNotFoundError("clip.flac")


def test_exit_codes_and_messages(capsys: pytest.CaptureFixture) -> None:
    assert run_command(lambda: print("made"), ValueError) == 0
    assert capsys.readouterr().out == "made\n"
    assert run_command(refuse, ValueError) == 2
    assert capsys.readouterr().err == "error: no such clip\n"
    assert run_command(stop, ValueError) == 130
    assert "rerun the same command" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no such clip"):
        run_command(refuse, OSError)


def test_a_full_disk_is_reported_and_other_file_errors_are_raised(capsys: pytest.CaptureFixture) -> None:
    for refusal in (ValueError, OSError):
        assert run_command(fill_the_disk, refusal) == 2
        assert "the disk is full; free some space and rerun the same command" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        run_command(lose_a_file, ValueError)
