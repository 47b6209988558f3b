"""Joints of loops whose sound is known."""

import json

import numpy as np
import pytest
import soundfile

from tests.helpers.tiny_pipeline import tiny_pipeline
from train.__main__ import COMMANDS
from train.experiments.loop_joints import SAMPLE_RATE, SYSTEMS, judge_joint


def steps_of_tones(hz=(440, 550, 660, 495)):
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    return [0.3 * np.sin(2 * np.pi * f * time) * np.exp(-3 * time) for f in hz]


def test_a_loop_of_equal_notes_has_a_joint_like_any_beat():
    loop, beats = np.concatenate(steps_of_tones() * 2), [n * SAMPLE_RATE // 2 for n in range(1, 8)]
    assert judge_joint(loop, beats)["rank"] > 0.3


def test_a_click_at_the_joint_stands_out():
    loop, beats = np.concatenate(steps_of_tones() * 2), [n * SAMPLE_RATE // 2 for n in range(1, 8)]
    loop[-1] = -0.9
    found = judge_joint(loop, beats)
    assert found["jump"] > 1
    assert found["rank"] == 0


@pytest.mark.slow
def test_the_command_writes_a_line_for_every_system(tmp_path):
    tiny_pipeline().save_pretrained(tmp_path / "model")
    for name in ("piano", "flute"):
        (tmp_path / "recordings" / name).mkdir(parents=True)
        music = np.concatenate(steps_of_tones() * 6)
        soundfile.write(tmp_path / "recordings" / name / "scale.wav", music, SAMPLE_RATE)
    arguments = ["--recordings", str(tmp_path / "recordings"), "--model", str(tmp_path / "model"), "--workers", "1"]
    assert COMMANDS["loop-joints"].run([*arguments, "--out", str(tmp_path / "out"), "--clips", "2"]) == 0
    results = json.loads((tmp_path / "out" / "loop_joints.json").read_text())
    assert len(results) == 2 * len(SYSTEMS)
    page = (tmp_path / "out" / "loop_joints.md").read_text()
    assert all(meaning in page for meaning in SYSTEMS.values())
    assert "Wilcoxon" in page
