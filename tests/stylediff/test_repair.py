"""Repair of files, around a tiny pipeline."""

import numpy as np
import pytest
import soundfile
import torch

from stylediff.audio import AudioError, read_audio
from stylediff.damage import Damage
from stylediff.repair import GAP, RepairSettings, main, read_gaps, repair
from stylediff.settings import SettingError
from tests.helpers.files import ROOT

MINUET = ROOT / "examples" / "violin_minuet.flac"


@pytest.fixture
def damaged(tmp_path):
    """A file of two channels of 16 bits with a dropout of 200 ms, and its samples."""
    samples, rate = soundfile.read(MINUET, dtype="int16")
    stereo = np.stack([samples, samples // 2], axis=1)
    stereo[40000:44410] = 0
    soundfile.write(tmp_path / "damaged.wav", stereo, rate, subtype="PCM_16")
    return tmp_path / "damaged.wav", stereo, rate


@pytest.mark.slow
def test_a_dropout_is_found_and_filled_and_every_other_sample_is_the_same(damaged, model, tmp_path, capsys):
    path, stereo, rate = damaged
    out = tmp_path / "out.wav"
    assert main([str(path), "-o", str(out), "--auto", "--steps", "1", "--model", model]) == 0
    assert "1 x dropout" in capsys.readouterr().err
    repaired, out_rate = soundfile.read(out, dtype="int16")
    assert (out_rate, soundfile.info(out).subtype) == (rate, "PCM_16")
    changed = np.flatnonzero((repaired != stereo).any(1))
    assert changed.min() >= 40000
    assert changed.max() < 44410
    assert np.abs(repaired[40000:44410]).max() > 100


@pytest.mark.slow
def test_named_gaps_and_the_seed_decide_the_bytes(model, tmp_path):
    contents = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / f"{name}.flac"
        options = ["--gap", "1.20-1.45", "3.1-3.2", "--steps", "2", "--seed", seed, "--model", model]
        assert main([str(MINUET), "-o", str(out), *options]) == 0
        contents.append(out.read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_nothing_is_overwritten(model, tmp_path, capsys):
    out = tmp_path / "out.wav"
    out.write_bytes(b"mine")
    arguments = [str(MINUET), "-o", str(out), "--gap", "1-1.02", "--model", model]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "out.wav is there already" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    assert main([*arguments, "--force"]) == 0
    assert out.read_bytes() != b"mine"


@pytest.mark.parametrize(("rate", "subtype"), [(48000, "PCM_24"), (8000, "FLOAT")])
def test_clean_sound_comes_back_bit_for_bit(rate, subtype, model, tmp_path):
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(3 * rate) / rate) + 1e-3 * np.random.default_rng(0).standard_normal(
        3 * rate
    )
    soundfile.write(tmp_path / "in.wav", tone, rate, subtype=subtype)
    assert main([str(tmp_path / "in.wav"), "-o", str(tmp_path / "out.wav"), "--auto", "--model", model]) == 0
    first, again = (soundfile.read(tmp_path / name, dtype="float64")[0] for name in ("in.wav", "out.wav"))
    assert np.array_equal(first, again)


def test_overlapping_gaps_are_one():
    samples, rate = read_audio(MINUET)
    gaps = [Damage(1.0, 1.02, GAP), Damage(1.01, 1.03, GAP), Damage(2.0, 2.01, GAP)]
    result = repair(None, torch.from_numpy(samples), rate, gaps)
    assert [(part.start_s, part.end_s) for part in result.damages] == [(1.0, 1.03), (2.0, 2.01)]


def test_hiss_is_removed_only_where_it_is_asked_for():
    samples, rate = read_audio(ROOT / "examples" / "piano_fur_elise.flac")
    noisy = torch.from_numpy(
        samples + 0.01 * np.random.default_rng(0).standard_normal(samples.shape).astype(np.float32)
    )
    kept, cleaned = (repair(None, noisy, rate, (), RepairSettings(denoise=amount)) for amount in (0.0, 1.0))
    assert torch.equal(kept.audio, noisy)
    assert "hiss" in cleaned.describe()
    errors = [float((one.audio - torch.from_numpy(samples)).square().mean()) for one in (kept, cleaned)]
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("text", ["1.2", "1.5-1.2", "a-b", "-1-2", "1-1"])
def test_what_is_no_gap_is_a_sentence(text):
    with pytest.raises(SettingError, match=r"a gap must be two seconds in order, as 1.20-1.45, got"):
        read_gaps([text])


@pytest.mark.parametrize(
    ("start_s", "end_s", "sentence"),
    [
        (1.0, 4.5, "is too long: at most 3 s can be filled"),
        (6.9, 7.9, "is not in the clip, which is"),
    ],
)
def test_gaps_that_cannot_be_filled_are_a_sentence(start_s, end_s, sentence):
    samples, rate = read_audio(MINUET)
    with pytest.raises(AudioError, match=sentence):
        repair(None, torch.from_numpy(samples), rate, [Damage(start_s, end_s, GAP)])


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ([], "nothing to do: give --gap S-S, --auto or --denoise LEVEL"),
        (["--gap", "2-1"], "a gap must be two seconds in order"),
        (["--auto", "--instrument", "kazoo"], "instrument must be one of recognised, piano"),
        (["--denoise", "2"], "denoise must be 0 to 1, got 2"),
    ],
)
def test_arguments_that_cannot_be_used_are_a_sentence(extra, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(MINUET), "-o", str(tmp_path / "out.wav"), *extra])
    assert sentence in capsys.readouterr().err


def test_silence_and_samples_that_are_no_numbers():
    silence = torch.zeros(2, 22050)
    assert torch.equal(repair(None, silence, 22050, (), RepairSettings(auto=True, denoise=1.0)).audio, silence)
    with pytest.raises(AudioError, match="not finite"):
        repair(None, torch.full((1, 22050), torch.nan), 22050)
