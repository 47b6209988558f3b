import json
import shutil

import numpy as np
import pytest
import soundfile
import torch

from stylediff.audio import TARGET_RMS
from stylediff.mel import MelConfig
from tests.helpers.commands import command
from train.data.import_recordings import cut_positions, sounding_stretches
from train.data.manifest import piece_split, read_manifest
from train.data.mel_cache import read_cache

main = command("import-recordings")

UNIT = 64 * 256


def tone(seconds, sample_rate=22050, amplitude=0.2):
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * sample_rate)) / sample_rate)


def write(path, parts, sample_rate=22050, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    waveform = np.concatenate(parts)
    soundfile.write(path, np.stack([waveform] * channels, axis=1), sample_rate)


def run(folder, out, *more) -> int:
    return main(["--in", str(folder), "--instrument", "violin", "--out", str(out), "--license", "CC0", *more])


@pytest.fixture
def recordings(tmp_path):
    """A recording of 8, 1 and 3 sounding seconds, and one at another rate in a subfolder."""
    folder = tmp_path / "recordings"
    write(folder / "first.flac", [tone(8), np.zeros(44100), tone(1), np.zeros(22050), tone(3)])
    write(folder / "ensemble" / "second.wav", [tone(6, 48000, 0.01)], 48000, channels=2)
    return folder


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pauses_are_skipped_and_the_rest_is_cut_to_allowed_lengths():
    waveform = torch.from_numpy(np.concatenate([tone(8), np.zeros(44100), tone(1), np.zeros(22050), tone(3)]))
    assert len(sounding_stretches(waveform, 22050)) == 3
    positions = cut_positions(waveform, MelConfig())
    assert [samples // UNIT for _, samples in positions] == [7, 3, 4]
    assert [samples % UNIT for _, samples in positions] == [0, 0, 0]
    assert positions[1][0] == positions[0][0] + 7 * UNIT
    assert positions[2][0] / 22050 == pytest.approx(12.0, abs=0.1)


def test_a_short_rest_is_not_a_pause():
    waveform = torch.from_numpy(np.concatenate([tone(2), np.zeros(8820), tone(2)]))
    assert len(sounding_stretches(waveform, 22050)) == 1


def test_silence_has_no_clips():
    assert sounding_stretches(torch.zeros(22050), 22050) == []
    assert sounding_stretches(1e-6 * torch.randn(22050), 22050) == []
    assert cut_positions(torch.zeros(11025), MelConfig()) == []


def test_clips_and_manifest_name_their_origin(recordings, tmp_path, capsys):
    assert run(recordings, tmp_path / "out") == 0
    groups = read_manifest(tmp_path / "out")
    assert [group.piece for group in groups] == ["ensemble/second.wav"] + ["first.flac"] * 3
    assert [group.clips[0].voice for group in groups] == ["violin/ensemble"] + ["violin/recordings"] * 3
    for group in groups:
        (clip,) = group.clips
        assert (group.paired, group.notes, clip.role, clip.instrument) == (False, (), "target", "violin")
        assert group.split == piece_split(group.piece)
        assert clip.details == {"origin": group.piece, "start_s": group.start_s, "licence": "CC0"}
        waveform, sample_rate = soundfile.read(tmp_path / "out" / clip.file)
        assert sample_rate == 22050
        assert waveform.ndim == 1
        assert len(waveform) % UNIT == 0
        assert np.sqrt(np.mean(waveform**2)) == pytest.approx(TARGET_RMS, rel=0.05)
        assert int(np.abs(np.fft.rfft(waveform)).argmax()) * 22050 / len(waveform) == pytest.approx(440, abs=1)
    assert "4 clips, 0.3 min, from 2 recordings" in capsys.readouterr().out


def test_a_resumed_import_gives_the_same_clips_and_adds_new_recordings(recordings, tmp_path):
    assert run(recordings, tmp_path / "whole") == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "begun")
    counts = json.loads((tmp_path / "begun" / "recordings.json").read_text())
    del counts["first.flac"]
    (tmp_path / "begun" / "recordings.json").write_text(json.dumps(counts))
    shutil.rmtree(tmp_path / "begun" / "clips" / "000002")
    (tmp_path / "begun" / "manifest.jsonl").unlink()
    assert run(recordings, tmp_path / "begun") == 0
    assert contents(tmp_path / "begun") == contents(tmp_path / "whole")
    write(recordings / "added.wav", [tone(3)])
    assert run(recordings, tmp_path / "begun") == 0
    groups = read_manifest(tmp_path / "begun")
    assert groups[:4] == read_manifest(tmp_path / "whole")
    assert [(group.index, group.piece) for group in groups[4:]] == [(4, "added.wav")]


def test_unusable_recordings_are_skipped_with_a_message(recordings, tmp_path, capsys):
    (recordings / "text.wav").write_text("not audio")
    write(recordings / "short.wav", [tone(0.1)])
    write(recordings / "silent.wav", [np.zeros(66150)])
    assert run(recordings, tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "skipped: text.wav: text.wav is not audio that can be read" in said
    assert "skipped: short.wav: clip is 0.10 s" in said
    assert "skipped: silent.wav has no 2.2 s without a pause" in said
    assert len(read_manifest(tmp_path / "out")) == 4


def test_nothing_to_import_is_reported_with_exit_code_2(recordings, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "quiet" / "silent.wav", [np.zeros(66150)])
    for folder, sentence in (
        ("nowhere", "error: no such folder of recordings: "),
        ("empty", "error: no recording (wav, flac, mp3, "),
        ("quiet", "error: no recording in "),
    ):
        assert run(tmp_path / folder, tmp_path / f"out_{folder}") == 2
        assert sentence in capsys.readouterr().err
    assert run(recordings, tmp_path / "out") == 0
    assert run(recordings, tmp_path / "out", "--instrument", "cello") == 2
    assert "was started with instrument='violin', not 'cello'" in capsys.readouterr().err


def test_an_unknown_instrument_is_refused(recordings, tmp_path, capsys):
    assert run(recordings, tmp_path / "out", "--instrument", "banjo") == 2
    assert "error: unknown instrument 'banjo'; choose one of piano, " in capsys.readouterr().err


def test_clips_of_different_lengths_are_cached(recordings, tmp_path):
    assert run(recordings, tmp_path / "out") == 0
    assert command("cache-mels")(["--data", str(tmp_path / "out"), "--out", str(tmp_path / "mels")]) == 0
    cache = read_cache(tmp_path / "mels", MelConfig())
    assert [row.frames for row in cache.clips] == [448, 448, 192, 256]
    assert [cache.tensor(number).shape[-1] for number in range(4)] == [448, 448, 192, 256]
    assert not any(row.paired for row in cache.clips)
