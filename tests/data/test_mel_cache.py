import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from stylediff.mel import MelConfig, waveform_to_mel
from tests.helpers.commands import command
from tests.helpers.tiny_dataset import clip_group, clip_record
from train.data.manifest import save_group, write_manifest
from train.data.mel_cache import CacheError, create_cache, read_cache
from train.data.waveforms import read_clips

main = command("cache-mels")

MEL = MelConfig()


def write_dataset(folder, lengths: list[int], instrument: str = "violin"):
    """A data set with one clip of noise per length, in frames; the last is for validation."""
    rng = np.random.default_rng(0)
    for index, frames in enumerate(lengths):
        file = f"clips/{index:06d}/0.flac"
        scratch = folder / "clips" / f".{index:06d}.part"
        scratch.mkdir(parents=True)
        soundfile.write(scratch / "0.flac", rng.uniform(-0.3, 0.3, frames * 256), 22050)
        split = "validation" if index == len(lengths) - 1 else "train"
        clip = clip_record(file, f"{instrument}/Pure-0", "target")
        save_group(folder, clip_group(index, split, [clip], paired=False), scratch)
    write_manifest(folder, list(range(len(lengths))))
    return folder


def run(out, *datasets) -> int:
    return main(["--data", *map(str, datasets), "--out", str(out), "--workers", "1"])


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache_mels")
    data = write_dataset(folder / "data", [64, 128, 64])
    assert run(folder / "cache", data) == 0
    return folder


def test_rows_are_the_mels_of_their_clips_followed_by_silence(cached):
    cache = read_cache(cached / "cache", MEL)
    assert [row.frames for row in cache.clips] == [64, 128, 64]
    assert cache.mels.shape == (3, 256, 128)
    for number, row in enumerate(cache.clips):
        waveform, _ = soundfile.read(cached / "data" / row.file, dtype="float32")
        expected = waveform_to_mel(torch.from_numpy(waveform)[None], MEL)[0]
        assert torch.allclose(cache.tensor(number), expected, atol=4e-3)  # float16 between 4 and 8
        assert np.all(cache.mels[number, :, row.frames :] == MEL.log_floor)


def test_splits_are_row_numbers(cached):
    cache = read_cache(cached / "cache", MEL)
    assert cache.split("train").tolist() == [0, 1]
    assert cache.split("validation").tolist() == [2]
    with pytest.raises(CacheError, match="the mel cache has no clip of the test split"):
        cache.split("test")


def test_a_part_of_a_row_can_be_read(cached):
    cache = read_cache(cached / "cache", MEL)
    assert torch.equal(cache.tensor(1, 10, 20), cache.tensor(1)[..., 10:30])


def test_groups_are_numbered_across_datasets(cached, tmp_path):
    second = write_dataset(tmp_path / "second", [64, 64], "piano")
    assert run(tmp_path / "cache", cached / "data", second) == 0
    cache = read_cache(tmp_path / "cache", MEL)
    assert [row.group for row in cache.clips] == [0, 1, 2, 3, 4]
    assert [row.instrument for row in cache.clips] == ["violin"] * 3 + ["piano"] * 2


def test_clips_of_several_datasets_are_found_below_their_common_folder(cached, tmp_path, capsys):
    second = write_dataset(tmp_path / "second" / "piano", [128, 64], "piano")
    assert run(tmp_path / "cache", cached / "data", second) == 0
    folder = Path(capsys.readouterr().out.split("--data ")[1].strip())
    cache = read_cache(tmp_path / "cache", MEL)
    assert len({row.file for row in cache.clips}) == len(cache.clips)
    for mel, waveform in read_clips(cache, np.arange(len(cache.clips)), folder):
        torch.testing.assert_close(mel, waveform_to_mel(waveform, MEL), atol=4e-3, rtol=0)


def test_ctrl_c_is_reported_and_the_run_resumes(cached, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("train.data.mel_cache.waveform_to_mel", stop)
        assert run(tmp_path / "cache", cached / "data") == 130
    assert "stopped; rerun the same command to continue" in capsys.readouterr().err
    assert run(tmp_path / "cache", cached / "data") == 0
    np.testing.assert_array_equal(read_cache(tmp_path / "cache", MEL).mels, read_cache(cached / "cache", MEL).mels)


def test_a_resumed_run_gives_the_same_cache(cached, tmp_path):
    shutil.copytree(cached / "cache", tmp_path / "cache")
    whole = (tmp_path / "cache" / "mels.npy").read_bytes()
    np.load(tmp_path / "cache" / "mels.npy", mmap_mode="r+")[:] = 0
    for name in ("finished", "chunks.json"):
        (tmp_path / "cache" / name).unlink()
    with pytest.raises(CacheError, match=r"no finished mel cache in .*: run the command cache-mels first"):
        read_cache(tmp_path / "cache", MEL)
    assert run(tmp_path / "cache", cached / "data") == 0
    assert (tmp_path / "cache" / "mels.npy").read_bytes() == whole


def test_finished_chunks_are_not_computed_again(cached, tmp_path):
    shutil.copytree(cached / "cache", tmp_path / "cache")
    np.load(tmp_path / "cache" / "mels.npy", mmap_mode="r+")[0] = -1.0
    assert run(tmp_path / "cache", cached / "data") == 0
    assert np.all(read_cache(tmp_path / "cache", MEL).mels[0] == -1.0)


def test_other_clips_need_another_folder(cached, tmp_path, capsys):
    other = write_dataset(tmp_path / "other", [64, 64, 64, 64])
    before = (cached / "cache" / "mels.npy").read_bytes()
    assert run(cached / "cache", other) == 2
    assert "was started with other clips: use another folder" in capsys.readouterr().err
    assert (cached / "cache" / "mels.npy").read_bytes() == before


def test_a_cache_of_other_mels_names_the_field(cached):
    rows = list(read_cache(cached / "cache", MEL).clips)
    for attempt in (
        lambda mel: read_cache(cached / "cache", mel),
        lambda mel: create_cache(cached / "cache", rows, mel),
    ):
        with pytest.raises(CacheError, match="was made with n_mels=256, but 80 is needed"):
            attempt(MelConfig(n_mels=80))


def test_a_missing_dataset_is_reported(tmp_path, capsys):
    assert run(tmp_path / "cache", tmp_path / "nowhere") == 2
    assert "error: no manifest.jsonl in " in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_the_table_can_be_read_without_the_mels(cached):
    description = json.loads((cached / "cache" / "rows.json").read_text())
    assert MelConfig(**description["mel"]) == MEL
    assert len(description["rows"]) == 3
