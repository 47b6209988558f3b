import numpy as np
import pytest
import soundfile
import torch

from stylediff.__main__ import main as convert
from stylediff.checkpoint import load_pipeline
from stylediff.notes import Note
from tests.helpers.commands import command
from tests.helpers.tiny_pipeline import tiny_pipeline
from tests.trainers.test_voice import VOICE
from train.data.manifest import read_manifest
from train.data.recordings import HELD_OUT, split_of
from train.data.soundfonts import open_synthesizer, soundfont_voices

RATE = 22050
main = command("finetune")
MELODY = tuple(
    Note(0.3 + 0.5 * n, 0.75 + 0.5 * n, pitch, 90) for n, pitch in enumerate((69, 71, 72, 74, 76, 74, 72, 71, 69))
)


@pytest.fixture(scope="module")
def recordings(soundfonts, tmp_path_factory):
    """A folder with a recording whose name has no instrument and no permission to train."""
    folder = tmp_path_factory.mktemp("recordings")
    preset = soundfont_voices(f"{soundfonts[1]}:40")["violin/Rich-40"]
    waveform = open_synthesizer(preset.soundfont, RATE).render(MELODY, preset, 448 * 256, {})
    name = next(name for name in (f"take {number}" for number in range(40)) if split_of(name) == HELD_OUT)
    soundfile.write(folder / f"{name}.wav", waveform, RATE)
    return folder


@pytest.mark.slow
def test_recordings_become_a_voice_that_the_command_line_plays(recordings, soundfonts, tmp_path, clip, capsys):
    tiny_pipeline().save_pretrained(tmp_path / "base")
    flags = ["--recordings", str(recordings), "--instrument", "violin", "--name", "mine", "--workers", "1"]
    flags += ["--soundfont", str(soundfonts[0]), "--model", str(tmp_path / "base"), "--out", str(tmp_path / "run")]
    flags += ["--renders", "2", "--batch-size", "2"]
    assert main([*flags, "--steps", "1"]) == 0
    shown = capsys.readouterr().out
    assert "1 of 1 recorded clips agree with their notes" in shown
    assert "violin/mine starts from " in shown
    assert f"play it with --model {tmp_path / 'run/model'} --to violin/mine" in shown
    (group,) = read_manifest(tmp_path / "run/pairs")
    assert [clip.voice for clip in group.clips][:1] == [VOICE]
    first = load_pipeline(str(tmp_path / "run/model")).encode_target(VOICE)
    assert main([*flags, "--steps", "2"]) == 0  # resumes
    assert "resumed" in capsys.readouterr().out
    assert not torch.equal(load_pipeline(str(tmp_path / "run/model")).encode_target(VOICE), first)
    out = tmp_path / "out.wav"
    assert convert([str(clip), "--to", VOICE, "--model", str(tmp_path / "run/model"), "-o", str(out)]) == 0
    samples, _ = soundfile.read(out)
    assert len(samples) == 30001
    assert np.abs(samples).max() > 0


def test_invalid_voices_are_refused_at_once(recordings, soundfonts, tmp_path, capsys):
    tiny_pipeline().save_pretrained(tmp_path / "base")
    flags = ["--recordings", str(recordings), "--soundfont", str(soundfonts[0]), "--out", str(tmp_path / "run")]
    model = ["--model", str(tmp_path / "base")]
    assert main([*flags, *model, "--instrument", "violin", "--name", "my violin"]) == 2
    assert "error: a voice's name has 1 to 40 letters, digits, - and _, not 'my violin'" in capsys.readouterr().err
    assert main([*flags, *model, "--instrument", "oboe", "--name", "mine"]) == 2
    assert (
        "error: 'oboe' is not an instrument of this model; choose the most similar of piano" in capsys.readouterr().err
    )
    assert main([*flags, "--model", str(recordings), "--instrument", "violin", "--name", "mine"]) == 2
    assert "error: cannot load a StyleDiff model from" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_recordings_without_notes_are_refused(soundfonts, tmp_path, capsys):
    tiny_pipeline().save_pretrained(tmp_path / "base")
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise/take.wav", 0.1 * np.random.default_rng(0).standard_normal(5 * RATE), RATE)
    flags = ["--recordings", str(tmp_path / "noise"), "--soundfont", str(soundfonts[0]), "--workers", "1"]
    flags += ["--model", str(tmp_path / "base"), "--instrument", "violin", "--name", "mine"]
    assert main([*flags, "--out", str(tmp_path / "run")]) == 2
    assert "error: none of 1 recorded clips agrees with its transcription" in capsys.readouterr().err
