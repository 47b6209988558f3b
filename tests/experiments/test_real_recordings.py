import json

import numpy as np
import pytest
import soundfile

from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.data.recordings import split_of
from train.evaluation.recorded import Setting
from train.experiments.real_recordings import RECORDINGS, write_markdown

main = command("real-recordings")

RATE = 22050
VALUES = {
    "clips": 2,
    "tag": 0.4,
    "frechet": 12.0,
    "frame_f": 0.8,
    "note_f1": 0.7,
    "vibrato_cents": 12.0,
    "vibrato_hz": None,
    "between_partials_db": -40.0,
    "attack_ms": 60.0,
}


def write_recordings(folder, instruments, per_instrument=1, seconds=4.5):
    """Held-out recordings of struck notes."""
    for instrument in instruments:
        names = (f"{instrument} {number}" for number in range(100))
        held_out = [name for name in names if split_of(name) == "held_out"]
        for index, name in enumerate(held_out[:per_instrument]):
            time = np.arange(round(seconds * RATE)) / RATE
            tone = sum(np.sin(2 * np.pi * 440 * 2 ** (index / 12) * k * time) / k for k in range(1, 5))
            (folder / instrument).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / instrument / f"{name}.wav", 0.1 * tone * np.exp(-4 * (time % 0.5)), RATE)
    return folder


def test_a_setting_has_a_name_and_gives_arguments_only_where_it_differs_from_the_default():
    assert Setting().name == "ours, default"
    assert Setting().arguments("violin") == {"target": "violin"}
    setting = Setting("violin/TimGM-40", 8, 1.0, 0.35, False, room="hall")
    assert setting.name == "ours, violin/TimGM-40, 8 steps, noise 1, from 0.35, not enhanced, in a hall"
    assert setting.arguments("violin") == {
        "target": "violin/TimGM-40",
        "num_inference_steps": 8,
        "temperature": 1.0,
        "refine_from": 0.35,
        "enhance": False,
    }


def test_the_page_compares_systems_with_recordings():
    real = VALUES | {"tag": 0.8, "frechet": 6.0, "frame_f": None, "note_f1": None}
    violin = {RECORDINGS: real, "ours, default": VALUES, "ours, noise 1": VALUES}
    trumpet = {"ours, default": VALUES | {"tag": None, "frechet": None, "frame_f": 0.6}}
    page = write_markdown({"violin": violin, "trumpet": trumpet}, "held_out", 4)
    overall, of_violin, of_trumpet = page.split("## ")
    assert "| ours, default | 0.50 | 12.0 | 0.700 | 0.700 |" in overall
    assert "ours, noise 1" not in overall
    assert "the held-out third, 4 clips of each instrument" in overall
    assert "| recordings of the target | 2 | 0.80 | 1.00 | 6.0 |  |  | 12.0 |  | -40 | 60 |" in of_violin
    assert "| ours, default | 2 | 0.40 | 0.50 | 12.0 | 0.800 | 0.700 | 12.0 |  | -40 | 60 |" in of_violin
    assert "| ours, default | 2 |  |  |  | 0.600 |" in of_trumpet


def test_missing_inputs_are_reported(tmp_path, capsys):
    arguments = ["--recordings", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "no such folder of recordings" in capsys.readouterr().err
    write_recordings(tmp_path / "short", ["piano"], seconds=1.0)
    assert main(["--recordings", str(tmp_path / "short"), "--out", str(tmp_path / "out2")]) == 2
    assert "is long and loud enough" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_compares_settings_and_resumes(tmp_path, capsys, soundfonts):
    pytest.importorskip("basic_pitch", reason="needs pip install --no-deps basic-pitch==0.4.0")
    folder = write_recordings(tmp_path / "recordings", ["piano", "flute"], per_instrument=4)
    tiny_pipeline().save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    arguments = ["--recordings", str(folder), "--out", str(out), "--model", str(tmp_path / "model"), "--limit", "1"]
    arguments += ["--sources", "piano", "--targets", "flute", "trumpet", "--steps", "1"]
    arguments += ["--workers", "1"]  # starting others takes longer than the work
    assert main([*arguments, "--noise", "0.3", "1"]) == 0
    summary = json.loads((out / "real_recordings.json").read_text())
    assert list(summary) == ["flute", "trumpet"]
    systems = [RECORDINGS, "source", "ours, 1 steps, noise 0.3", "ours, 1 steps, noise 1"]
    assert list(summary["flute"]) == systems
    assert list(summary["trumpet"]) == systems[1:]
    assert summary["flute"][RECORDINGS]["clips"] == 4
    assert summary["flute"]["source"]["frechet"] > 0
    assert summary["trumpet"]["source"]["tag"] is None
    assert 0 <= summary["flute"][systems[2]]["frame_f"] <= 1
    results = {path: path.stat().st_mtime_ns for path in out.rglob("*@*.json")}
    assert len(results) == 4 + 1 + 4
    assert (out / "real_recordings.png").is_file()
    assert all(path.with_suffix(".flac").is_file() for path in results if "as_it_is" not in str(path))

    assert main([*arguments, "--noise", "1", "0"]) == 0
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert len(list(out.rglob("*@*.json"))) == 4 + 1 + 6
    assert "ours, 1 steps, noise 0 |" in capsys.readouterr().out

    assert main([*arguments, "--targets", "flute", "--noise", "1", "--like"]) == 0
    systems = json.loads((out / "real_recordings.json").read_text())["flute"]
    assert systems["ours, 1 steps, noise 1, like a recording"]["nearer"] in (0, 1)
    assert "nearer" not in systems["ours, 1 steps, noise 1"]
    assert "nearer to the recording than by name" in capsys.readouterr().out

    assert main([*arguments, "--targets", "flute", "--noise", "1", "--room", "dry", "room"]) == 0
    dry, wet = (next(out.glob(f"ours_1-steps_noise-1_{room}_*/flute/*.flac")) for room in ("dry", "in-a-room"))
    samples = soundfile.read(dry)[0], soundfile.read(wet)[0]
    assert len(samples[0]) == len(samples[1])
    assert np.abs(samples[0] - samples[1]).max() > 0
