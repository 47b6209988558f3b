import gc

import pytest

from stylediff.page.choices import Choices
from stylediff.page.clips import load_clip
from stylediff.page.conversions import convert
from stylediff.page.results import write_files
from tests.tiny import tiny_pipeline
from train.costs import STATUS

CONVERSIONS, ALLOWED_MIB = 200, 40


def resident_mib() -> float:
    gc.collect()
    return next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.is_file(), reason="this system does not tell how much memory is in use")
def test_two_hundred_conversions_leave_no_memory_behind(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pipeline = tiny_pipeline()
    for number in range(CONVERSIONS):
        taken, choices = load_clip(clip, 0.0, 10.0), Choices(steps=2, seed=number)
        *_, output = convert(pipeline, taken, choices, previews=1)
        write_files(taken, output.audio, output.sample_rate, choices)
        if number == CONVERSIONS // 4:
            before = resident_mib()
    assert resident_mib() - before < ALLOWED_MIB
