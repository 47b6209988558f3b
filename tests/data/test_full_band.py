"""Clips of the full band, rendered from tiny soundfonts."""

import numpy as np
import pytest
import soundfile

from stylediff.bandwidth import BANDS, LEVEL_FLOOR
from tests.helpers.commands import command
from train.common.files import FolderError
from train.data.full_band import FRAMES, read_full_band

main = command("full-band-clips")


@pytest.mark.slow
def test_every_split_has_clips_with_levels(scores, soundfonts, tmp_path, capsys):
    recordings = tmp_path / "recordings" / "flute"
    recordings.mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal(8 * 44_100)
    soundfile.write(recordings / "noise.wav", noise, 44_100)
    arguments = ["--midi", str(scores), "--soundfont", str(soundfonts[0]), "--test-soundfont", str(soundfonts[2])]
    arguments += ["--recordings", str(tmp_path / "recordings"), "--excerpts", "3", "--test-excerpts", "1"]
    arguments += ["--workers", "1", "--out", str(tmp_path / "out")]
    for _ in range(2):  # the second run finds everything made
        assert main(arguments) == 0
        assert "train: " in capsys.readouterr().out
    clips = [read_full_band(tmp_path / "out", split) for split in ("train", "validation", "test")]
    for part in clips:
        assert part.mels.shape[1:] == (256, FRAMES)
        assert part.levels.shape == (len(part.voices), BANDS, FRAMES)
        assert np.isfinite(part.levels).all()
    both = [number for part in clips for number, name in enumerate(part.voices) if "noise" in name]
    assert len(both) == 1
    recorded = next(part.levels[number] for part in clips for number, name in enumerate(part.voices) if "noise" in name)
    assert recorded.mean() > LEVEL_FLOOR + 4
    with pytest.raises(FolderError, match="no clips of the test split"):
        read_full_band(tmp_path, "test")
